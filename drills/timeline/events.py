"""The facts a drill is made of. Everything else (state, verdicts, undo, report) is computed from these.

An event says what happened, never what follows from it: decisions are derived in ``drills.engine.state``, so
that no crash can fall between a fact and its consequence. They are msgspec structs because these are made, written
and read by the thousand, and because ``drills status`` must not spend its time on making classes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec

from drills.clock import NS, Stamp
from drills.timeline.facts import Before, Facts, Receipt


class Outcome(StrEnum):
    """How a step ended. UNKNOWN: it may have changed something and nobody said."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Word(StrEnum):
    """What people may say to a running drill, from any terminal."""

    APPROVE = "approve"
    REJECT = "reject"
    ABORT = "abort"
    PAUSE = "pause"
    CONTINUE = "continue"
    PARK = "park"
    SKIP = "skip"
    RETRY = "retry"
    RESOLVE_DONE = "resolve-done"
    RESOLVE_FAILED = "resolve-failed"
    UNDO = "undo"
    NOTE = "note"
    NOT_APPLICABLE = "not-applicable"


class Opened(msgspec.Struct, frozen=True):
    """The drill exists; ``plan`` is the compiled plan, pinned as JSON."""

    drill: str
    tool: str
    by: str
    plan: str


class Resumed(msgspec.Struct, frozen=True):
    """Another process has taken over the drill; what was started and not ended is in doubt."""

    by: str
    pid: int


class Gated(msgspec.Struct, frozen=True):
    """A gate answered before anything was changed; ``advises``: whatever it says, it refuses nothing."""

    gate: str
    ok: bool | None
    detail: str
    advises: bool = False


RING = "ring"


class Watching(msgspec.Struct, frozen=True):
    """An observer process has been started (or adopted after a crash).

    ``process`` RING: nobody was started; the file is what an observer of before the drill kept in its ring.
    """

    observer: str
    file: str
    pid: int
    process: str


class Began(msgspec.Struct, frozen=True):
    """A person says when the disaster began: between two moments, nanoseconds of UTC."""

    earliest: int
    latest: int
    by: str

    def sentence(self) -> str:
        """Say it, and who said it."""
        ends = [datetime.fromtimestamp(one / NS, UTC) for one in (self.earliest, self.latest)]
        return f"disaster declared by {self.by}: {ends[0]:%Y-%m-%dT%H:%M:%SZ}..{ends[1]:%H:%M:%SZ}"


class Started(msgspec.Struct, frozen=True):
    """A step begins. Stands on disk before a change is made, with what was there before it."""

    step: str
    attempt: int
    before: Before | None = None


class Looked(msgspec.Struct, frozen=True):
    """A waiting step looked and saw something new."""

    step: str
    ok: bool | None
    detail: str


class Retried(msgspec.Struct, frozen=True):
    """A step was told to ask again, and will."""

    step: str
    attempt: int
    why: str


class CredentialsEnded(msgspec.Struct, frozen=True):
    """A step waits for new credentials of ``place``; ``renew`` is what a person does to get them."""

    step: str
    place: str
    why: str
    renew: str


class CredentialsBack(msgspec.Struct, frozen=True):
    """A step's call was let through again."""

    step: str


class Performed(msgspec.Struct, frozen=True):
    """A fault's change has been answered; whether it is in effect is another matter (``Effective``)."""

    step: str
    receipt: Receipt


class Effective(msgspec.Struct, frozen=True):
    """A fault was looked at after it was injected: in effect, or never seen in effect (``ok`` not True)."""

    step: str
    ok: bool | None
    detail: str


class Ended(msgspec.Struct, frozen=True):
    """A step has ended. ``adopted``: its goal was there already and nothing was done."""

    step: str
    outcome: Outcome
    detail: str
    output: Facts = msgspec.field(default_factory=Facts)
    receipt: Receipt | None = None
    adopted: bool = False
    by: str = ""


class Asked(msgspec.Struct, frozen=True):
    """A person is asked; ``shown`` is what stood before their eyes."""

    step: str
    shown: Facts = msgspec.field(default_factory=Facts)


class Told(msgspec.Struct, frozen=True):
    """A person said something. ``inbox`` is the message's row, so that none is taken twice.

    ``held_s``: for how long, up to then, a question to that person let nothing new begin.
    """

    word: Word
    by: str
    inbox: int
    step: str = ""
    note: str = ""
    accept_data_loss: bool = False
    force: bool = False
    held_s: float = 0.0


class Witnessed(msgspec.Struct, frozen=True):
    """What the probes that a question shows saw at a moment of it: ``asked`` or ``answered``; name -> ok and detail."""

    step: str
    moment: str
    seen: Facts


class Guarded(msgspec.Struct, frozen=True):
    """A guard said no, or did not answer within its tolerance."""

    guard: str
    ok: bool | None
    detail: str


