"""Work that touches nothing: a wait, and a step that only stands in the record."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from pydantic import Field, PrivateAttr

from drills.clock import Stamp, SystemClock
from drills.durations import show
from drills.services.spec import ActionSpec, Duration, ProbeSpec
from drills.timeline.facts import Before, Facts, Receipt
from drills.work import Aws, Cost, Observation, Target, Undone


class Wait(ProbeSpec):
    """Say whether a time has passed since the first look; the step that holds it ends then.

    .. code-block:: yaml

        probe: flow.wait
        with:
          for: 200ms
    """

    name: ClassVar[str] = "flow.wait"

    duration: Duration = Field(alias="for", ge=timedelta(0), description="How long.")

    _begun: Stamp | None = PrivateAttr(default=None)

    def observe(self, aws: Aws) -> Observation:
        """Look at the clock once; the first look starts it."""
        del aws
        now = SystemClock().now()
        if self._begun is None:
            self._begun = now
        passed_s = now.since(self._begun)
        whole_s = self.duration.total_seconds()
        detail = f"{show(min(passed_s, whole_s))} of {show(whole_s)} have passed"
        return Observation(
            ok=passed_s >= whole_s, detail=detail, value=Facts(passed_s=passed_s), again_s=max(0.0, whole_s - passed_s)
        )


class Nothing(ActionSpec):
    """Change nothing, and leave a line in the record: a placeholder while a runbook grows.

    .. code-block:: yaml

        action: flow.nothing
        with:
          note: here the cache will be warmed
    """

    name: ClassVar[str] = "flow.nothing"
    cost: ClassVar[Cost] = Cost.NONE

    note: str = Field(default="", description="What is written down.")

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Touch nothing."""
        del aws
        return ()

    def already(self, aws: Aws) -> Observation:
        """Say that there is nothing to find."""
        del aws
        return Observation(ok=False, detail="nothing is never there already")

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Do nothing."""
        del aws, before
        return Receipt(note=self.note)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Do nothing, backwards."""
        del aws, before, receipt
        return Undone("nothing was changed")

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say that all is as it was."""
        del aws, before
        return Observation(ok=True, detail="nothing was changed")

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give no command: there is nothing to take back."""
        del before
        return ()
