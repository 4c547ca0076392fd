"""How experiments of AWS Fault Injection Service stand, and whether the account lets any begin."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PrivateAttr, model_validator

from drills.services import fis_world
from drills.services.fis_world import BAD, GOOD
from drills.services.spec import ProbeSpec, Wrong, refuse
from drills.timeline.facts import Facts
from drills.work import Aws, Observation

if TYPE_CHECKING:
    from typing import Self


class Goal(StrEnum):
    """What an experiment has to be for a yes."""

    UNHARMED = "unharmed"
    """It has not ended badly: it has not begun, goes on, or has completed."""
    RUNNING = "running"
    COMPLETED = "completed"


class ExperimentState(ProbeSpec):
    """Say how an experiment stands: whether it has not ended badly, runs, or has completed.

    ``step`` is the step of this drill that starts it, ``experiment`` the id of any other. FIS's own reason stands in
    the answer. As a guard, with ``is: unharmed``, one that failed, was cancelled or was stopped (by an alarm among
    its stop conditions, the safety lever or a person) aborts the drill; each ``fis.experiment`` has such a guard by
    itself. As a step, with ``is: completed``, it waits for the end.

    .. code-block:: yaml

        probe: fis.experiment_state
        with:
          step: break-a-zone
          is: completed
    """

    name: ClassVar[str] = "fis.experiment_state"
    permissions: ClassVar[tuple[str, ...]] = ("fis:GetExperiment", "fis:ListExperiments")

    step: str = Field(default="", description="Id of the step that starts it.")
    experiment: str = Field(default="", description="Id of an experiment that no step of this drill has started.")
    goal: Goal = Field(default=Goal.UNHARMED, alias="is", description="unharmed, running or completed.")

    _drill: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.step) == bool(self.experiment):
            refuse(self.name, [Wrong((), "name the experiment by its `step` or by its id, one of the two")])
        return self

    def of(self, drill: str, step: str) -> Self:
        """Take the drill whose step starts it."""
        del step
        self._drill = drill
        return self

    def observe(self, aws: Aws) -> Observation:
        """Look at the experiment once."""
        identity = self.experiment or self._found(aws)
        if not identity:
            told = f"no experiment of {self.step} has begun"
            return Observation(ok=self.goal is Goal.UNHARMED, detail=told, value=Facts(state=""))
        found = fis_world.whole(aws, identity)
        seen, effect = fis_world.as_seen(found), fis_world.effect(found)
        if seen.status in BAD:
            return Observation(ok=False, detail=effect.detail, value=effect.value, final=seen.over)
        if effect.final:
            return effect
        if self.goal is Goal.RUNNING:
            runs = effect.ok is True and not seen.over
            return Observation(ok=runs, detail=effect.detail, value=effect.value, final=seen.over)
        return Observation(
            ok=self.goal is Goal.UNHARMED or seen.status in GOOD, detail=effect.detail, value=effect.value
        )

    def _found(self, aws: Aws) -> str:
        seen = fis_world.newest(aws, fis_world.token(f"{self._drill}/{self.step}"))
        return "" if seen is None else seen.id


class SafetyLever(ProbeSpec):
    """Say whether the safety lever of FIS lets experiments run in this account and region.

    An engaged lever stops what runs and cancels what begins. It belongs into ``before``, or into ``guard``.

    .. code-block:: yaml

        probe: fis.safety_lever
        with: {}
    """

    name: ClassVar[str] = "fis.safety_lever"
    permissions: ClassVar[tuple[str, ...]] = ("fis:GetSafetyLever",)

    def observe(self, aws: Aws) -> Observation:
        """Read the lever once."""
        status, reason = fis_world.lever(aws)
        told = f"the safety lever in {aws.place.region} is {status}" + (f": {reason}" if reason else "")
        return Observation(ok=status == "disengaged", detail=told, value=Facts(state=status))
