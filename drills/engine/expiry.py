"""What ends by itself, held against the drill's deadline. Reads no AWS.

A fault that heals by itself behind the point of no return would revive an old primary while another one writes. So
that point is entered only while nothing can end by itself before the drill itself must have ended.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from drills import catalog, durations
from drills.clock import NS
from drills.engine.outputs import bind_outputs
from drills.errors import DrillsError
from drills.runbook.works import build
from drills.services.spec import ActionSpec
from drills.work import Expiring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.clock import Stamp
    from drills.engine.plan import Step
    from drills.engine.progress import Progress
    from drills.engine.state import State


def deadline_ns(state: State) -> int:
    """Give the moment (UTC) at which the drill must have ended, as long as somebody drives it."""
    opened = state.opened.utc_ns if state.opened is not None else 0
    return opened + int((state.plan.deadline_s + state.idle_s) * NS)


def too_early(state: State) -> Iterator[str]:
    """Say of every change that stands and ends by itself before the deadline, which it is and by how much."""
    for one in state.progress.values():
        if one.step.changes and one.happened and not one.undone:
            yield from _too_early(one, expires_s(state, one.step), deadline_ns(state))


def short_fence(state: State, step: Step, now: Stamp) -> str:
    """Say by how much a change that holds authority would end too early, begun now behind the point of no return.

    Empty when it would not, or the point is not passed.
    """
    ends_s = expires_s(state, step) if step.holds_authority and state.past_return else None
    if ends_s is None:
        return ""
    short_s = (deadline_ns(state) - now.utc_ns) / NS - ends_s
    return _shortfall(step.id, short_s) if short_s >= 0 else ""


def expires_s(state: State, step: Step) -> float | None:
    """Give after how long a step's change ends by itself: as pinned, else as its fields say now; None: never.

    Of one whose fields cannot be read any more nobody knows, so it may end at once.
    """
    if step.expires_s is not None:
        return step.expires_s
    work = built(state, step)
    if work is None and _may_end(step):
        return 0.0
    ends = work.self_expiry() if isinstance(work, Expiring) else None
    return None if ends is None else ends.total_seconds()


def _may_end(step: Step) -> bool:
    try:
        spec = catalog.load(step.kind, step.uses)
    except DrillsError:  # Work this version does not know has no schedule of ours.
        return False
    return issubclass(spec, ActionSpec) and spec.self_expiry is not ActionSpec.self_expiry


def built(state: State, step: Step) -> object:
    """Build the work of a step with the outputs of those before it; None when its fields do not fit (any more)."""
    outputs = {name: one.output for name, one in state.progress.items() if len(one.output)}
    try:
        return build(catalog.load(step.kind, step.uses), bind_outputs(step.params, outputs))
    except DrillsError:
        return None


def _too_early(one: Progress, ends_s: float | None, until_ns: int) -> Iterator[str]:
    if ends_s is None or one.started is None:
        return
    if one.adopted:
        yield f"{one.step.id} ends by itself, and as it was found done nobody knows when"
        return
    ends_ns = one.started.utc_ns + int(ends_s * NS)
    if ends_ns <= until_ns:
        yield f"{_shortfall(one.step.id, (until_ns - ends_ns) / NS)} ({clock(ends_ns)}, and {clock(until_ns)})"


def _shortfall(step: str, short_s: float) -> str:
    """Say by how much a change ends too early."""
    return f"{step} ends by itself {durations.show(short_s)} before the drill's deadline"


def clock(at_ns: int) -> str:
    """Write a moment (UTC) as people read it on a wall."""
    return f"{datetime.fromtimestamp(at_ns / NS, UTC):%H:%M:%S} UTC"
