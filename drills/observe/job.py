"""What an observer process is told to do: one small JSON file beside its evidence."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from drills.aws.place import Place
from drills.clock import NS
from drills.errors import Refused
from drills.observe.ledger import Options, Spot, resolve_secret
from drills.observe.stores import check_address
from drills.timeline.codec import load
from drills.timeline.samples import Persona
from drills.timeline.stores import StoreKind

if TYPE_CHECKING:
    from pathlib import Path

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PERSONAS = {
    "fresh": Persona.FRESH,
    "ttl": Persona.TTL,
    "direct": Persona.DIRECT,
    "keepalive": Persona.POOL,
    "pool": Persona.POOL,
}
SQL = ("sql-read", "sql-write")
SCHEMES = ("http", "https", "tcp", "dns", *SQL)
FASTEST_S = 0.001
FASTEST_RING_S = 1.0
GRACE_S = 600.0
"""How long an observer outlives the deadline of its plan."""


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """One availability observer. Seconds; ``url`` is http, https, ``tcp://host:port``, ``dns://name`` or of SQL.

    ``status``, ``body`` (a text it must contain), ``header`` or ``by_json`` (a JMESPath in the body; either names
    the site that answered) and ``ca`` (a file of certificates) apply to HTTP; ``by_address`` (the networks of the
    sites: address or network, site) tells it for HTTP and TCP by the address that answered; ``addresses`` (all that
    the name may have) to DNS. For ``sql-read://NAME`` and ``sql-write://NAME`` the server's address is ``dsn``, or
    ``env:NAME`` of the variable that holds it; a read runs ``query`` and expects ``value`` (any, if None) in the
    first column of the first row. ``at_least`` is the least capacity, found in the body by the JMESPath ``at_json``,
    in the header ``at_header``, or in that column.
    ``resolver`` is ``host[:port]`` of the name server asked by ``fresh`` and ``ttl``. Without one ``ttl`` asks the
    system's, and ``fresh`` the authoritative servers of the name, at ``dns_port``; they are found by the system's
    resolver, or by the one at ``walk_from``.
    ``connect_to`` is ``host[:port]``, taken in place of the name in the URL. With ``owner_pid`` the observer
    ends when that process (``owner_start`` from ``drills.clock.process_start``) is gone.
    """

    id: str
    url: str
    file: str
    status: int = 200
    body: str = ""
    header: str = ""
    every_s: float = 0.1
    timeout_s: float = 1.0
    stable_for_s: float = 10.0
    resolve: str = "fresh"
    resolver: str | None = None
    walk_from: str | None = None
    dns_port: int = 53
    connect_to: str = ""
    method: str = "GET"
    deadline_s: float = 3600.0
    grace_s: float = GRACE_S
    owner_pid: int = 0
    owner_start: str = ""
    addresses: tuple[str, ...] = ()
    ca: str = ""
    dsn: str = ""
    query: str = ""
    value: str | None = None
    keep_s: float = 0.0
    """With it the file is a ring that outlives the observer and holds so much of the past."""
    at_least: float | None = None
    at_json: str = ""
    at_header: str = ""
    by_json: str = ""
    by_address: tuple[tuple[str, str], ...] = ()

    @property
    def persona(self) -> Persona:
        """Through whose eyes it looks; ``Refused`` when ``resolve`` names nobody."""
        try:
            return _PERSONAS[self.resolve]
        except KeyError:
            raise Refused(
                f"observer {self.id}: resolve is {self.resolve!r}, not one of {', '.join(_PERSONAS)}"
            ) from None

    def check(self) -> None:
        """Refuse what could not be observed truly, with a sentence that says why."""
        _check_times(self.id, self.every_s, self.timeout_s)
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise Refused(f"observer {self.id}: {self.url!r} is no address: {error}") from error
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise Refused(f"observer {self.id}: {self.url!r} is not a URL of {', '.join(SCHEMES)}")
        if parts.scheme == "tcp" and not port:
            raise Refused(f"observer {self.id}: {self.url!r} names no port")
        if self.persona is Persona.DIRECT and parts.scheme == "dns":
            raise Refused(f"observer {self.id}: resolve: direct asks no DNS, but its target is {self.url!r}")
        if self.keep_s and self.every_s < FASTEST_RING_S:
            raise Refused(f"observer {self.id}: a ring takes one request each {FASTEST_RING_S:g} s at most")
        if self.ca and not os.access(self.ca, os.R_OK):
            raise Refused(f"observer {self.id}: the file of certificates {self.ca} cannot be read")
        if parts.scheme in SQL and not self.dsn:
            raise Refused(f"observer {self.id}: no address of the SQL server is given")


@dataclass(frozen=True, slots=True)
class MarkerJob:
    """One marker writer. Seconds; ``write`` is an address in a store of ``kind``, or ``env:NAME`` that holds it.

    Rows carry ``drill`` and ``store``, so that several drills and stores may share one table. ``place`` is where
    AWS keeps the table, the bucket or the queue. The values of ``options.headers`` may be ``env:NAME`` too.
    """

    id: str
    drill: str
    store: str
    write: str
    file: str
    every_s: float = 0.05
    timeout_s: float = 1.0
    deadline_s: float = 3600.0
    grace_s: float = GRACE_S
    owner_pid: int = 0
    owner_start: str = ""
    kind: StoreKind = StoreKind.SQL
    place: Place | None = None
    options: Options = field(default_factory=Options)

    def spot(self) -> Spot:
        """Give where it writes, secrets revealed; ``Refused`` when one is not there."""
        return Spot(self.kind, self.write, self.place, self.options).revealed(resolve_secret)

    def check(self) -> None:
        """Refuse what could not be observed truly, with a sentence that says why."""
        _check_times(self.id, self.every_s, self.timeout_s)
        try:
            check_address(self.spot())
        except Refused as error:
            raise Refused(f"observer {self.id}: {error}") from error


Job: TypeAlias = "ProbeJob | MarkerJob"


def _check_times(observer: str, every_s: float, timeout_s: float) -> None:
    if not _ID.fullmatch(observer):
        raise Refused(f"observer {observer!r}: an id has letters, digits, '-', '_' and '.' only, at most 64 of them")
    if not every_s >= FASTEST_S or not timeout_s >= FASTEST_S:
        raise Refused(
            f"observer {observer}: every {every_s} s and timeout {timeout_s} s must be at least {FASTEST_S} s"
        )


def in_flight(every_s: float, timeout_s: float) -> int:
    """Give the most requests in flight at once: all slots that can be open within one timeout, and two more."""
    return math.ceil(timeout_s / every_s) + 2


def to_ns(seconds: float) -> int:
    """Turn seconds into whole nanoseconds."""
    return round(seconds * NS)


def read_probe_job(file: Path) -> ProbeJob:
    """Read and check the job of a prober; ``JournalError`` or ``Refused`` says what is wrong with it."""
    job = load(ProbeJob, file.read_text(encoding="utf-8"))
    job.check()
    return job


def read_marker_job(file: Path) -> MarkerJob:
    """Read and check the job of a marker writer; ``JournalError`` or ``Refused`` says what is wrong with it."""
    job = load(MarkerJob, file.read_text(encoding="utf-8"))
    job.check()
    return job
