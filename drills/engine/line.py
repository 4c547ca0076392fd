"""Who waits for whom: each step gets its turn when all that it needs is over, a fallback when it is called for.

Pure. Work per event is bounded by the edges it touches (counters and a queue for each section).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from drills.engine.plan import Section
from drills.engine.progress import TERMINAL, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.engine.plan import Step
    from drills.engine.progress import Progress


class Line:
    """The steps of a drill in the order of their turns; ``progress`` says where each one stands."""

    def __init__(self, progress: Mapping[str, Progress]) -> None:
        self._progress = progress
        self._missing = {name: len(one.step.needs) for name, one in progress.items()}
        self._dependents: dict[str, list[str]] = {name: [] for name in progress}
        self._stands_for: dict[str, list[str]] = {}
        """By fallback: the steps that have failed and wait for it."""
        self._open = dict.fromkeys(Section, 0)
        self._ready: dict[Section, deque[str]] = {section: deque() for section in Section}
        for one in progress.values():
            step = one.step
            for need in step.needs:
                self._dependents[need].append(step.id)
            if step.section is not Section.GUARD and not step.reserve:
                self._open[step.section] += 1
                if not step.needs:
                    self._ready[step.section].append(step.id)

    def ready(self, section: Section) -> deque[str]:
        """Give the steps of a section whose needs are met and that have not been started, first come first."""
        queue = self._ready[section]
        while queue and self._progress[queue[0]].status is not Status.WAITING:
            queue.popleft()
        return queue

    def open_steps(self, section: Section) -> int:
        """How many steps of a section are not over."""
        return self._open[section]

    def settle(self, one: Progress) -> None:
        """Count a step as over; a fallback is counted in the place of every step that it stands for."""
        if not one.step.reserve:
            self._open[one.step.section] -= 1
        for name in self._stands_for.pop(one.step.id, ()):
            self.settle(self._progress[name])
        self.release(one)

    def release(self, one: Progress) -> None:
        """Give every step that waits for this one, or for what it stands for, its turn."""
        if one.released:
            return
        one.released = True
        for name in self._stands_for.get(one.step.id, ()):
            self.release(self._progress[name])
        for name in self._dependents[one.step.id]:
            self._missing[name] -= 1
            self._line_up(self._progress[name].step)

    def run_instead(self, one: Progress) -> None:
        """Give the fallback of a failed step its turn, once; what waited for the step waits for the fallback."""
        one.handled = True
        instead = self._progress[one.step.run_on_failure]
        if instead.released:
            self.release(one)
        if instead.released and instead.status in TERMINAL:
            self.settle(one)
        elif instead.step.id in self._stands_for:
            self._stands_for[instead.step.id].append(one.step.id)
        else:
            self._stands_for[instead.step.id] = [one.step.id]
            self._line_up(instead.step)

    def again(self, one: Progress) -> None:
        """Give a step another turn."""
        one.status, one.ended = Status.WAITING, None
        queue = self._ready[one.step.section]
        if one.step.id not in queue:  # it may have been dropped before the queue was looked at again
            queue.append(one.step.id)

    def _line_up(self, step: Step) -> None:
        """Let a step begin that waits for nothing any more, a fallback only where it is called for."""
        if not self._missing[step.id] and (not step.reserve or step.id in self._stands_for):
            self._ready[step.section].append(step.id)
