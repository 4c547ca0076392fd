"""What every gate is asked, and the words in which it answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from drills.timeline.events import Gated

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from drills.engine.halt import Halt
    from drills.engine.means import Accounts
    from drills.engine.plan import Plan, Step
    from drills.work import Aws, Kind, Place, Target


class Found(msgspec.Struct, frozen=True):
    """What each step would touch: asked of AWS once, by whichever gate needs it first."""

    _known: dict[str, tuple[Target, ...]] = msgspec.field(default_factory=dict)
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def of(self, step: str, ask: Callable[[], tuple[Target, ...]]) -> tuple[Target, ...]:
        """Give what ``ask`` answers, remembered for this step; an error is not remembered."""
        with self._lock:
            known = self._known.get(step)
        if known is None:
            known = ask()
            with self._lock:
                self._known[step] = known
        return known


@dataclass(frozen=True, slots=True)
class Question:
    """May this plan begin now? ``accounts`` only reads here; ``now`` is an aware moment in UTC."""

    plan: Plan
    accounts: Accounts
    load: Callable[[Kind, str], Any]
    now: datetime
    found: Found = field(default_factory=Found)
    halted: Halt | None = None
    """The global stop of this machine, if it stands."""
    takeover: bool = False
    """A person said that a lock whose lease has run out may be taken."""

    def aws(self, place: str) -> Aws:
        """Give the reading session of a place by its name; ``KeyError`` when there is none."""
        return self.accounts.read(self.plan.place(place))

    def work(self, step: Step) -> Any:
        """Build the work of a step from the fields that are known before the drill."""
        return self.load(step.kind, step.uses).model_validate(dict(step.params))

    def changes(self) -> tuple[Step, ...]:
        """Give the steps that may change something, in order."""
        return tuple(step for step in self.plan.steps if step.changes and step.left_out is None)

    def touched(self, step: Step) -> tuple[Target, ...]:
        """Name everything that a step would touch."""
        return self.found.of(step.id, lambda: self.work(step).targets(self.aws(step.place)))

    def used(self) -> tuple[Place, ...]:
        """Give each place that a step uses, in the order of the environment."""
        names = {step.place for step in (*self.plan.steps, *self.plan.recovery_points)}
        return tuple(place for place in self.plan.places if place.name in names)

    def lasting(self) -> tuple[Place, ...]:
        """Give the same places, those that the lost site is not part of first: they answer while it does not."""
        lost = self.plan.from_site
        return tuple(sorted(self.used(), key=lambda place: (place.name == lost, place.name != self.plan.to_site)))


def yes(gate: str, detail: str) -> Gated:
    """Answer that nothing stands in the way."""
    return Gated(gate, ok=True, detail=detail)


def no(gate: str, detail: str) -> Gated:
    """Answer that the drill must not begin, and why."""
    return Gated(gate, ok=False, detail=detail)


def unknown(gate: str, detail: str) -> Gated:
    """Answer that it could not be learned: as good as a no."""
    return Gated(gate, ok=None, detail=detail)


def warns(gate: str, detail: str) -> Gated:
    """Answer with something to think about that refuses nothing."""
    return Gated(gate, ok=False, detail=detail, advises=True)


def why(error: Exception) -> str:
    """Say what went wrong in one line."""
    told = " ".join(str(error).split())
    return f"{type(error).__name__}: {told}" if told else type(error).__name__
