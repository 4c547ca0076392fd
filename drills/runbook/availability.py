"""What a person writes about one observer of what users feel: whom it asks, through whose eyes, and what is up."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, PlainValidator, model_validator

from drills import expression
from drills.runbook.fields import Name, Span, Text, Written

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NETWORKS: Final = 100


def _least(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("write a number, or a value such as ${capacity}")  # noqa: TRY004 - pydantic collects ValueError
    if isinstance(value, str) and "${" not in value:
        raise ValueError(f"{value!r} is not a number; write it without quotes, or a value such as ${{capacity}}")
    if not isinstance(value, str) and value <= 0:
        raise ValueError(f"{value} asks for nothing; write a number above 0")
    return value


def _check_path(path: str, examples: str) -> None:
    if reason := expression.problem(path):
        raise ValueError(f"json: no JMESPath that can be asked ({reason}); write it as in {examples}")


Least = Annotated[float | str, PlainValidator(_least, json_schema_input_type=float | str)]


class AtLeast(Written):
    """The least capacity. HTTP tells it in ``json`` (JMESPath in the body) or a ``header``, SQL in the first column."""

    value: Least
    json_: Text | None = Field(default=None, alias="json")
    header: Name | None = None

    @model_validator(mode="after")
    def _reads(self) -> AtLeast:
        if self.json_ is not None and self.header is not None:
            raise ValueError("the capacity stands in one place; write json or header")
        _check_path(self.json_ or "@", "healthy or length(targets)")
        return self


class Expect(Written):
    """What makes an answer good: ``status`` and ``body`` of HTTP, ``address`` of DNS, ``value`` of a SQL query.

    ``body`` is a text the answer must contain; ``address`` lists every address the name may have; ``value`` is the
    first column of the first row, as text. ``at_least`` is for HTTP and SQL: an answer that tells of less capacity
    is no good one.
    """

    status: int = Field(default=200, ge=100, le=599)
    body: str = ""
    address: tuple[Text, ...] = ()
    value: Text | None = None
    at_least: AtLeast | None = None


class ServedBy(Written):
    """How an answer tells which site gave it."""

    header: Name


class SiteAddresses(Written):
    """The addresses or networks (CIDR) of both sites, as their users reach them."""

    from_: tuple[Text, ...] = Field(alias="from", min_length=1, max_length=MOST_NETWORKS)
    to: tuple[Text, ...] = Field(min_length=1, max_length=MOST_NETWORKS)


class AnsweredBy(Written):
    """How an answer tells which site gave it: in a ``header``, in ``json`` (JMESPath in the body), or by ``address``.

    An address says nothing where both sites stand behind one entrance, such as a CDN.
    """

    header: Name | None = None
    json_: Text | None = Field(default=None, alias="json")
    address: SiteAddresses | None = None

    @model_validator(mode="after")
    def _one(self) -> AnsweredBy:
        if sum(one is not None for one in (self.header, self.json_, self.address)) != 1:
            raise ValueError("the site is told in one way; write one of header, json and address")
        if self.json_ is not None:
            _check_path(self.json_, "site or server.site")
        return self


class Resolve(StrEnum):
    """How a prober finds the address and connects.

    ``fresh``: asks DNS and connects anew each time; ``ttl``: keeps an address for its TTL; ``keepalive``: keeps
    connections too, as a pooled client does; ``direct``: asks no DNS, as for the endpoint of the recovery site.
    """

    FRESH = "fresh"
    TTL = "ttl"
    KEEPALIVE = "keepalive"
    DIRECT = "direct"


class SqlAsk(Written):
    """A SQL server that is asked: ``read`` runs ``query`` there; ``write`` inserts a row and rolls it back.

    Both are PostgreSQL addresses or references to one (``env:``, ``secretsmanager:``, ``ssm:``).
    """

    read: Text | None = None
    write: Text | None = None
    query: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> SqlAsk:
        if (self.read is None) == (self.write is None):
            raise ValueError("write one of read and write: an observer that does both is two")
        if self.write is not None and self.query is not None:
            raise ValueError("a query is for read; write inserts a row and rolls it back")
        return self

    @property
    def address(self) -> str:
        """The server's address, or the reference to it."""
        return self.read or self.write or ""


def _check_address(url: str) -> None:
    """Refuse what can be no address; one with a value in it is seen once the value is known."""
    from urllib.parse import urlsplit

    if "${" in url:
        return
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"{url} is no address ({error}); mend it") from error


