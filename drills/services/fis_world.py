"""What stands in FIS: experiments and templates of a step, what they touch, and whether one may begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from drills import digest
from drills.aws.classify import error_code, mapped
from drills.errors import Rejected
from drills.fis.catalogue import Heals, actions
from drills.fis.template import alarm_name, alarms, table, tables, texts
from drills.fis.timing import takes_back
from drills.services.tags import labels
from drills.timeline.facts import Facts
from drills.work import Observation, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from drills.fis.template import Table
    from drills.work import Aws
    from drills.yamldoc import Node

TOKEN: Final = "drills:token"  # noqa: S105 - the key of a tag
"""The tag by which a step finds what it has started again."""
STARTING: Final = frozenset({"pending", "initiating"})
UNDER_WAY: Final = frozenset({*STARTING, "running"})
GOOD: Final = frozenset({"completed"})
BAD: Final = frozenset({"stopping", "stopped", "failed", "cancelled"})
OVER: Final = frozenset({"completed", "stopped", "failed", "cancelled"})
MOST: Final = 5_000
"""Experiments and templates that are looked through: FIS keeps an experiment for 120 days, a region 500 templates."""
MOST_TARGETS: Final = 1_000
AGAIN_S: Final = 0.5
"""How soon a second look is worth it: FIS answers few calls in a second."""
LEVER: Final = "default"
"""The one safety lever of an account in a region."""
_TEMPLATE: Final = frozenset(
    {
        "description",
        "targets",
        "actions",
        "stopConditions",
        "roleArn",
        "logConfiguration",
        "experimentOptions",
        "experimentReportConfiguration",
    }
)
_TAGGED: Final = {
    "aws:dynamodb:global-table": "dynamodb:table",
    "aws:ec2:autoscaling-group": "autoscaling:autoScalingGroup",
    "aws:ec2:ebs-volume": "ec2:volume",
    "aws:ec2:spot-instance": "ec2:instance",
    "aws:elasticache:redis-replicationgroup": "elasticache:replicationgroup",
    "aws:s3:bucket": "s3",
}
"""How the tagging API calls a resource type where it is not FIS's name without ``aws:``."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An experiment as it was seen."""

    id: str
    status: str
    reason: str = ""
    created: float = 0.0

    @property
    def over(self) -> bool:
        """Whether it has ended, and FIS has taken back what it takes back."""
        return self.status in OVER

    def tell(self) -> str:
        """Say how it stands, with FIS's own reason."""
        return f"experiment {self.id} is {self.status}" + (f": {self.reason}" if self.reason else "")


def token(whose: str) -> str:
    """Give the token of a step: the same from every process, and no other's."""
    return f"drills-{digest.of(whose)[:32]}"


def experiments(aws: Aws, mine: str) -> tuple[Seen, ...]:
    """Give the experiments with this token, newest first; ``Rejected`` when there are too many to be sure of them.

    Raises what botocore raises.
    """
    fis: Any = aws.client("fis")
    pages = fis.get_paginator("list_experiments").paginate(PaginationConfig={"MaxItems": MOST + 1, "PageSize": 100})
    every = [one for page in pages for one in page["experiments"]]
    if len(every) > MOST:
        told = f"{aws.place.region} has more than {MOST} experiments, and those of this step may be among the rest"
        raise Rejected(f"{told}: look for the tag {TOKEN}={mine} by hand")
    found = [as_seen(one) for one in every if one.get("tags", {}).get(TOKEN) == mine]
    return tuple(sorted(found, key=lambda one: -one.created))


def newest(aws: Aws, mine: str) -> Seen | None:
    """Give the newest experiment with this token, with FIS's reason; None when there is none."""
    with mapped(writes=False):
        found = experiments(aws, mine)
    return found[0] if found else None


def whole(aws: Aws, identity: str) -> Mapping[str, Any]:
    """Read one experiment with its actions."""
    fis: Any = aws.client("fis")
    with mapped(writes=False):
        return cast("Mapping[str, Any]", fis.get_experiment(id=identity)["experiment"])


