"""Where one step stands, and the words for where a whole drill stands."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from drills.timeline.facts import Before, Facts, Receipt

if TYPE_CHECKING:
    from drills.clock import Stamp
    from drills.engine.plan import Step
    from drills.timeline import events as ev


class Status(StrEnum):
    """Where one step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    DROPPED = "dropped"
    """A probe or a question that an abort has made pointless."""


class Phase(StrEnum):
    """What the drill as a whole is doing."""

    WATCHING = "watching"
    BEFORE = "before"
    STEPS = "steps"
    SETTLING = "settling"
    AFTER = "after"
    COLLECTING = "collecting"
    UNDOING = "undoing"
    HELD = "held"
    CLOSING = "closing"
    OVER = "over"


class Stop(StrEnum):
    """Why the drill turned away from its way forward."""

    REFUSED = "refused"
    FAILED = "failed"
    ABORTED = "aborted"


class Schedules(msgspec.Struct):
    """What the timeline tells of the dead man: by step, whose schedules stand, are deleted, have fired, stay owed."""

    armed: dict[str, ev.Armed] = msgspec.field(default_factory=dict[str, "ev.Armed"])
    disarmed: set[str] = msgspec.field(default_factory=set[str])
    fired: set[str] = msgspec.field(default_factory=set[str])
    errors: dict[str, ev.DisarmFailed] = msgspec.field(default_factory=dict[str, "ev.DisarmFailed"])


HOLD = "@hold"
"""The name under which ``TimedOut`` tells that nobody decided what a failure is to mean."""

TERMINAL = frozenset({Status.DONE, Status.FAILED, Status.UNKNOWN, Status.SKIPPED, Status.DROPPED})


class Progress(msgspec.Struct):
    """One step as the timeline tells it."""

    step: Step
    status: Status = Status.WAITING
    attempt: int = 0
    started: Stamp | None = None
    attempted: Stamp | None = None
    performed: Stamp | None = None
    effective: Stamp | None = None
    ended: Stamp | None = None
    before: Before | None = None
    receipt: Receipt | None = None
    output: Facts = msgspec.field(default_factory=Facts)
    detail: str = ""
    denied: bool = False
    """A look has said no: what it waits for came after it had begun."""
    by: str = ""
    adopted: bool = False
    in_doubt: bool = False
    touched: bool = False
    """An attempt ended UNKNOWN: whatever came after it, the change may be there and be ours."""
    tried: bool = False
    """A person said of such an attempt that it failed: found there after all, the change is ours, and not adopted."""
    released: bool = False
    handled: bool = False
    late: bool = False
    """It ended after the drill had turned back: that it did not end well is no failure of its own."""
    asked: bool = False
    said_yes: tuple[str, ...] = ()
    """Who has approved so far, where several must."""
    shown: Facts = msgspec.field(default_factory=Facts)
    renew: str = ""
    """It waits for credentials, and this is what a person does to get new ones."""
    undo_started: bool = False
    undone: bool = False
    left_alone: bool = False
    """Somebody else had changed it since, so the undo did not touch it."""
    force: bool = False
    """A person said that it is restored even so."""
    undo_detail: str = ""
    undo_error: str = ""
    undo_by_hand: tuple[str, ...] = ()

    @property
    def happened(self) -> bool:
        """Whether the change may have taken place, by this attempt or by one before it."""
        return self.touched or self.status in (Status.DONE, Status.UNKNOWN, Status.RUNNING)

    @property
    def owed(self) -> bool:
        """Whether the step may have changed something that is to be taken back and has not been."""
        return self.happened and self.step.reversible and not self.adopted and not self.undone

    @property
    def standing(self) -> bool:
        """Whether a one-way change of ours stands."""
        return self.happened and self.step.changes and self.step.one_way is not None and not self.adopted
