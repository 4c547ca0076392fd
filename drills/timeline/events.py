"""The facts a drill is made of. Everything else (state, verdicts, undo, report) is computed from these.

An event says what happened, never what follows from it: decisions are derived in ``drills.engine.state``, so
that no crash can fall between a fact and its consequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from drills.clock import Stamp
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


@dataclass(frozen=True, slots=True)
class Opened:
    """The drill exists; ``plan`` is the compiled plan, pinned as JSON."""

    drill: str
    tool: str
    by: str
    plan: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another process has taken over the drill; what was started and not ended is in doubt."""

    by: str
    pid: int


@dataclass(frozen=True, slots=True)
class Gated:
    """A gate answered before anything was changed."""

    gate: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Watching:
    """An observer process has been started (or adopted after a crash)."""

    observer: str
    file: str
    pid: int
    process: str


@dataclass(frozen=True, slots=True)
class Started:
    """A step begins. Stands on disk before the act, with what was there before it."""

    step: str
    attempt: int
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """A waiting step looked and saw something new."""

    step: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A step was told to ask again, and will."""

    step: str
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class Performed:
    """A fault's change has been answered; whether it is in effect is another matter (``Effective``)."""

    step: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Effective:
    """A fault was looked at after it was injected: in effect, or never seen in effect (``ok`` not True)."""

    step: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A step has ended. ``adopted``: its goal was there already and nothing was done."""

    step: str
    outcome: Outcome
    detail: str
    output: Facts = field(default_factory=Facts)
    receipt: Receipt | None = None
    adopted: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A person is asked; ``shown`` is what stood before their eyes."""

    step: str
    shown: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class Told:
    """A person said something. ``inbox`` is the message's row, so that none is taken twice."""

    word: Word
    by: str
    inbox: int
    step: str = ""
    note: str = ""
    accept_data_loss: bool = False


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guard said no, or did not answer within its tolerance."""

    guard: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A deadline passed: of a step by its id, or of the whole drill (``step`` empty)."""

    step: str
    after_s: float


@dataclass(frozen=True, slots=True)
class UndoStarted:
    """An undo begins. Stands on disk before the act."""

    step: str


@dataclass(frozen=True, slots=True)
class Undid:
    """A step has been taken back and looked at; ``left_alone``: what somebody else changed since."""

    step: str
    detail: str
    left_alone: str | None = None


@dataclass(frozen=True, slots=True)
class UndoFailed:
    """A step could not be taken back; it stays owed, and ``by_hand`` finishes it."""

    step: str
    error: str
    by_hand: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A stage of observing is over: baseline taken, service settled, evidence collected. ``ok`` None: gave up waiting."""

    stage: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """An observer's file as evidence: what it held when the drill read it."""

    observer: str
    file: str
    rows: int
    first: int
    last: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parked:
    """The journal was closed on purpose; the drill can be resumed."""

    by: str


@dataclass(frozen=True, slots=True)
class WorldGone:
    """The private sandbox this drill ran in has ended: nothing is left that could be owed."""

    detail: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The drill is over; ``claims`` are its numbers as claimed, to be recomputed by ``drills verify``."""

    status: str
    exit_code: int
    claims: Facts = field(default_factory=Facts)


Body: TypeAlias = (
    Opened
    | Resumed
    | Gated
    | Watching
    | Started
    | Looked
    | Retried
    | Performed
    | Effective
    | Ended
    | Asked
    | Told
    | Guarded
    | TimedOut
    | UndoStarted
    | Undid
    | UndoFailed
    | Ready
    | Sealed
    | Parked
    | WorldGone
    | Finished
)


@dataclass(frozen=True, slots=True)
class Event:
    """One fact on the timeline: its place, its moment, what happened."""

    seq: int
    at: Stamp
    body: Body
