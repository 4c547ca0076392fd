"""What every marker store has in common: where a side of a ledger is, what is written there, what is read back.

A store is one file with a *writer side* (opened in the marker writer's own process) and a *reader side* (opened
after recovery); ``stores`` knows them all. PostgreSQL alone has a writer of its own (``marker``, ``pipeline``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from drills.aws.place import Place
from drills.errors import Refused
from drills.timeline.stores import StoreKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drills.timeline.samples import Marker

SEPARATOR = "~"
"""Between the parts of a marker's name: no drill, store or observer may carry it, and no URL has to quote it."""


class Header(msgspec.Struct, frozen=True):
    """One HTTP header of a marker's request; ``value`` is mostly a secret, and then stands here as a reference."""

    name: str
    value: str


class Options(msgspec.Struct, frozen=True):
    """What only some stores know.

    ``prefix`` begins S3 keys. ``replicas`` of Redis must confirm a marker before it counts as acknowledged. HTTP:
    ``method`` (POST or PUT), ``headers``, and ``served_by``, the answer's header that names the server.
    """

    prefix: str = ""
    replicas: int = 0
    method: str = ""
    headers: tuple[Header, ...] = ()
    served_by: str = ""


class Spot(msgspec.Struct, frozen=True):
    """One side of a ledger: ``address`` is a DSN, a URL, or the name of a table, bucket or queue in ``place``."""

    kind: StoreKind
    address: str
    place: Place | None = None
    options: Options = msgspec.field(default_factory=Options)

    def revealed(self, secret: Callable[[str], str]) -> Spot:
        """Put what the references stand for in their place; the result belongs into no file."""
        headers = tuple(Header(one.name, secret(one.value)) for one in self.options.headers)
        return replace(self, address=secret(self.address), options=replace(self.options, headers=headers))

    def site(self) -> Place:
        """Give the place; ``Refused`` when none was given."""
        if self.place is None:
            raise Refused(f"{self.kind} {self.address}: markers need an account and a region, and none was given")
        return self.place


class Row(msgspec.Struct, frozen=True):
    """One marker as it goes out. ``sent`` is ns of the writer's CLOCK_MONOTONIC."""

    drill: str
    store: str
    writer: str
    seq: int
    sent: int

    @property
    def id(self) -> str:
        """Name this marker among all of all drills."""
        return SEPARATOR.join((self.drill, self.store, self.writer, str(self.seq)))


class Answer(msgspec.Struct, frozen=True):
    """What one write was told. ``acked`` False: it surely did not happen; None: it may have. ``why`` if it failed."""

    acked: bool | None
    primary: str = ""
    why: str = ""


class Found(msgspec.Struct, frozen=True):
    """One marker that the survivor has; ``primary`` is its executor as the store says, empty if it cannot."""

    writer: str
    seq: int
    primary: str


class Ask(msgspec.Struct, frozen=True):
    """Which markers are wanted. ``known`` are all that were ever sent, for stores that are asked for each by name."""

    drill: str
    store: str
    known: tuple[Marker, ...] = ()

    @property
    def prefix(self) -> str:
        """What the id of each of them begins with."""
        return SEPARATOR.join((self.drill, self.store, ""))

    def id(self, marker: Marker) -> str:
        """Name a marker as its ``Row`` did."""
        return Row(self.drill, self.store, marker.writer, marker.seq, marker.sent).id

    def key(self, identifier: str) -> tuple[str, int] | None:
        """Read (writer, number) from an id; None when it is not one of those that are wanted."""
        if not identifier.startswith(self.prefix):
            return None
        writer, _, seq = identifier.removeprefix(self.prefix).rpartition(SEPARATOR)
        return (writer, int(seq)) if writer and seq.isascii() and seq.isdigit() else None


class Lane(Protocol):
    """One way to the store, used by one thread: a marker at a time, sent at most once."""

    def write(self, row: Row) -> Answer:
        """Write one marker; connects first if it must. Only a bug raises."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class WriterSide(Protocol):
    """The side of a store that takes markers, always at one and the same address."""

    shown: str
    """The address as people may see it: without user, password and token."""

    def prepare(self) -> None:
        """Make sure that markers can be written; ``Refused`` says why not."""
        ...

    def lane(self) -> Lane:
        """Give one more way to it; connects only when used."""
        ...


class ReaderSide(Protocol):
    """The survivor's side. Opening it raises ``Rejected`` (not the survivor yet), ``Busy`` or ``Unanswered``."""

    consumes: ClassVar[bool]
    """Whether reading takes markers away: then each batch is on disk before the next is asked for."""
    server: str
    """The identity of what is read."""

    def batches(self, ask: Ask) -> Iterator[list[Found]]:
        """Give all markers, strongly consistent, page by page; ``WorkError`` when it breaks off."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


def resolve_secret(reference: str) -> str:
    """Give what ``env:NAME`` points at, or the text itself; ``Refused`` when the variable is not set."""
    if not reference.startswith("env:"):
        return reference
    name = reference.removeprefix("env:")
    try:
        return os.environ[name]
    except KeyError:
        raise Refused(f"the variable {name} that should hold the address is not set") from None


def without_secrets(url: str) -> str:
    """Give scheme, host, port and path of a URL: no user, no password, no query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
