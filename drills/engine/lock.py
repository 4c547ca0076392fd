"""One drill for each target at a time, across laptops: a lock in the environment's home region.

SSM has no compare-and-set, but ``PutParameter`` without ``Overwrite`` creates a name at most once. So the lock is a
row of generations, ``/drills/lock/ENVIRONMENT/SERVICE/000007``: whoever creates the next one holds the lock, and the
highest there is tells who that is. Its holder renews it by writing it again; giving it back marks it ``free`` and
deletes nothing, so that no name that was held can be made a second time.

All times are those of the server: ``LastModifiedDate`` against the ``Date`` of the answer. Laptops whose clocks
differ agree. The holder counts its lease from before it asked for it, on its own monotonic clock, and takes no later
answer than ``grace_s`` for a renewal; another may take over only that long after the lease has run out. So whoever
takes over has seen no renewal that its holder counts, and two never hold it at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from drills.aws.classify import classify, error_code, mapped
from drills.clock import NS
from drills.engine.plan import Mode
from drills.errors import Rejected

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from drills.clock import Clock, Stamp
    from drills.engine.plan import Plan
    from drills.work import Place

ROOT: Final = "/drills/lock"
LEASE_S: Final = 60.0
GRACE_S: Final = 30.0
KEPT: Final = 2
"""Generations that stay; older ones are deleted by whoever takes the next."""
PAGE: Final = 10
MOST: Final = 100


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock: the drill, who started it and where, and for how long each renewal lasts."""

    drill: str
    who: str
    host: str
    mode: Mode
    lease_s: float = LEASE_S
    grace_s: float = GRACE_S
    free: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a lock has shown; ``age_s``: seconds since the holder wrote it last, by the server's clock."""

    generation: int = 0
    holder: Holder | None = None
    age_s: float = 0.0

    @property
    def free(self) -> bool:
        """Whether nobody holds it."""
        return self.holder is None or self.holder.free

    @property
    def stale(self) -> bool:
        """Whether its lease has run out, and the grace after it."""
        return self.holder is not None and self.age_s > self.holder.lease_s + self.holder.grace_s


class Standing(StrEnum):
    """What a lock means for somebody who wants it."""

    FREE = "free"
    OURS = "ours"
    STALE = "stale"
    PREEMPTED = "pre-empted"
    TAKEN = "taken"


def standing(seen: Seen, me: Holder, *, takeover: bool, ended: bool) -> Standing:
    """Say how a lock stands towards ``me``. Only ``TAKEN`` and, without ``takeover``, ``STALE`` keep it from me.

    ``ended``: the drill that holds it is known to be over. A drill goes on with its own lock from the same host, for
    there its journal's lock has shown that nobody drives it; from another only once the lease has run out. An
    incident takes the lock of a drill at once, but not that of another incident.
    """
    holder = seen.holder
    if holder is None or holder.free or ended:
        return Standing.FREE
    if holder.drill == me.drill and (holder.host == me.host or seen.stale):
        return Standing.OURS
    if me.mode is Mode.INCIDENT and holder.mode is not Mode.INCIDENT:
        return Standing.PREEMPTED
    if seen.stale:
        return Standing.PREEMPTED if takeover else Standing.STALE
    return Standing.TAKEN


def may_take(how: Standing) -> bool:
    """Say whether a lock that stands so may be taken."""
    return how in (Standing.FREE, Standing.OURS, Standing.PREEMPTED)


def name_of(plan: Plan) -> str:
    """Name the lock of a plan's target: its environment and its service."""
    return f"{ROOT}/{plan.environment}/{plan.service or plan.runbook}"


def home_of(plan: Plan) -> Place:
    """Give where the lock lives: the account of the environment's first site, in the home region.

    It does not depend on the direction, so that a drill one way excludes a drill the other way.
    """
    if not plan.places:
        raise Rejected(f"the plan of {plan.runbook} names no place")
    return replace(plan.places[0], region=plan.home)


def tell(seen: Seen) -> str:
    """Say who holds a lock, and how fresh that is."""
    if seen.holder is None or seen.holder.free:
        return "nobody holds it"
    one = seen.holder
    told = f"{one.mode.value} {one.drill} of {one.who} on {one.host} holds it, written {seen.age_s:.0f} s ago"
    return f"{told} for {one.lease_s:.0f} s" + ("; its lease has run out" if seen.stale else "")


