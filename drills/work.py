"""The contract between the engine and every action, fault and probe in the catalogue.

Two kinds of work: an Action changes, a Probe asks. A Fault is an Action that can always be taken back.
The engine calls, in this order and each at most once unless said otherwise::

    capture   reads only, once; its answer is on disk before perform
    already   reads only; is the goal there? (adoption, in-doubt steps, verifying an undo's opposite)
    perform   the one change; never waits, retries or logs
    undo      safe twice, safe when nothing happened, restores only what is still ours

Works are described by people in YAML, so the classes behind these protocols are pydantic models
(``drills.services.spec``); the engine sees only what stands here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import msgspec

from drills.aws.place import Place
from drills.timeline.facts import Facts

__all__ = [
    "Action",
    "Aws",
    "Cost",
    "Evidence",
    "Expiring",
    "Expressible",
    "Fault",
    "Kind",
    "Observation",
    "Place",
    "PointProbe",
    "Probe",
    "Restorable",
    "Reversible",
    "Shown",
    "Target",
    "UndoCall",
    "Undone",
]

if TYPE_CHECKING:
    from datetime import timedelta

    from drills.timeline.facts import Before, Receipt


class Kind(StrEnum):
    """What a step is, by the word that stands in the runbook."""

    ACTION = "action"
    FAULT = "fault"
    PROBE = "probe"
    OPERATOR = "operator"


class Cost(StrEnum):
    """What a change makes somebody pay for, from the least to the most."""

    NONE = "none"
    TRANSFER = "data transfer"
    CAPACITY = "hours of running capacity"
    STORAGE = "restored storage, until somebody deletes it"


class Shown(StrEnum):
    """What a question may show a person, beside parameters and what steps have seen."""

    DATA_AT_RISK = "data_at_risk"
    NEXT_ONE_WAY = "next_one_way"
    FORECAST_END = "forecast_end"
    IF_NO = "if_no"


class Evidence(StrEnum):
    """What a finished step proves beyond itself, for the judges of objectives."""

    REPLICATION_CUT = "replication_cut"
    """The survivor can have received nothing more from the old primary."""
    CONTENT_CHECKED = "content_checked"
    """The data itself was read and is what it should be."""
    RECOVERY_POINT = "recovery_point"
    """When the newest recovery point is, by the clock of the service that keeps it."""
    RESTORED_POINT = "restored_point"
    """To which moment a copy has been restored, by the clock of the service that restored it."""
    LAG = "lag"
    """How far behind the survivor is: a prediction of what would be lost, never what was."""


class Observation(msgspec.Struct, frozen=True):
    """One look at the world.

    ``ok`` None means the look itself gave no answer: never a yes. ``final`` ends a wait at once (a terminal
    failure state). ``again_s``: a look after that many seconds is worth more than one at the step's own pace.
    ``happened_utc_ns`` is when the thing seen took place by the server's clock, if it said.
    """

    ok: bool | None
    detail: str
    value: Facts = msgspec.field(default_factory=Facts)
    final: bool = False
    again_s: float | None = None
    happened_utc_ns: int | None = None


class Target(msgspec.Struct, frozen=True):
    """One thing a change would touch: its id, and its tags; None where it cannot be tagged."""

    id: str
    tags: Facts | None = None


class Aws(Protocol):
    """What work may touch: real boto3 clients of one place, and nothing else.

    The session behind it refuses writes when the work is a probe, a capture or an ``already``.
    """

    @property
    def place(self) -> Place:
        """Account, region and, in a sandbox, the endpoint and resolver."""
        ...

    def client(self, service: str) -> Any:
        """Give the cached boto3 client of ``service`` for this place."""
        ...

    def secret(self, reference: str) -> str:
        """Resolve ``env:NAME``, ``secretsmanager:ID[#KEY]`` or ``ssm:NAME``; anything else is returned as it is."""
        ...


@runtime_checkable
class Probe(Protocol):
    """One look. Waiting and repeating belong to the engine."""

    name: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]]
    evidence: ClassVar[frozenset[Evidence]]

    def observe(self, aws: Aws) -> Observation:
        """Look once."""
        ...


@runtime_checkable
class PointProbe(Probe, Protocol):
    """A look at a recovery point: its observation says when it is, in ``happened_utc_ns``."""

    told_by: ClassVar[str]


@runtime_checkable
class Action(Protocol):
    """One idempotent change.

    ``one_way`` says why there is no undo (None: undoable). ``authority`` marks a one-way change that moves
    authority (a promote, a global failover): the point of no return. ``holds_authority`` marks an undoable
    change whose undo would revive an old primary (fence, isolate): never healed past that point. ``cost`` is the
    most expensive class of what it makes somebody pay for.
    """

    name: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]]
    evidence: ClassVar[frozenset[Evidence]]
    one_way: ClassVar[str | None]
    authority: ClassVar[bool]
    holds_authority: ClassVar[bool]
    idempotent: ClassVar[bool]
    cost: ClassVar[Cost]

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name everything the change would touch. Reads only; asked by the scope gate before anything is changed."""
        ...

    def capture(self, aws: Aws) -> Before:
        """Read what will be changed. Reads only."""
        ...

    def already(self, aws: Aws) -> Observation:
        """Say whether the goal is there. Reads only."""
        ...

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Make the one change."""
        ...


@runtime_checkable
class Reversible(Action, Protocol):
    """An action that can be taken back.

    ``restore_timeout``: how long AWS may take, once the undo was answered, until ``restored`` sees it.
    """

    restore_timeout: ClassVar[timedelta]

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Bring back ``before`` unless somebody else has changed it since."""
        ...

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether what ``before`` holds is back. Reads only; asked after undo."""
        ...

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the AWS CLI commands with which a person finishes the undo."""
        ...


class UndoCall(msgspec.Struct, frozen=True):
    """One AWS call that takes a change back by itself: service and operation as boto3 names them, its parameters."""

    service: str
    operation: str
    parameters: Facts


@runtime_checkable
class Expressible(Reversible, Protocol):
    """An action whose undo is nothing but AWS calls, known before the change: it can be left to a schedule."""

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        """Give the calls that bring ``before`` back, each safe twice; ``by_hand`` tells the same ones."""
        ...


@runtime_checkable
class Expiring(Action, Protocol):
    """An action that can say when its change ends by itself, whoever drives the drill."""

    def self_expiry(self) -> timedelta | None:
        """Give how long after its beginning the change ends by itself, at the earliest; None: it never does.

        Such as the duration of a FIS experiment, or of a policy with ``aws:CurrentTime``. Reads nothing.
        """
        ...


@runtime_checkable
class Restorable(Reversible, Protocol):
    """An action that can bring back what was before even where somebody else has changed it since."""

    def restore(self, aws: Aws, before: Before) -> Undone:
        """Bring back ``before``, whatever is there now. Safe twice."""
        ...


@runtime_checkable
class Fault(Reversible, Protocol):
    """A reversible action that breaks something and can say when it is in effect."""

    effect_timeout: ClassVar[timedelta]

    def in_effect(self, aws: Aws) -> Observation:
        """Say whether the fault has taken effect. Reads only."""
        ...


class Undone(msgspec.Struct, frozen=True):
    """How an undo went: ``left_alone`` says what somebody else changed since and was therefore not touched."""

    detail: str
    left_alone: str | None = None
