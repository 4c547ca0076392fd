"""An objective as a person writes it: two marks and the longest time between them, or what else it limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from drills.runbook.fields import Name, Span, Written, mapping, together
from drills.timeline.marks import Basis, Limits, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_LOST: Final = 1_000_000_000
DOWNTIME: Final = Limits.DOWNTIME.value
"""The objective that limits the downtime by its name."""
LOST_ROWS: Final = Limits.LOST_ROWS.value
"""The objective that limits the lost rows by its name."""


def misfits(given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Say which fields of an objective its kind has no use for, or lacks: the field (empty: the whole), a sentence."""
    kind = given.get("limits", Limits.INTERVAL.value)
    if kind not in tuple(Limits):
        return
    if kind == LOST_ROWS:
        for name in ("from", "to", "joint"):
            if name in given:
                yield name, "lost rows are counted over the whole drill; remove it"
        if "within" in given:
            rows = given["within"] if isinstance(given["within"], int) and given["within"] >= 0 else 0
            instead = "remove it" if "at_most" in given else f"write a number of rows in its place: {{at_most: {rows}}}"
            yield "within", f"lost rows are a number and no time; {instead}"
        elif "at_most" not in given:
            yield "", "it has no limit; write the number of rows that may be lost, such as {at_most: 0}"
        return
    if "at_most" in given:
        instead = "remove it" if "within" in given else "write 'within' and a duration in its place"
        yield "at_most", f"only {LOST_ROWS} counts rows; {instead}"
    elif "within" not in given:
        yield "", "it has no limit; write 'within' and a duration, such as {within: 5m}"
    if kind == DOWNTIME:
        for name in ("from", "to"):
            if name in given:
                yield name, "a downtime counts over the whole drill and has no marks; remove it"
    elif "from" not in given or "to" not in given:
        yield "", "an interval has two marks; write {from: MARK, to: MARK, within: 5m}"


class Target(Written):
    """Two marks and the longest time between them; ``from`` names the clock that is judged.

    ``seen_by`` names the observers of which the worst counts; ``joint`` those that count as one, up only while all
    of them are. The marks may be left out of ``rto``, ``rpo``, ``wrt``, ``mtd`` and ``exposure``, whose short form is a
    duration. ``downtime``, too, has that short form, and never marks: ``within`` limits the total time the service was
    down. ``lost_rows`` has no marks either: ``at_most``, in short a number, limits the rows that were lost.
    """

    begins: Mark | None = Field(default=None, alias="from")
    ends: Mark | None = Field(default=None, alias="to")
    limits: Limits = Limits.INTERVAL
    within: Span | None = None
    at_most: int | None = Field(default=None, ge=0, le=MOST_LOST, strict=True)
    seen_by: tuple[Name, ...] = ()
    basis: Basis = Basis.MARKERS
    joint: tuple[Name, ...] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, value: Any, read: ModelWrapValidatorHandler[Target]) -> Target:
        """Find what does not fit its kind together with what cannot be read, so that no mistake hides another."""
        given = mapping(value)
        if given is None:
            short = ", ".join((*cls.SHORT, DOWNTIME, LOST_ROWS))
            raise ValueError(f"only {short} have a short form; write a mapping: {{from: MARK, to: MARK, within: 5m}}")
        wrong = tuple(misfits(given))
        misplaced = {name for name, _ in wrong}
        try:
            found = read({name: one for name, one in given.items() if name not in misplaced})
        except ValidationError as error:
            raise together(cls.__name__, wrong, error) from error
        if wrong:
            raise together(cls.__name__, wrong)
        return found

    SHORT: ClassVar[dict[str, tuple[Mark, Mark]]] = {
        "rto": (Mark.DISASTER, Mark.SERVICE_RESTORED),
        "rpo": (Mark.RECOVERY_POINT, Mark.DISASTER),
        "wrt": (Mark.SERVICE_RESTORED, Mark.WORK_RECOVERED),
        "mtd": (Mark.DISASTER, Mark.WORK_RECOVERED),
        "exposure": (Mark.SERVICE_RESTORED, Mark.REDUNDANCY_RESTORED),
    }


def long_form(name: str, goal: object) -> object:
    """Write one objective in its long form, with the marks that its name stands for."""
    marks = Target.SHORT.get(name)
    given = mapping(goal)
    if name == DOWNTIME:
        return {"limits": DOWNTIME, **({"within": goal} if given is None else given)}
    if name == LOST_ROWS:
        return {"limits": LOST_ROWS, **({"at_most": goal} if given is None else given)}
    if marks is None:
        return goal
    if given is None:
        return {"from": marks[0], "to": marks[1], "within": goal}
    return {"from": marks[0], "to": marks[1], **given}
