"""Ask a web server, as a user would: a new connection, a fresh name, a limit on everything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field, field_validator

from drills.services.spec import Duration, ProbeSpec
from drills.timeline.facts import Facts
from drills.work import Aws, Observation

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BODY: Final = 64 * 1024
"""Bytes of a body that are read."""
_URL: Final = re.compile(r"https?://[^\s/]+\S*")


@dataclass(frozen=True, slots=True)
class Request:
    """One request: where to, and how many seconds it may take in all, name and body included."""

    url: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status 0 and an ``error`` when nothing did. Header names in lower case."""

    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    error: str = ""

    def header(self, name: str) -> str | None:
        """Give the value of a header, None when it is not there."""
        return next((value for key, value in self.headers if key == name.lower()), None)


def look(request: Request, resolver: str | None) -> Answer:
    """Send one GET and read the answer; redirects are not followed, and no error is raised for silence."""
    import asyncio

    return asyncio.run(_get(request, resolver))


async def _get(request: Request, resolver: str | None) -> Answer:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=request.timeout_s)
    connector = aiohttp.TCPConnector(force_close=True, use_dns_cache=False, resolver=_resolver(resolver))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(request.url, allow_redirects=False, headers={"User-Agent": "drills"}) as answer,
        ):
            body = await answer.content.read(MOST_BODY)
            headers = tuple((name.lower(), value) for name, value in answer.headers.items())
            return Answer(answer.status, body.decode("utf-8", "replace"), headers)
    except TimeoutError:
        return Answer(0, error=f"no answer within {request.timeout_s:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Answer(0, error=_plainly(error))


def _plainly(error: Exception) -> str:
    """Say why nothing came back, in the system's words: aiohttp's own name the host again and a TLS setting."""
    import os

    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else str(error) or type(error).__name__


def _resolver(address: str | None) -> Any:
    """Give aiohttp's resolver for the DNS server at ``address`` (``host:port``); None is the system's own."""
    if address is None:
        return None
    from aiohttp.abc import AbstractResolver, ResolveResult

    from drills.services import dns

    server = address

    class Straight(AbstractResolver):
        """Asks one DNS server and no cache."""

        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            """Resolve a name; a literal address is itself."""
            import socket

            del family  # sandbox sites have IPv4 addresses only
            found = await dns.addresses(host, server)
            return [
                ResolveResult(
                    hostname=host, host=ip, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
                )
                for ip in found
            ]

        async def close(self) -> None:
            """Hold nothing open."""

    return Straight()


class HttpAnswers(ProbeSpec):
    """Say whether a URL answers as it should: status, text in the body, a header.

    ``header`` is ``Name`` (must be there) or ``Name: value`` (must be equal). ``timeout`` bounds the whole look.

    .. code-block:: yaml

        probe: http.answers
        with:
          url: https://orders.example.com/healthz
          status: 200
          header: "X-Drills-Site: west"
          timeout: 1s
    """

    name: ClassVar[str] = "http.answers"

    url: str = Field(description="http:// or https:// address; redirects are not followed.")
    status: int = Field(default=200, ge=100, le=599, description="The status that is right.")
    body: str = Field(default="", description="Text that the body must hold.")
    header: str = Field(default="", description="Name, or Name: value.")
    timeout: Duration = Field(default=timedelta(seconds=1), gt=timedelta(0), description="Limit of the whole look.")

    @field_validator("url")
    @classmethod
    def _is_web(cls, url: str) -> str:
        if not _URL.fullmatch(url) and "${" not in url:
            raise ValueError(f"{url!r} is no http:// or https:// address")
        return url

    def observe(self, aws: Aws) -> Observation:
        """Send one request."""
        seen = look(Request(self.url, self.timeout.total_seconds()), aws.place.resolver)
        value = Facts(status=seen.status, error=seen.error)
        if not seen.status:
            return Observation(ok=False, detail=f"{self.url}: {seen.error}", value=value)
        if seen.status != self.status:
            return Observation(ok=False, detail=f"{self.url} answers {seen.status}, not {self.status}", value=value)
        if self.body and self.body not in seen.body:
            return Observation(ok=False, detail=f"{self.url} answers without {self.body!r}", value=value)
        wrong = self._wrong_header(dict(seen.headers))
        if wrong:
            return Observation(ok=False, detail=f"{self.url} answers {wrong}", value=value)
        return Observation(ok=True, detail=f"{self.url} answers {seen.status}", value=value)

    def _wrong_header(self, headers: Mapping[str, str]) -> str:
        if not self.header:
            return ""
        name, colon, wanted = (part.strip() for part in self.header.partition(":"))
        found = headers.get(name.lower())
        if found is None:
            return f"without the header {name}"
        return f"with {name}: {found}, not {wanted}" if colon and found != wanted else ""
