"""All that would be touched carries the scope's tags or is allowed by its exact id, and it is not too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.gates.question import no, unknown, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.engine.plan import Allowed
    from drills.timeline.events import Gated
    from drills.work import Target

NAME = "scope"


def ask(question: Question) -> Iterator[Gated]:
    """Resolve the targets of every change and hold them against the environment's scope."""
    plan, changes = question.plan, question.changes()
    if not changes:
        return
    if plan.scope is None:
        yield no(NAME, f"{plan.environment} names no scope, so nothing may be changed in it")
        return
    touched: set[str] = set()
    for step in changes:
        name = f"{NAME}:{step.id}"
        try:
            found = question.touched(step)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, what would be touched is not known
            yield unknown(name, f"what it would touch could not be learned ({error})")
            continue
        touched |= {f"{step.place}:{target.id}" for target in found}
        outside = [target.id for target in found if not _within(plan.scope, target)]
        if outside:
            wanted = ", ".join(f"{key}={value}" for key, value in plan.scope.tags.items()) or "no tag at all"
            why = f"{', '.join(outside)} is outside the scope: it has not {wanted}, and `allow` does not name it"
            yield no(name, why)
        else:
            yield yes(name, f"touches {', '.join(map(_told, found)) or 'nothing'}")
    most = plan.scope.max_targets
    count = f"{len(touched)} targets in all, {most} are allowed"
    yield yes(NAME, count) if len(touched) <= most else no(NAME, count)


def _told(target: Target) -> str:
    if not target.tags:
        return target.id
    return f"{target.id} ({', '.join(f'{key}={value}' for key, value in sorted(target.tags.items()))})"


def _within(scope: Allowed, target: Target) -> bool:
    if target.id in scope.allow:
        return True
    tags = target.tags
    return tags is not None and len(scope.tags) > 0 and all(tags.get(key) == value for key, value in scope.tags.items())
