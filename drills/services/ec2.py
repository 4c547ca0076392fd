"""EC2 instances: stop them, start them, see that they run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field, model_validator

from drills.aws.classify import mapped
from drills.errors import Missing, Rejected
from drills.services.spec import ActionSpec, FaultSpec, ProbeSpec, Spec, Wrong, refuse
from drills.services.tags import labels, sentence
from drills.services.undo_calls import commands
from drills.timeline.facts import Before, Facts, Receipt
from drills.work import Aws, Cost, Observation, Target, UndoCall, Undone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef

RUN: Final = ("running", "pending")
REST: Final = ("stopped", "stopping")
GONE: Final = frozenset({"shutting-down", "terminated"})
MOST_FOUND: Final = 1000


@dataclass(frozen=True, slots=True)
class _Seen:
    """The chosen instances and their states."""

    states: dict[str, str]

    def in_state(self, *states: str) -> list[str]:
        """Give the instances that are in one of these states."""
        return sorted(instance for instance, state in self.states.items() if state in states)

    def tell(self) -> str:
        """Say how many are in which state."""
        counts = {state: list(self.states.values()).count(state) for state in sorted(set(self.states.values()))}
        return ", ".join(f"{count} {state}" for state, count in counts.items()) or "no instance"


class _Chosen(Spec):
    """Which instances: by id, or by tags with an upper bound."""

    ids: tuple[str, ...] = Field(default=(), max_length=100, description="Instance ids.")
    tags: dict[str, str] = Field(default_factory=dict, description="All of these tags must be there.")
    most: int = Field(default=10, ge=1, le=500, description="More instances than this behind the tags are refused.")

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if bool(self.ids) == bool(self.tags):
            refuse(self.name, [Wrong((), "choose the instances by `ids` or by `tags`, one of the two")])
        return self

    def _look(self, aws: Aws) -> _Seen:
        """Read the states of the chosen instances; those behind tags without the ones that are gone."""
        if self.ids:
            return look(aws, self.ids)
        named: list[FilterTypeDef] = [{"Name": f"tag:{key}", "Values": [value]} for key, value in self.tags.items()]
        seen = _describe(aws, named)
        alive = _Seen({instance: state for instance, state in seen.states.items() if state not in GONE})
        if len(alive.states) > self.most:
            raise Rejected(
                f"the tags choose {len(alive.states)} instances, at most {self.most} are allowed: see `most`"
            )
        return alive

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name the chosen instances."""
        ec2: EC2Client = aws.client("ec2")
        with mapped(writes=False):
            chosen = self._look(aws)
            pages = (
                ec2.get_paginator("describe_instances").paginate(InstanceIds=[*chosen.states]) if chosen.states else ()
            )
            found = [one for page in pages for group in page["Reservations"] for one in group.get("Instances", [])]
        if not found:
            raise Missing(f"there is no instance {self._named()} in {aws.place.region} of account {aws.place.account}")
        return tuple(Target(one.get("InstanceId", ""), labels(one.get("Tags", []))) for one in found)

    def _named(self) -> str:
        return sentence(self.ids) if self.ids else f"with the tags {self.tags}"

    def _capture(self, aws: Aws) -> Before:
        with mapped(writes=False):
            seen = self._look(aws)
        if not seen.states:
            raise Missing(f"there is no instance {self._named()} in {aws.place.region}")
        gone = seen.in_state(*GONE)
        if gone:
            raise Rejected(f"{sentence(gone)} is terminated")
        return Before(region=aws.place.region, states=dict(seen.states))


def look(aws: Aws, ids: Iterable[str]) -> _Seen:
    """Read the states of instances by id; AWS refuses ids it does not know."""
    ec2: EC2Client = aws.client("ec2")
    answer = ec2.describe_instances(InstanceIds=list(ids))
    return _Seen(
        {
            instance.get("InstanceId", ""): instance.get("State", {}).get("Name", "")
            for reservation in answer["Reservations"]
            for instance in reservation.get("Instances", [])
        }
    )


def _describe(aws: Aws, filters: list[FilterTypeDef]) -> _Seen:
    ec2: EC2Client = aws.client("ec2")
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters, PaginationConfig={"MaxItems": MOST_FOUND})
    return _Seen(
        {
            instance.get("InstanceId", ""): instance.get("State", {}).get("Name", "")
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation.get("Instances", [])
        }
    )


