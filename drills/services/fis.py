"""AWS Fault Injection Service: an experiment as a fault that is taken back by stopping it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic import Field, JsonValue, PrivateAttr, model_validator

from drills.aws.classify import mapped
from drills.errors import Busy, Partly, Rejected, Unanswered, WorkError
from drills.fis.template import closed, fill, is_open, table
from drills.fis.timing import heals_after
from drills.services import fis_template, fis_world
from drills.services.fis_world import BAD, GOOD, TOKEN, UNDER_WAY, Seen
from drills.services.spec import Duration, FaultSpec, Follow, Wrong, refuse
from drills.services.tags import MANAGED_BY, OWNER
from drills.timeline.facts import Before, Receipt
from drills.work import Aws, Cost, Observation, Target, Undone

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from drills.fis.template import Table
    from drills.yamldoc import Doc, Node

_ID: Final = re.compile(r"EXT[0-9A-Za-z]+|[0-9a-f]{32}")
"""AWS gives ids such as EXT6oWVA1WrLNy4XS; those of a sandbox are hexadecimal."""


EVERY_S: Final = 2.0
"""How often the guard looks: an alarm has stopped the experiment, and the drill is to stop soon after."""


class Experiment(FaultSpec):
    """Start an experiment of AWS Fault Injection Service; taking it back stops it.

    ``template`` is the id of a template in the account (``EXT...``), a file such as
    ``fis_templates/stop-instances.yaml``, which is read when the runbook is, or the template itself. One from a file
    is created for the drill, tagged, and deleted as soon as the experiment has begun. A template whose only stop
    condition is none is refused, and so is a start while an alarm among them is open or the safety lever is engaged.

    A guard of its own looks at the experiment: one that fails, is cancelled or is stopped, by an alarm or by anybody,
    aborts the drill. FIS itself ends it after its longest action. What FIS does not take back (a terminated instance,
    a failed-over cluster) needs ``leaves``: why that may stay. A template named by its id says in ``heals_after`` when
    FIS takes its first effect back at the earliest; a file says so itself.

    .. code-block:: yaml

        fault: fis.experiment
        with:
          template: EXT6oWVA1WrLNy4XS
          heals_after: 10m
    """

    name: ClassVar[str] = "fis.experiment"
    permissions: ClassVar[tuple[str, ...]] = (
        "cloudwatch:DescribeAlarms",
        "fis:CreateExperimentTemplate",
        "fis:DeleteExperimentTemplate",
        "fis:GetExperiment",
        "fis:GetExperimentTemplate",
        "fis:GetSafetyLever",
        "fis:ListExperimentTemplates",
        "fis:ListExperiments",
        "fis:StartExperiment",
        "fis:StopExperiment",
        "fis:TagResource",
        "iam:PassRole",
        "tag:GetResources",
    )
    cost: ClassVar[Cost] = Cost.CAPACITY  # FIS is paid by the minute of each action
    holds_authority: ClassVar[bool] = True  # what the experiment stops or cuts off may hold the old writer
    effect_timeout: ClassVar[timedelta] = timedelta(minutes=5)
    restore_timeout: ClassVar[timedelta] = timedelta(minutes=15)  # it is over once FIS has started all it stopped again

    template: str | dict[str, JsonValue] = Field(
        min_length=1, description="Id of a template, a file with one, or the template itself."
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="What is put in for each ${name} of the template."
    )
    leaves: str = Field(default="", description="Why it may stay what FIS does not take back.")
    healed_after: Duration | None = Field(
        default=None, alias="heals_after", description="When FIS takes its first effect back (a template by id)."
    )

    _whose: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse(self.name, [*self._wrong_template(), *self._wrong_way_back()])
        return self

    def _wrong_template(self) -> list[Wrong]:
        if isinstance(self.template, str):
            if is_open(self.template):
                return []
            if fis_template.is_file(self.template):
                told = "write the name of the file out in the runbook: it is read when the runbook is"
                return [Wrong(("template",), told)]
            if not _ID.fullmatch(self.template):
                told = f"{self.template!r} is neither the id of a template (EXT...) nor a .yaml or .json file"
                return [Wrong(("template",), told)]
            return []
        lacking = fis_template.wrong_parameters(self.template, self.parameters)
        wrong = [Wrong(("parameters", name) if name in self.parameters else ("parameters",), t) for name, t in lacking]
        found = fis_template.errors(fis_template.check(self._filled))
        return [*wrong, *(Wrong(("template", *one.where), one.message) for one in found)]

    def _wrong_way_back(self) -> list[Wrong]:
        if isinstance(self.template, str):
            return []
        wrong = [Wrong(("heals_after",), "the template says so itself; remove it")] if self.healed_after else []
        left = fis_world.left_behind(self._filled)
        if left and not self.leaves:
            told = f"FIS does not take {', '.join(left)} back; say in `leaves` why that may stay, or give it a duration"
            wrong.append(Wrong((), told))
        return wrong

    @property
    def _filled(self) -> dict[str, Node]:
        """The template with its parameters put in."""
        return cast("dict[str, Node]", fill(cast("dict[str, Node]", self.template), self.parameters))

    # -- when the runbook is read --------------------------------------------------------------------------

    @classmethod
    def whole(cls, given: Mapping[str, Any], beside: Callable[[str], Doc]) -> Mapping[str, Any]:
        """Put the template of a file in its place: a compiled plan needs no file. ``Invalid`` with what is wrong."""
        template = given.get("template")
        if not isinstance(template, str) or is_open(template) or not fis_template.is_file(template):
            return given
        return {**given, "template": closed(fis_template.read(beside(template)))}

    @classmethod
    def guard(cls, given: Mapping[str, Any], step: str) -> Follow | None:
        """Give the probe that watches over the experiment while the drill lives."""
        del given
        return Follow("fis.experiment_state", {"step": step}, f"The experiment of {step} has not ended badly.", EVERY_S)

    def of(self, drill: str, step: str) -> Self:
        """Take the name by which the experiment is found again: that of the drill's step."""
        self._whose = f"{drill}/{step}"
        return self

    def self_expiry(self) -> timedelta | None:
        """Give when FIS takes its first effect back; of a template by id that does not say so, at once."""
        if isinstance(self.template, str):
            return self.healed_after or timedelta()
        return heals_after(self._filled)

    @classmethod
    def unarmable(cls, given: Mapping[str, Any]) -> str:
        """Say that no schedule is needed: FIS ends its experiments by itself."""
        del given
        return "FIS ends the experiment by itself, and its id is not known before it begins"

    # -- before and during ---------------------------------------------------------------------------------

    @property
    def _token(self) -> str:
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return fis_world.token(self._whose or content)

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name everything the targets of the template choose from, by tags or by ARN, before filters and counts."""
        return fis_world.targets(aws, self._read(aws))

    def capture(self, aws: Aws) -> Before:
        """Look whether it may begin: the safety lever, the alarms that stop it, and what the template says.

        ``Rejected`` when the lever is engaged, an alarm is open or missing, or a template by id is not fit.
        """
        fis_world.refuse_lever(aws)
        template = self._read(aws)
        if isinstance(self.template, str):
            self._refuse_unfit(template)
        stops = fis_world.refuse_open_alarms(aws, template)
        return Before(region=aws.place.region, token=self._token, stops=[*stops])

    def already(self, aws: Aws) -> Observation:
        """Say whether the experiment of this step runs, or has completed; one that ended badly gives no answer."""
        seen = fis_world.newest(aws, self._token)
        if seen is None:
            return Observation(ok=False, detail="no experiment of this step has begun")
        if seen.status in BAD:
            return Observation(ok=None, detail=seen.tell())
        kept = fis_world.templates(aws, self._token)
        told = f"{seen.tell()}, and its template is still there" if kept else seen.tell()
        return Observation(ok=not kept, detail=told)

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Start the experiment, or find the one that this step has started."""
        fis: Any = aws.client("fis")
        token = before.text("token")
        with mapped(writes=True):
            mine = fis_world.experiments(aws, token)
        standing = next((one for one in mine if one.status in UNDER_WAY | GOOD), None)
        if standing is not None:
            fis_world.delete_templates(aws, token)
            return Receipt(experiment=standing.id, token=token)
        # An experiment that was stopped stays stopped: asked for again, it is another one.
        attempt = f"{token}-{len(mine)}"
        tags = {**self._tags, MANAGED_BY: OWNER, TOKEN: token}
        template = self.template if isinstance(self.template, str) else self._created(aws, attempt, tags)
        try:
            with mapped(writes=True):
                answer = fis.start_experiment(clientToken=attempt, experimentTemplateId=template, tags=tags)
        except (Rejected, Busy) as error:
            try:
                fis_world.delete_templates(aws, token)  # what was refused leaves nothing behind
            except WorkError as left:
                raise Unanswered(f"{error}; and its template may still be there: {left}") from error
            raise
        receipt = Receipt(experiment=str(answer["experiment"]["id"]), token=token)
        try:
            fis_world.delete_templates(aws, token)  # a running experiment does not need it any more
        except WorkError as error:
            raise Partly(f"the experiment has begun, and its template is still there: {error}", receipt) from error
        return receipt

    def in_effect(self, aws: Aws) -> Observation:
        """Say whether the experiment runs and one of its actions has begun; an end that is bad is final."""
        seen = fis_world.newest(aws, self._token)
        if seen is None:
            return Observation(ok=False, detail="no experiment of this step has begun")
        return fis_world.effect(fis_world.whole(aws, seen.id))

    # -- taking back ---------------------------------------------------------------------------------------

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Stop what this step has started, and delete what is left of its template."""
        del receipt  # The tags say which experiment is ours.
        token = before.text("token")
        with mapped(writes=True):
            mine = fis_world.experiments(aws, token)
        for one in mine:
            if one.status in UNDER_WAY:
                _stop(aws, one)
        fis_world.delete_templates(aws, token)
        stopped = [one.id for one in mine if one.status in UNDER_WAY]
        told = f"experiment {', '.join(stopped)} stopped" if stopped else _over(mine)
        return Undone(f"{told}; what it leaves: {self.leaves}" if self.leaves and mine else told)

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether no experiment of this step goes on, and FIS has taken back what it takes back."""
        token = before.text("token")
        with mapped(writes=False):
            mine = fis_world.experiments(aws, token)
        left = [now for one in mine if not one.over and not (now := fis_world.now(aws, one.id)).over]
        kept = fis_world.templates(aws, token)
        told = left[0].tell() if left else f"the template {', '.join(kept)} is still there" if kept else _over(mine)
        return Observation(ok=not left and not kept, detail=told)

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the commands that find the experiment and stop it."""
        region, token = before.get("region", "REGION"), before.get("token", "TOKEN")
        query = f"experiments[?contains(to_string(tags), '{token}')].[id, state.status]"
        return (
            f'aws fis list-experiments --region {region} --query "{query}" --output text',
            f"aws fis stop-experiment --region {region} --id EXPERIMENT_ID",
        )

    # -- the small parts -----------------------------------------------------------------------------------

    def _read(self, aws: Aws) -> dict[str, Node]:
        if not isinstance(self.template, str):
            return self._filled
        return fis_world.template(aws, self.template)

    def _refuse_unfit(self, template: Table) -> None:
        found = fis_template.errors(fis_template.check(template))
        if found:
            raise Rejected(f"template {self.template}: {'; '.join(one.message for one in found)}")
        left = fis_world.left_behind(template)
        if left and not self.leaves:
            raise Rejected(
                f"template {self.template}: FIS does not take {', '.join(left)} back; say in `leaves` why not"
            )
        heals = heals_after(template)
        if self.healed_after is not None and heals is not None and heals < self.healed_after:
            told = f"FIS takes its first effect back after {heals}, and `heals_after` says {self.healed_after}"
            raise Rejected(f"template {self.template}: {told}")

    @property
    def _tags(self) -> dict[str, str]:
        """The tags that the template itself wants: its experiment carries them too."""
        given: Table = {} if isinstance(self.template, str) else table(self._filled.get("tags"))
        return {name: str(value) for name, value in given.items()}

    def _created(self, aws: Aws, attempt: str, tags: Mapping[str, str]) -> str:
        """Create the template, unless an earlier attempt has; gives its id."""
        kept = fis_world.templates(aws, tags[TOKEN])
        if kept:
            return kept[0]
        fis: Any = aws.client("fis")
        with mapped(writes=True):
            # Never the same token twice: what was deleted must not be answered as if it were still there.
            once = f"{attempt}-{uuid.uuid4().hex[:8]}"
            made = fis.create_experiment_template(**{**self._filled, "clientToken": once, "tags": dict(tags)})
        return str(made["experimentTemplate"]["id"])


def _stop(aws: Aws, one: Seen) -> None:
    """Stop an experiment; one that ended between the look and the call needs no stopping, whatever FIS says of it."""
    try:
        with mapped(writes=True):
            aws.client("fis").stop_experiment(id=one.id)
    except Rejected:
        if not fis_world.now(aws, one.id).over:
            raise


def _over(mine: tuple[Seen, ...]) -> str:
    return f"nothing to stop: {mine[0].tell()}" if mine else "nothing to stop: no experiment of this step has begun"