class Lock:
    """One lock as one drill sees it. Errors are ``WorkError``s; nothing is repeated here."""

    def __init__(self, client: SSMClient, name: str, me: Holder, clock: Clock) -> None:
        self.name = name
        self.me = me
        self.generation = 0
        self._ssm = client
        self._clock = clock
        self._renewed: Stamp | None = None
        self._old: list[int] = []

    def look(self) -> Seen:
        """Read who holds it."""
        found: dict[int, Any] = {}
        now = datetime.fromtimestamp(0, UTC)
        token: dict[str, str] = {}
        with mapped(writes=False):
            for _ in range(MOST // PAGE):
                page = self._ssm.get_parameters_by_path(Path=self.name, MaxResults=PAGE, **token)  # pyright: ignore[reportArgumentType] - one optional member
                now = self._server_time(page)
                for one in page["Parameters"]:
                    number = one.get("Name", "").rpartition("/")[2]
                    if number.isdigit():
                        found[int(number)] = one
                if not page.get("NextToken"):
                    break
                token = {"NextToken": page.get("NextToken", "")}
        if not found:
            return Seen()
        generation = max(found)
        self._old = [number for number in found if number < generation - KEPT]
        try:
            holder = msgspec.json.decode(found[generation]["Value"], type=Holder)
        except msgspec.MsgspecError as error:
            raise Rejected(f"{self._parameter(generation)} holds something that is no lock: {error}") from error
        return Seen(generation, holder, (now - found[generation]["LastModifiedDate"]).total_seconds())

    def take(self, seen: Seen) -> bool:
        """Create the generation after the one that was seen; False when somebody else has been faster."""
        begun, generation = self._clock.now(), seen.generation + 1
        with mapped(writes=True):
            try:
                self._put(generation, self.me, overwrite=False)
            except Exception as error:
                if error_code(error) != "ParameterAlreadyExists":
                    raise
                return False
        if self.look().generation != generation:
            return False
        self.generation, self._renewed = generation, begun
        self._sweep()
        return True

    def renew(self) -> bool:
        """Write it again for another lease; False when it is no longer ours, or the lease had run out before."""
        begun = self._clock.now()
        if not self.held():
            return False
        with mapped(writes=True):
            self._put(self.generation, self.me, overwrite=True)
        if self._clock.now().since(begun) >= self.me.grace_s or self.look().generation != self.generation:
            return False
        self._renewed = begun
        return True

    def held(self) -> bool:
        """Say whether the lease still runs, by our own clock and nobody's word."""
        return self._renewed is not None and self._clock.now().since(self._renewed) < self.me.lease_s

    def free(self) -> None:
        """Give it back, if it is still ours."""
        if self.generation and self.look().generation == self.generation:
            with mapped(writes=True):
                self._put(self.generation, msgspec.structs.replace(self.me, free=True), overwrite=True)
        self._renewed = None

    def next_name(self) -> str:
        """Name the parameter that is there as soon as somebody has taken the lock from us."""
        return self._parameter(self.generation + 1)

    def _parameter(self, generation: int) -> str:
        return f"{self.name}/{generation:06d}"

    def _put(self, generation: int, holder: Holder, *, overwrite: bool) -> None:
        self._ssm.put_parameter(
            Name=self._parameter(generation),
            Value=msgspec.json.encode(holder).decode(),
            Type="String",
            Description="drills: who drills this target now; the highest number counts",
            Overwrite=overwrite,
        )

    def _sweep(self) -> None:
        """Delete generations of long ago, if that can be done; they mean nothing any more."""
        if not self._old:
            return
        try:
            self._ssm.delete_parameters(Names=[self._parameter(number) for number in self._old[:PAGE]])
        except Exception as error:
            if classify(error, writes=True) is None:
                raise

    def _server_time(self, answer: Any) -> datetime:
        """Give the server's time: that of the answer, else (behind a proxy that drops it) our own."""
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if told:
            return parsedate_to_datetime(told)
        return datetime.fromtimestamp(self._clock.now().utc_ns / NS, UTC)