class StopInstances(_Chosen, FaultSpec):
    """Stop instances, and start again those that ran before when the fault is taken back.

    Instances of an Auto Scaling group are replaced when they stop: set its capacity instead, or suspend it.
    ``force`` skips the shutdown of the operating system, as losing the host would.

    .. code-block:: yaml

        fault: ec2.stop_instances
        with:
          tags: {service: orders, role: app}
          most: 4
          force: true
    """

    name: ClassVar[str] = "ec2.stop_instances"
    cost: ClassVar[Cost] = Cost.NONE
    permissions: ClassVar[tuple[str, ...]] = ("ec2:DescribeInstances", "ec2:StartInstances", "ec2:StopInstances")
    holds_authority: ClassVar[bool] = True  # what was stopped may hold the old writer
    effect_timeout: ClassVar[timedelta] = timedelta(minutes=5)
    restore_timeout: ClassVar[timedelta] = timedelta(minutes=10)  # one that is stopping must have stopped first

    force: bool = Field(default=False, description="Do not wait for the operating system.")

    def capture(self, aws: Aws) -> Before:
        """Remember the state of each."""
        return self._capture(aws)

    def already(self, aws: Aws) -> Observation:
        """Say whether none of them runs."""
        with mapped(writes=False):
            seen = self._look(aws)
        stopped = seen.in_state("stopped")
        return Observation(ok=len(stopped) == len(seen.states) > 0, detail=seen.tell(), value=Facts(stopped=[*stopped]))

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Stop those that ran."""
        ec2: EC2Client = aws.client("ec2")
        targets = _were(before, *RUN)
        if targets:
            with mapped(writes=True):
                ec2.stop_instances(InstanceIds=targets, Force=self.force)
        return Receipt(stopped=[*targets])

    def in_effect(self, aws: Aws) -> Observation:
        """Say whether all are stopped."""
        return self.already(aws)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Start those that ran before and are stopped now."""
        del receipt
        ec2: EC2Client = aws.client("ec2")
        # A start while one is still stopping is refused as a passing state, and asked for again.
        return _back(aws, _were(before, *RUN), REST, lambda ids: ec2.start_instances(InstanceIds=ids), "started")

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether all that ran are running."""
        return _all_in(aws, _were(before, *RUN), "running")

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the command that starts them."""
        return commands(self.undo_calls(before), before)

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        """Start those that ran."""
        return _calls("StartInstances", _were(before, *RUN))


class StartInstances(_Chosen, ActionSpec):
    """Start instances, such as a pilot light's; taking it back stops those that were stopped before.

    .. code-block:: yaml

        action: ec2.start_instances
        with:
          ids: [i-0123456789abcdef0]
    """

    name: ClassVar[str] = "ec2.start_instances"
    cost: ClassVar[Cost] = Cost.CAPACITY
    permissions: ClassVar[tuple[str, ...]] = ("ec2:DescribeInstances", "ec2:StartInstances", "ec2:StopInstances")
    restore_timeout: ClassVar[timedelta] = timedelta(minutes=10)  # an operating system may take its time to shut down

    def capture(self, aws: Aws) -> Before:
        """Remember the state of each."""
        return self._capture(aws)

    def already(self, aws: Aws) -> Observation:
        """Say whether all of them run."""
        with mapped(writes=False):
            seen = self._look(aws)
        return Observation(ok=len(seen.in_state("running")) == len(seen.states) > 0, detail=seen.tell())

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Start those that were stopped."""
        ec2: EC2Client = aws.client("ec2")
        targets = _were(before, *REST)
        if targets:
            with mapped(writes=True):
                ec2.start_instances(InstanceIds=targets)
        return Receipt(started=[*targets])

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Stop those that were stopped before and run now."""
        del receipt
        ec2: EC2Client = aws.client("ec2")
        return _back(aws, _were(before, *REST), RUN, lambda ids: ec2.stop_instances(InstanceIds=ids), "stopped")

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether all that were stopped are stopped."""
        return _all_in(aws, _were(before, *REST), "stopped")

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the command that stops them."""
        return commands(self.undo_calls(before), before)

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        """Stop those that were stopped."""
        return _calls("StopInstances", _were(before, *REST))


class InstancesRunning(_Chosen, ProbeSpec):
    """Say whether instances run: all of them, or at least ``count``.

    .. code-block:: yaml

        probe: ec2.instances_running
        with:
          tags: {service: orders}
          count: 2
    """

    name: ClassVar[str] = "ec2.instances_running"
    permissions: ClassVar[tuple[str, ...]] = ("ec2:DescribeInstances",)

    count: int | None = Field(default=None, ge=1, description="How many are enough; without it, all.")

    def observe(self, aws: Aws) -> Observation:
        """Look at the instances once."""
        with mapped(writes=False):
            seen = self._look(aws)
        running = len(seen.in_state("running"))
        enough = self.count if self.count is not None else max(1, len(seen.states))
        return Observation(
            ok=running >= enough, detail=f"{seen.tell()}; {enough} must run", value=Facts(running=running)
        )


def _were(before: Before, *states: str) -> list[str]:
    known = before.record("states") if "states" in before else Facts()
    return sorted(instance for instance, state in known.items() if state in states)


def _back(
    aws: Aws, ids: list[str], states: tuple[str, ...], change: Callable[[list[str]], object], told: str
) -> Undone:
    """Change those of the instances that are in one of these states; what was terminated since is left alone."""
    with mapped(writes=True):
        seen = look(aws, ids) if ids else _Seen({})
        changed = seen.in_state(*states)
        if changed:
            change(changed)
    gone = seen.in_state(*GONE)
    left = f"{sentence(gone)} was terminated since" if gone else None
    return Undone(f"{len(changed)} of {len(ids)} instances {told}", left)


def _all_in(aws: Aws, ids: list[str], state: str) -> Observation:
    if not ids:
        return Observation(ok=True, detail="no instance had to be changed back")
    with mapped(writes=False):
        seen = look(aws, ids)
    return Observation(ok=len(seen.in_state(state)) == len(ids), detail=seen.tell())


def _calls(operation: str, ids: list[str]) -> tuple[UndoCall, ...]:
    return (UndoCall("ec2", operation, Facts(InstanceIds=[*ids])),) if ids else ()
