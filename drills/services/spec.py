"""What every action, fault and probe is made of: a frozen pydantic model of its ``with:`` fields.

A class docstring begins with an imperative sentence and ends with runnable YAML, which a test runs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from drills import durations
from drills.timeline.facts import Before
from drills.work import Evidence


def _duration(value: Any) -> Any:
    return durations.parse(value) if isinstance(value, str) else value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str),
    PlainSerializer(lambda value: f"{round(value.total_seconds() * 1000)}ms", return_type=str),
]
"""A duration as people write it (``90s``, ``5m``), held as a ``timedelta``."""


class Spec(BaseModel):
    """The fields of one kind of work, as they stand under ``with:``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, strict=False)

    name: ClassVar[str]
    """The name in the catalogue, such as ``rds.promote_read_replica``."""
    permissions: ClassVar[tuple[str, ...]] = ()
    """The IAM actions it calls."""
    evidence: ClassVar[frozenset[Evidence]] = frozenset()
    """What a finished step of this kind proves."""


class ProbeSpec(Spec):
    """A look; it defines ``observe``."""


class ActionSpec(Spec):
    """A change; it defines ``already`` and ``perform``, and ``undo``, ``restored``, ``by_hand`` unless ``one_way``."""

    one_way: ClassVar[str | None] = None
    authority: ClassVar[bool] = False
    holds_authority: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True

    def capture(self, aws: Any) -> Before:  # noqa: ARG002 - what nothing needs to remember
        """Remember nothing: overridden wherever undo needs to know what was there."""
        return Before()


class FaultSpec(ActionSpec):
    """A change that breaks something, can be taken back, and can say when it is in effect."""

    effect_timeout: ClassVar[timedelta] = timedelta(seconds=30)
