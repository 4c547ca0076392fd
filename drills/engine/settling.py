"""The end of measuring: wait until the service has been seen restored for a whole window, and say since when it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.durations import show
from drills.engine.plan import Mode
from drills.observe.process import is_same
from drills.observe.settle import Seen, stable
from drills.timeline import events as ev
from drills.timeline.marks import Limits, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.clock import Clock, Stamp
    from drills.engine.crew import Token
    from drills.engine.state import State

LOOK_EVERY_S = 0.1
TELL_EVERY_S = 1.0
"""How often it is told at most that the run of good answers has begun, ended or begun anew."""
MARGIN_S = 5.0


class _Dead(Seen):
    """What was seen by an observer whose process is gone: it is not worth waiting for more."""


def settled(state: State, clock: Clock, cancelled: Token) -> Iterator[ev.Body]:
    """Wait until every observer has seen the service restored for its whole window, or the wait is pointless.

    Since when it is so is told whenever that changes: people see the clock stand, and go on when it did not last.
    """
    begun = clock.now()
    told_at: Stamp | None = None
    limit_s, since = _limit_s(state, begun), _looked_from(state, begun)
    while True:
        seen = _look(state, since)
        waiting = [one.detail for one in seen if one.ok is not True]
        alive = [one for one in seen if one.ok is not True and not isinstance(one, _Dead)]
        now = clock.now()
        waited_s = now.since(begun)
        over = not alive or cancelled.is_set() or waited_s >= limit_s
        if over or told_at is None or now.since(told_at) >= TELL_EVERY_S:
            runs = [one.since for one in seen if one.since is not None]
            since_when = max(runs) if runs and len(runs) == len(seen) else None
            if since_when != (None if state.settling is None else state.settling.mono_ns):
                told_at = now
                yield ev.Settling(since_when)
        if not waiting:
            yield ev.Ready("settled", ok=True, detail=f"restored and stable; waited {show(waited_s)} for the windows")
            return
        if over:
            yield ev.Ready("settled", ok=False, detail=f"not stable after {show(waited_s)}: {'; '.join(waiting)}")
            return
        cancelled.wait(LOOK_EVERY_S)


def _look(state: State, since: int) -> list[Seen]:
    """Look at each observer's file, as far back as the longest window asks for: a run must not seem to begin later."""
    windows = {one.id: round((one.stable_for_s + one.timeout_s) * NS) for one in state.plan.availability}
    longest, site = max(windows.values(), default=0), state.plan.to_site
    found: list[Seen] = []
    for name, window in windows.items():
        one = state.watching[name]
        lives = is_same(one.pid, one.process)  # asked first: what it wrote before it ended is then there to be read
        seen = stable(Path(one.file), site, since, window, longest)
        ended = f"{name} has ended before the drill: {seen.detail}"
        found.append(seen if lives or seen.ok is True else _Dead(None, ended, None))
    return found


def _looked_from(state: State, now: Stamp) -> int:
    """From when answers count: the disaster, else the first event."""
    for one in state.progress.values():
        if one.step.mark is Mark.DISASTER and one.started is not None:
            return _here(one.started, now)
    return now.mono_ns if state.opened is None else _here(state.opened, now)


def _here(stamp: Stamp, now: Stamp) -> int:
    """Give a moment on this clock; the beginning of a clock that was begun since then."""
    return stamp.mono_ns if stamp.clock == now.clock else 0


def _limit_s(state: State, now: Stamp) -> float:
    """Long enough to prove a miss: until the longest target has passed, and the windows after it."""
    plan = state.plan
    windows_s = max((2 * watch.stable_for_s + watch.timeout_s for watch in plan.availability), default=0.0)
    targets_s = [
        one.target_s for one in plan.objectives if one.ends is Mark.SERVICE_RESTORED or one.limits is Limits.DOWNTIME
    ]
    passed_s = now.since(state.opened) if state.opened is not None else 0.0
    limit_s = max(targets_s, default=0.0) + windows_s + MARGIN_S
    if plan.mode is Mode.REHEARSE:
        limit_s = max(windows_s + MARGIN_S, limit_s - passed_s)
    return min(limit_s, max(windows_s, plan.deadline_s - passed_s))
