"""What every action, fault and probe is made of: a frozen pydantic model of its ``with:`` fields.

A class docstring begins with an imperative sentence and ends with runnable YAML, which a test runs.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from drills import durations
from drills.errors import Rejected
from drills.timeline.facts import Before
from drills.work import Cost, Evidence, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from drills.timeline.facts import Json
    from drills.yamldoc import Doc, Where


LONGEST: Final = timedelta(days=30)


def _duration(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(durations.unitless(value))  # noqa: TRY004 - pydantic collects no TypeError
    span = durations.parse(value) if isinstance(value, str) else value
    if isinstance(span, timedelta) and span > LONGEST:
        raise ValueError(f"{value} is too long; write at most 30d")
    return span


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str),
    PlainSerializer(lambda value: f"{round(value.total_seconds() * 1000)}ms", return_type=str),
]
"""A duration as people write it (``90s``, ``5m``), held as a ``timedelta``."""


class Wrong(msgspec.Struct, frozen=True):
    """One thing wrong in the fields of a work: where below ``with:``, and a whole sentence with the repair."""

    where: Where
    message: str


def refuse(title: str, wrong: Iterable[Wrong]) -> None:
    """Raise pydantic's error for all that is wrong at once, each at its own field; nothing when nothing is."""
    from pydantic_core import InitErrorDetails, PydanticCustomError

    found = [
        InitErrorDetails(
            type=PydanticCustomError("sentence", "{told}", {"told": one.message}), loc=one.where, input=None
        )
        for one in wrong
    ]
    if found:
        raise ValidationError.from_exception_data(title, found, hide_input=True)


class Follow(msgspec.Struct, frozen=True):
    """The probe that tells when a change has taken effect, and its fields: the engine makes it a step of its own."""

    uses: str
    fields: Mapping[str, Json]
    say: str
    every_s: float | None = None
    """How often a guard looks, where that is not as often as guards do."""


class Told:
    """A class attribute that each instance answers for itself; the class alone gives ``otherwise``."""

    def __init__(self, ask: Callable[[Any], Any], otherwise: Any) -> None:
        self._ask = ask
        self._otherwise = otherwise

    def __get__(self, instance: object | None, owner: type) -> Any:
        """Answer for the instance, or for the class."""
        del owner
        return self._otherwise if instance is None else self._ask(instance)


class Spec(BaseModel):
    """The fields of one kind of work, as they stand under ``with:``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, strict=False)

    name: ClassVar[str]
    """The name in the catalogue, such as ``rds.promote_read_replica``."""
    permissions: ClassVar[tuple[str, ...]] = ()
    """The IAM actions it calls."""
    evidence: ClassVar[frozenset[Evidence]] = frozenset()
    """What a finished step of this kind proves."""
    varies: ClassVar[bool] = False
    """Whether what it declares depends on its fields: then each step is asked, and not the class."""
    decided_by: ClassVar[tuple[str, ...]] = ()
    """Fields that must be written out, never ``${named}``: whether a step can be taken back depends on them."""
    own_names: ClassVar[Mapping[str, frozenset[str]]] = MappingProxyType({})
    """Field -> heads of the ``${head.NAME}`` in it that the work itself fills in while it runs."""

    @classmethod
    def whole(cls, given: Mapping[str, Any], beside: Callable[[str], Doc]) -> Mapping[str, Any]:
        """Give the fields with all that stands in files of their own; ``beside`` reads such a file by its name.

        Asked once, when the runbook is read, so that a plan needs no other file. ``Invalid`` carries what is wrong.
        """
        del beside
        return given

    def of(self, drill: str, step: str) -> Self:
        """Learn whose work this is, before it acts: overridden by what must be found again by a name of its own."""
        del drill, step
        return self

    @classmethod
    def follow(cls, given: Mapping[str, Any], step: str) -> Follow | None:  # noqa: ARG003 - what most have no use for
        """Name the probe that follows the step of this id; None where ``perform`` itself is the end of it."""
        return None


class ProbeSpec(Spec):
    """A look; it defines ``observe``."""


class ActionSpec(Spec):
    """A change; it defines ``already`` and ``perform``, and ``undo``, ``restored``, ``by_hand`` unless ``one_way``."""

    one_way: ClassVar[str | None] = None
    authority: ClassVar[bool] = False
    holds_authority: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True
    cost: ClassVar[Cost] = Cost.NONE
    """The most expensive class of what the change makes somebody pay for."""
    restore_timeout: ClassVar[timedelta] = timedelta(minutes=2)
    """How long AWS may take, once the undo was answered, until ``restored`` sees what was there before."""

    def self_expiry(self) -> timedelta | None:
        """Say that it never ends by itself: overridden by every change that does (a FIS experiment, a dated policy)."""
        return None

    @classmethod
    def guard(cls, given: Mapping[str, Any], step: str) -> Follow | None:  # noqa: ARG003 - what most have no use for
        """Name the probe that watches over the whole drill because of the step of this id; None where none has to."""
        return None

    @classmethod
    def unarmable(cls, given: Mapping[str, Any]) -> str:
        """Say why the undo of a step with these fields cannot be left to a schedule; empty when it can."""
        del given
        return "" if hasattr(cls, "undo_calls") else "its undo is more than a plain AWS call"

    def targets(self, aws: Any) -> tuple[Target, ...]:  # noqa: ARG002 - what says nothing may touch anything
        """Refuse to guess: overridden by every change that can name what it touches."""
        raise Rejected(f"{self.name} does not say what it touches")

    def capture(self, aws: Any) -> Before:  # noqa: ARG002 - what nothing needs to remember
        """Remember nothing: overridden wherever undo needs to know what was there."""
        return Before()


class FaultSpec(ActionSpec):
    """A change that breaks something, can be taken back, and can say when it is in effect."""

    effect_timeout: ClassVar[timedelta] = timedelta(seconds=30)
