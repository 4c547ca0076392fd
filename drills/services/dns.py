"""Ask DNS what a name is now, straight and without a cache."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field, model_validator

from drills.services.spec import Duration, ProbeSpec, Wrong, refuse
from drills.timeline.facts import Facts
from drills.work import Aws, Observation

if TYPE_CHECKING:
    from typing import Self

    from dns.asyncresolver import Resolver as AsyncResolver
    from dns.resolver import Resolver

DNS_PORT: Final = 53
LOOK_S: Final = 2.0


def server_of(address: str) -> tuple[str, int]:
    """Split ``host:port`` of a DNS server; the port is 53 when none is given."""
    host, colon, port = address.rpartition(":")
    return (host, int(port)) if colon else (address, DNS_PORT)


async def addresses(host: str, server: str) -> list[str]:
    """Resolve a name to its IPv4 addresses at one DNS server; ``OSError`` when it has none."""
    if is_address(host):
        return [host]
    import dns.asyncresolver
    import dns.exception

    resolver: AsyncResolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server_of(server)[0]], server_of(server)[1]
    resolver.lifetime = LOOK_S
    try:
        answer = await resolver.resolve(host, "A")
    except dns.exception.DNSException as error:
        raise OSError(f"{host} cannot be resolved at {server}: {error}") from error
    return [record.to_text() for record in answer]


def first_address(host: str, server: str | None) -> str | None:
    """Resolve a name at one DNS server to one address; None when there is no server (the system resolves then)."""
    if server is None:
        return None
    import asyncio

    return asyncio.run(addresses(host, server))[0]


def is_address(host: str) -> bool:
    """Say whether a host is written as an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class DnsAnswers(ProbeSpec):
    """Say whether a name resolves to the address it should, at the place's resolver or the system's.

    ``address`` must be among the answers, and with ``only`` (the default) nothing else may be; ``target`` is the
    canonical name at the end of the CNAME chain.

    .. code-block:: yaml

        probe: dns.answers
        with:
          name: orders.example.com
          address: 192.0.2.17
    """

    name: ClassVar[str] = "dns.answers"

    record: str = Field(alias="name", min_length=1, description="The name to resolve.")
    address: str = Field(default="", description="The IPv4 or IPv6 address it should have.")
    target: str = Field(default="", description="The canonical name it should lead to.")
    only: bool = Field(default=True, description="Whether other addresses beside it are wrong.")
    timeout: Duration = Field(default=timedelta(seconds=2), gt=timedelta(0), description="Limit of the look.")

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.address and not self.target:
            refuse(self.name, [Wrong((), "say which `address` or which `target` the name should have")])
        return self

    def observe(self, aws: Aws) -> Observation:
        """Resolve the name once."""
        import dns.exception
        import dns.resolver

        kind = "AAAA" if ":" in self.address else "A"
        try:
            resolver = self._resolver(aws.place.resolver)
            answer = resolver.resolve(self.record, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as error:
            return Observation(ok=False, detail=f"{self.record}: {error}")
        except (dns.exception.DNSException, OSError) as error:
            return Observation(ok=None, detail=f"{self.record} could not be asked for: {error}")
        found = sorted(record.to_text() for record in answer)
        canonical = answer.canonical_name.to_text(omit_final_dot=True)
        value = Facts(addresses=[*found], canonical=canonical, ttl=answer.rrset.ttl if answer.rrset else 0)
        detail = f"{self.record} is {', '.join(found)}" + (f" ({canonical})" if canonical != self.record else "")
        named = not self.target or canonical.lower() == self.target.rstrip(".").lower()
        placed = not self.address or (self.address in found and not (self.only and len(found) > 1))
        return Observation(ok=named and placed, detail=detail, value=value)

    def _resolver(self, address: str | None) -> Resolver:
        import dns.resolver

        resolver = dns.resolver.Resolver(configure=address is None)
        if address is not None:
            resolver.nameservers, resolver.port = [server_of(address)[0]], server_of(address)[1]
        resolver.cache = None
        resolver.lifetime = self.timeout.total_seconds()
        return resolver