_KINDS: Final = ("http", "tcp", "dns", "sql")
_OF_KIND: Final = {
    "method": ("http",),
    "served_by": ("http", "tcp"),
    "ca": ("http",),
    "connect_to": ("http", "tcp"),
}
_EXPECTED_OF: Final = {
    "status": ("http",),
    "body": ("http",),
    "address": ("dns",),
    "value": ("sql",),
    "at_least": ("http", "sql"),
}


class Availability(Written):
    """One observer of what users feel: it asks one of ``http`` (also https), ``tcp``, ``dns`` and ``sql``.

    ``http`` is a URL; https is verified as a client would, with the certificates in the file ``ca`` if given.
    ``tcp`` is host:port, up when it accepts a connection; ``dns`` is a name, up when it has an address.
    """

    id: Name
    http: Text | None = None
    tcp: Text | None = None
    dns: Text | None = None
    sql: SqlAsk | None = None
    method: Name = "GET"
    ca: Text | None = None
    expect: Expect = Expect.model_construct(status=200, body="", address=(), value=None, at_least=None)
    served_by: AnsweredBy | None = None
    every: Span = timedelta(milliseconds=100)
    timeout: Span = timedelta(seconds=1)
    stable_for: Span = timedelta(seconds=10)
    resolve: Resolve = Resolve.FRESH
    connect_to: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Availability:
        asked = [name for name in _KINDS if getattr(self, name) is not None]
        if len(asked) != 1:
            raise ValueError(f"write one of {', '.join(_KINDS)}" + (f", not {' and '.join(asked)}" if asked else ""))
        kind = asked[0]
        scheme = (self.http or "").partition("://")[0]
        if scheme in ("tcp", "dns"):
            raise ValueError(f"{scheme}:// is no HTTP; write it as '{scheme}:'")
        _check_address(f"tcp://{self.tcp}" if self.tcp and "://" not in self.tcp else self.tcp or self.http or "")
        for name, kinds in _OF_KIND.items():
            if name in self.model_fields_set and kind not in kinds:
                raise ValueError(f"{name} has no meaning for {kind}; remove it")
        for name in sorted(self.expect.model_fields_set if "expect" in self.model_fields_set else ()):
            if kind not in _EXPECTED_OF[name]:
                fitting = [one for one, kinds in _EXPECTED_OF.items() if kind in kinds]
                hint = f"write {' or '.join(fitting)}" if fitting else "remove it: a connection is all there is"
                raise ValueError(f"expect {name} has no meaning for {kind}; {hint}")
        if kind == "tcp" and self.served_by is not None and self.served_by.address is None:
            raise ValueError("a connection has no header and no body; write served_by: {address: ...}")
        if kind == "sql" and self.expect.value is not None and self.sql is not None and self.sql.write is not None:
            raise ValueError("expect value has no meaning for a write; remove it")
        least = self.expect.at_least
        if least is not None and kind == "http" and least.json_ is None and least.header is None:
            raise ValueError("at_least: say where the answer tells its capacity: json: healthy, or header: X-Healthy")
        if least is not None and kind == "sql" and (least.json_ or least.header or (self.sql and self.sql.write)):
            raise ValueError("at_least of sql is about the first column that a query reads; write value alone")
        if kind in ("dns", "sql") and self.resolve is Resolve.DIRECT:
            raise ValueError(f"resolve: direct has no meaning for {kind}; remove it")
        return self

    def spoken(self) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
        """Give every text in which names may stand: where it stands, the text, and whether it takes a secret."""
        for name in ("http", "tcp", "dns", "ca", "connect_to"):
            text: str | None = getattr(self, name)
            if text:
                yield (name,), text, False
        if self.sql is not None:
            for name, text in (("read", self.sql.read), ("write", self.sql.write)):
                if text is not None:
                    yield ("sql", name), text, True
            if self.sql.query is not None:
                yield ("sql", "query"), self.sql.query, False
        if self.served_by is not None and self.served_by.address is not None:
            networks = self.served_by.address
            for name, texts in (("from", networks.from_), ("to", networks.to)):
                for number, text in enumerate(texts):
                    yield ("served_by", "address", name, number), text, False
        yield ("expect", "body"), self.expect.body, False
        for number, address in enumerate(self.expect.address):
            yield ("expect", "address", number), address, False
        least = self.expect.at_least
        if least is not None and isinstance(least.value, str):
            yield ("expect", "at_least", "value"), least.value, False
        if self.expect.value is not None:
            yield ("expect", "value"), self.expect.value, False
