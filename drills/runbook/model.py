"""What a person writes in a runbook. Read once, checked whole, frozen; it knows no account and runs nothing."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import Field, JsonValue, model_validator

from drills.runbook.availability import Availability
from drills.runbook.fields import Name, Scalar, Span, Text, Wait, Written, mapping
from drills.runbook.ledgers import Data
from drills.runbook.objectives import Target, long_form
from drills.timeline.marks import Mark
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.yamldoc import Where


class Strategy(StrEnum):
    """How the service is meant to survive."""

    BACKUP_RESTORE = "backup-restore"
    PILOT_LIGHT = "pilot-light"
    WARM_STANDBY = "warm-standby"
    ACTIVE_ACTIVE = "active-active"
    MULTI_AZ = "multi-az"
    FAULT_INJECTION = "fault-injection"


_KINDS: Final = tuple(Kind)

FAILOVER: Final = frozenset({Strategy.BACKUP_RESTORE, Strategy.PILOT_LIGHT, Strategy.WARM_STANDBY})
"""Strategies in which authority over the data moves, so that the old side must be fenced."""


class Only(StrEnum):
    """A mode to which a step can be limited."""

    REHEARSE = "rehearse"
    RUN = "run"
    INCIDENT = "incident"


class ParameterType(StrEnum):
    """What a parameter holds. A secret is a reference (``env:``, ``secretsmanager:``, ``ssm:``), never the secret."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    SECRET = "secret"  # noqa: S105 - the word itself


class Parameter(Written):
    """A value that may be set when a drill starts."""

    type: ParameterType = ParameterType.STRING
    default: Scalar | None = None
    help: Text | None = None


class RecoveryPoint(Written):
    """A probe that says when a recovery point is, for where markers cannot reach: shown beside them, as evidence."""

    id: Name
    probe: Text
    at: Name
    with_: dict[str, JsonValue] = Field(default_factory=dict, alias="with")
    timeout: Span = timedelta(seconds=20)


class Measure(Written):
    """Who watches, from before the first step until the service has been stable."""

    availability: tuple[Availability, ...] = ()
    data: tuple[Data, ...] = ()
    recovery_points: tuple[RecoveryPoint, ...] = ()
    baseline: Wait = timedelta(seconds=2)


class Retry(Written):
    """How often a step may be begun in all."""

    attempts: int = Field(default=3, ge=1, le=20)


class Do(StrEnum):
    """What happens when a step does not end well."""

    HOLD = "hold"
    CONTINUE = "continue"
    UNDO = "undo"
    ASK = "ask"
    RUN = "run"


class Failing(Written):
    """``on_failure``: a word, or ``{run: STEP}``."""

    do: Do = Field(default=Do.HOLD, exclude=True)
    run: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        words = ("hold", "continue", "undo", "ask")
        if isinstance(value, str) and value in words:
            return {"do": value}
        given = mapping(value)
        if given is not None and set(given) == {"run"}:
            return {"do": "run", **given}
        raise ValueError(f"write one of {', '.join(words)}, or {{run: STEP}}")


class Step(Written):
    """One step, or a ``parallel:`` block of steps that wait only for what stands above the block."""

    id: Name | None = None
    say: Text | None = None
    action: Text | None = None
    fault: Text | None = None
    probe: Text | None = None
    operator: Text | None = None
    parallel: tuple[Step, ...] | None = None
    at: Name | None = None
    with_: dict[str, JsonValue] = Field(default_factory=dict, alias="with")
    by_hand: Text | None = None
    needs: tuple[Name, ...] | None = None
    only: tuple[Only, ...] = ()
    when: Text | None = None
    show: tuple[Text, ...] = ()
    mark: Mark | None = None
    expect: Span | None = None
    timeout: Span | None = None
    every: Span | None = None
    tolerance: int = Field(default=0, ge=0, le=1000)
    retry: Retry = Retry.model_construct(attempts=3)
    best_effort: Span | None = None
    on_failure: Failing = Failing.model_construct(do=Do.HOLD, run=None)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Every kind this step says it is: exactly one when it is right."""
        return tuple([kind for kind in _KINDS if getattr(self, kind) is not None])

    @property
    def uses(self) -> str:
        """The name in the catalogue, empty when the step names none."""
        return str(getattr(self, self.kinds[0])) if self.kinds else ""


class End(Written):
    """``finally``: ``keep``, ``undo`` or ``{failback: NAME}``."""

    undo: bool = False
    failback: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str) and value in ("keep", "undo"):
            return {"undo": value == "undo"}
        given = mapping(value)
        if given is not None and set(given) == {"failback"}:
            return given
        raise ValueError("write keep, undo, or {failback: NAME of a runbook beside this one}")


class Listed(NamedTuple):
    """One step where it stands: its section, its path in the file, and its block among ``steps``."""

    section: str
    where: Where
    block: int
    step: Step


class Runbook(Written):
    """A whole runbook, written against the sites ``from`` and ``to``."""

    runbook: Name
    title: Text
    strategy: Strategy | None = None
    service: Text | None = None
    severity: Text | None = None
    owner: Text | None = None
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    objectives: dict[Name, Target] = Field(default_factory=dict)
    measure: Measure = Field(default_factory=Measure)
    before: tuple[Step, ...] = ()
    guard: tuple[Step, ...] = ()
    steps: tuple[Step, ...]
    after: tuple[Step, ...] = ()
    finally_: End = Field(default=End.model_construct(undo=False, failback=None), alias="finally")
    no_fence: Text | None = None
    deadline: Span | None = None
    hold_for: Wait = timedelta(minutes=15)
    dead_man: Span | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_objectives(cls, value: Any) -> Any:
        """Write out ``rto: 5m`` as its two marks, and add them to ``rto: {within: 5m}``."""
        given = mapping(value)
        goals = None if given is None else mapping(given.get("objectives"))
        if given is None or goals is None:
            return value
        return {**given, "objectives": {name: long_form(name, goal) for name, goal in goals.items()}}

    def listed(self) -> Iterator[Listed]:
        """Give every step in reading order, those inside parallel blocks too."""
        for section in ("before", "guard", "steps", "after"):
            top: tuple[Step, ...] = getattr(self, section)
            for number, step in enumerate(top):
                where = (section, number)
                if step.parallel is None:
                    yield Listed(section, where, number, step)
                    continue
                for inner, item in enumerate(step.parallel):
                    yield Listed(section, (*where, "parallel", inner), number, item)

    def points(self) -> Iterator[Listed]:
        """Give each recovery point that is asked for as the probe step that asks for it."""
        for number, one in enumerate(self.measure.recovery_points):
            where = ("measure", "recovery_points", number)
            asks = Step.model_construct(id=one.id, probe=one.probe, at=one.at, with_=one.with_, timeout=one.timeout)
            yield Listed("before", where, number, asks)
