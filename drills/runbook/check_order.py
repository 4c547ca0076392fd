"""What must hold about who waits for whom: needs that exist, no circles, nothing that can never begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.runbook.model import Do, Only
from drills.runbook.order import Needs, Ordered, TooManyEdges, cycles, order, topological
from drills.runbook.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.runbook.model import Listed
    from drills.runbook.problems import Problems


def check_on_failure(listed: Iterable[Listed], problems: Problems) -> frozenset[str]:
    """Check what ``on_failure: {run: STEP}`` names; give those steps, which run in no other case."""
    steps = {one.step.id: one for one in listed if one.section == "steps" and one.step.id}
    reserve: set[str] = set()
    for one in steps.values():
        if one.step.on_failure.do is not Do.RUN or one.step.on_failure.run is None:
            continue
        where, target = (*one.where, "on_failure"), one.step.on_failure.run
        if target not in steps:
            problems.add(where, f"on_failure: there is no step {target!r}; {did_you_mean(target, steps)}")
        elif target == one.step.id:
            problems.add(where, f"on_failure: {target!r} cannot run itself; name another step")
        else:
            reserve.add(target)
            if one.step.best_effort is not None:
                problems.add(
                    where, f"on_failure: nothing runs for a step of best_effort, so {target!r} never; remove one"
                )
            elif one.step.operator is not None:
                problems.add(where, f"on_failure: a person's no turns the drill back and runs no {target!r}; remove it")
    return frozenset(reserve)


def check_order(listed: tuple[Listed, ...], reserve: frozenset[str], problems: Problems) -> Needs:
    """Check needs of ``steps`` and of ``after``; give those of ``steps``, empty when they make no order."""
    for section in ("steps", "after"):
        ids = {one.step.id for one in listed if one.section == section and one.step.id}
        for one in listed:
            if one.section == section:
                _check_needs(one, ids, reserve, problems)
    after = {
        one.step.id: tuple(one.step.needs or ()) for one in listed if one.section == "after" and one.step.id is not None
    }
    _check_cycles(after, listed, problems)
    blocks: dict[int, list[Ordered]] = {}
    known = {one.step.id for one in listed if one.section == "steps"}
    for one in listed:
        if one.section == "steps" and one.step.id is not None:
            needs = None if one.step.needs is None else tuple(need for need in one.step.needs if need in known)
            if one.step.id in reserve:
                blocks.setdefault(-1, []).append(Ordered(one.step.id, needs or ()))
            else:
                blocks.setdefault(one.block, []).append(Ordered(one.step.id, needs))
    spare = blocks.pop(-1, [])
    try:
        needs_of = order(blocks.values())
    except TooManyEdges as error:
        where = next(one.where for one in listed if one.step.id == str(error))
        problems.add(where, "too many steps wait for too many others; put one step between the two wide blocks")
        return {}
    needs_of.update({one.id: one.needs or () for one in spare})
    if _check_cycles(needs_of, listed, problems) or _check_fallbacks(needs_of, listed, problems):
        return {}
    return needs_of


def _check_fallbacks(needs: Needs, listed: tuple[Listed, ...], problems: Problems) -> bool:
    """Say whether a fallback waits for a step that may have to wait for it: neither would ever end."""
    modes = {one.step.id: one.step.only or tuple(Only) for one in listed}
    instead = {
        one.step.id: run
        for one in listed
        if one.section == "steps"
        and (run := one.step.on_failure.run)
        and run != one.step.id
        and set(modes.get(run, ())) & {*modes[one.step.id]}
    }
    waits = {step: (*of, run) if (run := instead.get(step)) in needs else of for step, of in needs.items()}
    rings = cycles(waits)
    for ring in rings:
        where = next(one.where for one in listed if one.step.id in ring and one.step.on_failure.run in ring)
        told = f"on_failure: {' -> '.join(ring)} is a circle, for a step that failed waits for what runs in its place"
        problems.add((*where, "on_failure"), f"{told}; remove one of the needs, or name another step")
    return bool(rings)


def _check_needs(one: Listed, ids: set[str], reserve: frozenset[str], problems: Problems) -> None:
    for number, need in enumerate(one.step.needs or ()):
        where = (*one.where, "needs", number)
        if need not in ids:
            problems.add(where, f"needs: there is no step {need!r} in {one.section!r}; {did_you_mean(need, ids)}")
        elif need == one.step.id:
            problems.add(where, f"needs: {need!r} waits for itself; remove it")
        elif need in reserve:
            problems.add(
                where, f"needs: {need!r} runs only when another step fails, so this may never begin; remove it"
            )


def _check_cycles(needs: Needs, listed: tuple[Listed, ...], problems: Problems) -> bool:
    where = {one.step.id: one.where for one in listed}
    rings = [ring for ring in cycles(needs) if len(ring) > 2]  # noqa: PLR2004 - (a, a) is told as 'waits for itself'
    told = {step for ring in rings for step in ring}
    for ring in rings:
        written = next((step for step in ring if _says_needs(step, listed)), ring[0])
        problems.add((*where[written], "needs"), f"needs: {' -> '.join(ring)} is a circle; remove one of these needs")
    stuck = topological(needs)[1]
    for step in stuck:
        if step not in told and rings and _says_needs(step, listed):
            problems.add(where[step], f"step {step!r} can never begin: it waits for the circle {' -> '.join(rings[0])}")
    return bool(stuck)


def _says_needs(step: str, listed: Iterable[Listed]) -> bool:
    return any(one.step.id == step and one.step.needs is not None for one in listed)
