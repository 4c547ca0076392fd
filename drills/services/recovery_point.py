"""What every probe of a recovery point has in common: one moment by the service's clock, or the reason for none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from drills.aws.classify import mapped
from drills.clock import NS, SystemClock
from drills.durations import show
from drills.errors import Rejected
from drills.services.spec import Duration, ProbeSpec
from drills.timeline.facts import Facts
from drills.work import Aws, Evidence, Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_READ: Final = 1000
"""Snapshots, recovery points and the like that are looked through for the newest one."""
_NS_PER_US: Final = 1000


@dataclass(frozen=True, slots=True)
class Point:
    """A recovery point: when it is, by the service's clock, and what to call it."""

    at: datetime
    name: str


@dataclass(frozen=True, slots=True)
class NoPoint:
    """There is no recovery point that could be used, and why."""

    why: str


class RecoveryPointSpec(ProbeSpec):
    """A probe that reads when a recovery point is. As a gate it says whether the point is young enough."""

    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.RECOVERY_POINT})
    told_by: ClassVar[str]
    """Whose word it is, such as ``RDS LatestRestorableTime``."""

    at_most: Duration | None = Field(default=None, description="The largest age that is accepted; any, without it.")

    def find(self, aws: Aws) -> Point | NoPoint:
        """Read the newest recovery point once."""
        raise NotImplementedError

    def observe(self, aws: Aws) -> Observation:
        """Read it once, and compare its age with ``at_most`` by our own clock."""
        found = self.find(aws)
        if isinstance(found, NoPoint):
            return Observation(ok=False, detail=found.why)
        at_ns = utc_ns(found.at)
        age_s = (SystemClock().now().utc_ns - at_ns) / NS
        moment = found.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        detail = f"{found.name} is of {moment}, {show(age_s)} ago"
        limit_s = None if self.at_most is None else self.at_most.total_seconds()
        if limit_s is not None:
            detail += f"; {show(limit_s)} is accepted"
        return Observation(
            ok=limit_s is None or age_s <= limit_s,
            detail=detail,
            value=Facts(point=found.name, at=moment, age_s=age_s),
            happened_utc_ns=at_ns,
        )


def utc_ns(at: datetime) -> int:
    """Write a moment as whole nanoseconds of UTC, without the rounding of a float."""
    if at.tzinfo is None:
        raise Rejected(f"the moment {at.isoformat()} was told without its time zone")
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS + since.microseconds * _NS_PER_US


def read_time(text: str) -> datetime:
    """Read a moment that a service wrote as text (ISO 8601, UTC); ``Rejected`` when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected(f"{text!r} is no moment as ISO 8601 writes it") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def pages(client: Any, method: str, key: str, **parameters: Any) -> Iterator[Any]:
    """Give what a paged read answers under ``key``; ``Rejected`` beyond the limit, where the newest might be missed."""
    with mapped(writes=False):
        paginator = client.get_paginator(method)
        for read, item in enumerate(paginator.paginate(**parameters).search(f"{key}[]"), 1):
            if read > MOST_READ:
                raise Rejected(f"{method} lists more than {MOST_READ:,}: the newest could be missed; name fewer")
            if item is not None:
                yield item


def newest(points: Iterable[Point], otherwise: str) -> Point | NoPoint:
    """Give the newest of some points; what stands for none at all otherwise."""
    return max(points, key=lambda point: point.at, default=NoPoint(otherwise))
