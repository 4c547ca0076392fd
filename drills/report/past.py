"""What a finished drill leaves to be compared with others: its objectives, phases and steps as figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from drills.clock import Stamp
from drills.engine.decide import Ending
from drills.engine.plan import Section
from drills.engine.progress import Status, Stop
from drills.measure.series import Figure
from drills.measure.verdict import Verdict
from drills.report import claims as claimed
from drills.timeline.marks import Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drills.engine.state import State


@dataclass(frozen=True, slots=True)
class Kind:
    """Drills of one kind may be counted together: a rehearsal says nothing of a run, nor east of west."""

    runbook: str
    mode: str
    environment: str
    way: str

    def __str__(self) -> str:
        where = self.mode if self.mode == "rehearse" else f"{self.mode} in {self.environment}"
        return f"{self.runbook}, {where}, {self.way}"


@dataclass(frozen=True, slots=True)
class Aim:
    """One objective of one drill, in its unit; ``figure`` None: it could not be measured at all."""

    verdict: Verdict
    target: float | None
    figure: Figure | None
    unit: Unit = Unit.SECONDS


@dataclass(frozen=True, slots=True)
class Past:
    """One finished drill. ``phases`` have the bounds that were claimed, ``steps`` run from their start to their end."""

    drill: str
    kind: Kind
    opened: Stamp
    status: str
    aims: dict[str, Aim] = field(default_factory=dict[str, Aim])
    phases: dict[str, Figure] = field(default_factory=dict[str, Figure])
    steps: dict[str, Figure] = field(default_factory=dict[str, Figure])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A drill that cannot be counted, and why; ``damaged``: its chain or a seal is broken.

    ``turned_back``: it began to recover, and did not get to the end of its runbook. ``kind``, ``opened`` None: it is
    not known.
    """

    drill: str
    why: str
    damaged: bool = False
    turned_back: bool = False
    kind: Kind | None = None
    opened: Stamp | None = None

    def is_of(self, begin_ns: int) -> bool:
        """Say whether it may be a drill from then on: what is damaged is named whenever it says that it was."""
        return self.damaged or self.opened is None or self.opened.utc_ns >= begin_ns


def past(drill: str, state: State, broken: str = "") -> Past | LeftOut:
    """Read one drill's figures from its claims and its steps, or say why it has none.

    ``broken`` says what of its evidence is not what was sealed: what it claimed is then worth nothing.
    """
    plan = state.plan
    kind = Kind(plan.runbook, plan.mode.value, plan.environment, f"{plan.from_site} -> {plan.to_site}")
    if state.opened is None or state.finished is None:
        return LeftOut(drill, "it has not finished", kind=kind, opened=state.opened)
    if state.finished.status == Ending.REFUSED:
        return LeftOut(drill, "it was refused: nothing was done", kind=kind, opened=state.opened)
    if broken:
        return LeftOut(drill, f"the evidence is not what was sealed: {broken}", damaged=True, kind=kind)
    if why := _turned_back(state):
        return LeftOut(drill, why, turned_back=True, kind=kind, opened=state.opened)
    read = claimed.read(state.finished.claims)
    steps = {
        one.step.id: _exactly(one.ended.since(one.started))
        for one in state.progress.values()
        if one.status is Status.DONE and not one.adopted and one.started is not None and one.ended is not None
    }
    return Past(
        drill,
        kind,
        state.opened,
        state.finished.status,
        {one.name: _aim(one) for one in read.objectives},
        {one.name: Figure(one.low_s, one.high_s) for one in read.phases if one.low_s is not None},
        steps,
    )


def _turned_back(state: State) -> str:
    """Say why its runbook did not recover the service, though its numbers may look as if it had; empty if it did.

    What an abort or a failed step takes back may bring the old site up again. A drill that went through all of its
    steps, and was looked at until it settled, counts whatever came after: a failed check, an abort, a later undo.
    """
    if state.stop is None and not state.world_gone:
        return ""
    if not state.open_steps(Section.STEPS) and ("settled" in state.stages or not state.plan.watched):
        return ""
    how = "it failed" if state.stop is Stop.FAILED else "it was aborted"
    why = f": {state.why}" if state.why else ""
    if state.world_gone:
        how, why = "its sandbox was gone", ""
    return f"{how} before the end of its runbook{why}"


def _aim(one: claimed.ObjectiveClaim) -> Aim:
    low, _, high = one.bounds
    return Aim(Verdict(one.verdict), one.target, None if low is None else Figure(low, high, one.unit), one.unit)


def _exactly(seconds: float) -> Figure:
    return Figure(seconds, seconds)


def by_kind(drills: Iterable[Past]) -> list[tuple[Kind, list[Past]]]:
    """Group drills of one kind, each group oldest first."""
    ordered = sorted(drills, key=lambda one: (str(one.kind), one.opened.utc_ns, one.drill))
    return [(kind, list(group)) for kind, group in groupby(ordered, key=lambda one: one.kind)]


def aims_of(drills: Sequence[Past]) -> dict[str, list[Aim]]:
    """Give each objective's answers, in the order of the drills."""
    names = dict.fromkeys(name for one in drills for name in one.aims)
    return {name: [one.aims[name] for one in drills if name in one.aims] for name in names}


def figures_of(drills: Sequence[Past], what: str) -> dict[str, list[Figure]]:
    """Give the figures of each ``objective``, ``phase`` or ``step``, in the order of the drills."""
    found: dict[str, list[Figure]] = {}
    for drill in drills:
        for name, figure in _figures(drill, what).items():
            found.setdefault(name, []).append(figure)
    return found


def _figures(drill: Past, what: str) -> dict[str, Figure]:
    if what == "objective":
        return {name: aim.figure for name, aim in drill.aims.items() if aim.figure is not None}
    return drill.phases if what == "phase" else drill.steps


KINDS_OF_FIGURES = ("objective", "phase", "step")