class TimedOut(msgspec.Struct, frozen=True):
    """A deadline passed: of a step by its id, or of the whole drill (``step`` empty)."""

    step: str
    after_s: float


class UndoStarted(msgspec.Struct, frozen=True):
    """An undo begins. Stands on disk before the act."""

    step: str


class Forced(msgspec.Struct, frozen=True):
    """What is about to be restored although somebody else changed it: what was before, what we made, what is now."""

    step: str
    before: str
    ours: str
    now: str


class Armed(msgspec.Struct, frozen=True):
    """Schedules stand that take a step back by themselves at ``at_ns`` (UTC) unless they are renewed or deleted."""

    step: str
    names: tuple[str, ...]
    account: str
    region: str
    at_ns: int


class Disarmed(msgspec.Struct, frozen=True):
    """No schedule takes the step back any more. ``fired``: one was gone before it was deleted."""

    step: str
    detail: str
    fired: bool = False


class DisarmFailed(msgspec.Struct, frozen=True):
    """A step's schedules may still stand and fire; ``by_hand`` deletes them."""

    step: str
    error: str
    by_hand: tuple[str, ...] = ()


class Undid(msgspec.Struct, frozen=True):
    """A step has been taken back and looked at; ``left_alone``: what somebody else changed since."""

    step: str
    detail: str
    left_alone: str | None = None


class UndoFailed(msgspec.Struct, frozen=True):
    """A step could not be taken back; it stays owed, and ``by_hand`` finishes it."""

    step: str
    error: str
    by_hand: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True):
    """A stage of observing is over: baseline taken, service settled, evidence collected. ``ok`` None: it gave up."""

    stage: str
    ok: bool | None
    detail: str


class Settling(msgspec.Struct, frozen=True):
    """While the end of measuring is waited for: since when every observer has seen the service restored.

    ``since`` is on the monotonic clock of this event; None: not, or not any more. What people are shown meanwhile; no
    number is made of it.
    """

    since: int | None


class PointTold(msgspec.Struct, frozen=True):
    """A service said when its recovery point is (``at_ns``, UTC by its own clock; None: it gave none, ``detail`` why).

    ``source`` names whose word it is. ``skew_low_ns`` and ``skew_high_ns`` bound its clock minus ours, found from
    its HTTP Date headers; None without a bound, and ``skew_detail`` says why. ``asked`` is our clock when it answered.
    ``after``: asked after the recovery.
    """

    point: str
    after: bool
    source: str
    detail: str
    asked: Stamp
    at_ns: int | None = None
    skew_low_ns: int | None = None
    skew_high_ns: int | None = None
    skew_detail: str = ""


class Sealed(msgspec.Struct, frozen=True):
    """An observer's file as evidence: what it held when the drill read it."""

    observer: str
    file: str
    rows: int
    first: int
    last: int
    sha256: str


class Parked(msgspec.Struct, frozen=True):
    """The journal was closed on purpose; the drill can be resumed."""

    by: str


class Claimed(msgspec.Struct, frozen=True):
    """The drill holds its target: the lock, its generation, and where it lives. Owed until it is given back."""

    lock: str
    generation: int
    account: str
    region: str
    detail: str = ""


class Unclaimed(msgspec.Struct, frozen=True):
    """The target's lock is not the drill's (any more): given back, or nobody answered who could have given it."""

    lock: str
    detail: str


class Preempted(msgspec.Struct, frozen=True):
    """Another drill, or an incident, has taken the target: nothing more is begun here and nothing is taken back."""

    lock: str
    by: str


class WorldGone(msgspec.Struct, frozen=True):
    """The private sandbox this drill ran in has ended: nothing is left that could be owed."""

    detail: str


class Finished(msgspec.Struct, frozen=True):
    """The drill is over; ``claims`` are its numbers as claimed, to be recomputed by ``drills verify``.

    ``rules``: by which they were judged (``report/rules``); empty where nothing was, or before that was written down.
    """

    status: str
    exit_code: int
    claims: Facts = msgspec.field(default_factory=Facts)
    rules: str = ""


Body: TypeAlias = (
    Opened
    | Resumed
    | Gated
    | Watching
    | Began
    | Started
    | Looked
    | Retried
    | CredentialsEnded
    | CredentialsBack
    | Performed
    | Effective
    | Ended
    | Asked
    | Told
    | Witnessed
    | Guarded
    | TimedOut
    | UndoStarted
    | Forced
    | Armed
    | Disarmed
    | DisarmFailed
    | Undid
    | UndoFailed
    | Ready
    | Settling
    | PointTold
    | Sealed
    | Parked
    | Claimed
    | Unclaimed
    | Preempted
    | WorldGone
    | Finished
)


class Event(msgspec.Struct, frozen=True):
    """One fact on the timeline: its place, its moment, what happened."""

    seq: int
    at: Stamp
    body: Body