def now(aws: Aws, identity: str) -> Seen:
    """Read how one experiment stands, with FIS's reason."""
    return as_seen(whole(aws, identity))


def effect(experiment: Mapping[str, Any]) -> Observation:
    """Say whether an experiment is in effect: it runs and an action has begun, or it completed and did something."""
    seen, states = as_seen(experiment), _actions(experiment)
    value = Facts(experiment=seen.id, state=seen.status)
    if seen.status in BAD:
        return Observation(ok=False, detail=_why(seen, states), value=value, final=seen.over)
    acted = {name: state for name, state in states.items() if state in {"running", "completed"}}
    if seen.status in GOOD and not acted:
        told = f"{seen.tell()}; every action was skipped, so nothing was broken: no target was found"
        return Observation(ok=False, detail=told, value=value, final=True)
    told = ", ".join(f"{name} {state}" for name, state in states.items())
    ok = seen.status in GOOD or (seen.status == "running" and bool(acted))
    return Observation(ok=ok, detail=f"{seen.tell()} ({told})", value=value, again_s=AGAIN_S)


def template(aws: Aws, identity: str) -> dict[str, Node]:
    """Read a template as CreateExperimentTemplate would take it; ``Rejected`` when there is none of that id."""
    fis: Any = aws.client("fis")
    with mapped(writes=False):
        found = cast("dict[str, Node]", fis.get_experiment_template(id=identity)["experimentTemplate"])
    return {name: value for name, value in found.items() if name in _TEMPLATE}


def templates(aws: Aws, mine: str) -> tuple[str, ...]:
    """Give the ids of the templates with this token."""
    fis: Any = aws.client("fis")
    with mapped(writes=False):
        pages = fis.get_paginator("list_experiment_templates").paginate(
            PaginationConfig={"MaxItems": MOST, "PageSize": 100}
        )
        found = [one for page in pages for one in page["experimentTemplates"]]
    return tuple(str(one["id"]) for one in found if one.get("tags", {}).get(TOKEN) == mine)


def delete_templates(aws: Aws, mine: str) -> None:
    """Delete the templates with this token; one that is gone already is fine."""
    fis: Any = aws.client("fis")
    for identity in templates(aws, mine):
        with mapped(writes=True):
            try:
                fis.delete_experiment_template(id=identity)
            except fis.exceptions.ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise


# -- whether it may begin --------------------------------------------------------------------------------------


def lever(aws: Aws) -> tuple[str, str]:
    """Read the safety lever of the account in this region: its state, and why it is so."""
    fis: Any = aws.client("fis")
    with mapped(writes=False):
        state = fis.get_safety_lever(id=LEVER)["safetyLever"]["state"]
    return str(state["status"]), str(state.get("reason", ""))


def refuse_lever(aws: Aws) -> None:
    """Raise ``Rejected`` unless the safety lever is disengaged."""
    status, reason = lever(aws)
    if status != "disengaged":
        told = f"the safety lever of account {aws.place.account} in {aws.place.region} is {status}"
        raise Rejected(f"{told}{f' ({reason})' if reason else ''}: FIS starts nothing; disengage it first")


def refuse_open_alarms(aws: Aws, given: Table) -> tuple[str, ...]:
    """Give the names of the alarms that stop a template; ``Rejected`` when one is missing or open.

    One without data yet does not stop the start, as in FIS itself.
    """
    names = tuple(alarm_name(arn) for arn in alarms(given))
    cloudwatch: Any = aws.client("cloudwatch")
    with mapped(writes=False):
        answer = cloudwatch.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    states = {
        one["AlarmName"]: one["StateValue"] for one in (*answer["MetricAlarms"], *answer.get("CompositeAlarms", []))
    }
    missing = [name for name in names if name not in states]
    if missing:
        told = f"there is no alarm {', '.join(missing)} in {aws.place.region}"
        raise Rejected(f"{told}: a stop condition that is not there stops nothing")
    wrong = [f"{name} is {state}" for name, state in states.items() if state == "ALARM"]
    if wrong:
        raise Rejected(f"{', '.join(wrong)}, and would stop the experiment at once; mend that first")
    return names


def left_behind(given: Table) -> tuple[str, ...]:
    """Name the actions of a template that nobody takes back when the experiment is over, sorted."""
    found: set[str] = set()
    for one in tables(given.get("actions")).values():
        known = actions().get(str(one.get("actionId", "")))
        if known is not None and known.heals in {Heals.NEVER, Heals.LASTS} and not takes_back(known, one):
            found.add(known.id)
    return tuple(sorted(found))


# -- what it touches -------------------------------------------------------------------------------------------


def targets(aws: Aws, given: Table) -> tuple[Target, ...]:
    """Name everything a template's targets choose from; work without a target is named by its action."""
    found: dict[str, Target] = {}
    for one in tables(given.get("targets")).values():
        for target in _chosen(aws, one):
            found[target.id] = target
    for one in tables(given.get("actions")).values():
        known = actions().get(str(one.get("actionId", "")))
        if known is None or (not known.target_key and known.heals is not Heals.HARMLESS):
            name = str(one.get("actionId", ""))
            found[name] = Target(name)
    return tuple(found.values())


def _chosen(aws: Aws, given: Table) -> Iterator[Target]:
    kind = str(given.get("resourceType", ""))
    arns, tags = texts(given.get("resourceArns")), table(given.get("resourceTags"))
    if arns:
        known = dict(_tagged(aws, ResourceARNList=list(arns)))
        yield from (Target(short(arn), known.get(arn)) for arn in arns)
        return
    if not tags and (inside := table(given.get("parameters"))):
        yield Target(":".join([kind, *(f"{name}={value}" for name, value in sorted(inside.items()))]))
        return
    if not tags:
        raise Rejected(f"a target of type {kind} names neither ARNs nor tags: what it would touch is everything there")
    filters = [{"Key": key, "Values": [str(value)]} for key, value in tags.items()]
    named = _TAGGED.get(kind, kind.removeprefix("aws:"))
    for arn, labels_ in _tagged(aws, TagFilters=filters, ResourceTypeFilters=[named]):
        yield Target(short(arn), labels_)


def _tagged(aws: Aws, **asked: Any) -> Iterator[tuple[str, Facts]]:
    tagging: Any = aws.client("resourcegroupstaggingapi")
    with mapped(writes=False):
        pages = tagging.get_paginator("get_resources").paginate(
            PaginationConfig={"MaxItems": MOST_TARGETS + 1}, **asked
        )
        found = [
            (str(one["ResourceARN"]), labels(one["Tags"])) for page in pages for one in page["ResourceTagMappingList"]
        ]
    if len(found) > MOST_TARGETS:
        raise Rejected(f"its tags choose more than {MOST_TARGETS} resources; choose fewer")
    yield from found


def short(arn: str) -> str:
    """Give the last part of an ARN, by which other work names the same thing."""
    return arn.rpartition("/")[2] if "/" in arn else arn.rpartition(":")[2]


def as_seen(one: Mapping[str, Any]) -> Seen:
    """Read how an experiment stands from what FIS answered."""
    state, created = one.get("state", {}), one.get("creationTime")
    stamp = created.timestamp() if created is not None and hasattr(created, "timestamp") else float(created or 0)
    return Seen(str(one["id"]), str(state.get("status", "")), str(state.get("reason", "")), stamp)


def _actions(experiment: Mapping[str, Any]) -> dict[str, str]:
    """Give the state of each action that breaks something; of all, where none does."""
    given: Mapping[str, Any] = experiment.get("actions", {})
    states = {name: str(one.get("state", {}).get("status", "")) for name, one in given.items()}
    faults = [
        name
        for name, one in given.items()
        if (known := actions().get(str(one.get("actionId", "")))) is None or known.heals is not Heals.HARMLESS
    ]
    return {name: states[name] for name in faults} or states


def _why(seen: Seen, states: Mapping[str, str]) -> str:
    bad: Sequence[str] = [f"{name} {state}" for name, state in states.items() if state in BAD]
    return f"{seen.tell()} ({', '.join(bad)})" if bad else seen.tell()
