"""The runbook on paper, for the day when the tool is what is down: plain Markdown, to be printed and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.engine.compile import compile_plan
from drills.engine.plan import Mode
from drills.errors import Usage
from drills.report import figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from drills.engine.plan import Plan, Step
    from drills.runbook.load import LoadedEnvironment, LoadedRunbook
    from drills.runbook.model import Listed

_HEADINGS: Final = {
    "before": "Before: do not begin unless",
    "guard": "All the while: stop when one of these no longer holds",
    "steps": "Steps",
    "after": "After: look whether",
}


def bound(runbook: LoadedRunbook, environment: LoadedEnvironment, from_site: str | None, to_site: str | None) -> Plan:
    """Bind the runbook as for a real incident; with two sites one of them is enough to give the direction."""
    sites = tuple(environment.model.sites)
    if to_site is None and from_site is None:
        raise Usage(f"say which way: --to and one of: {', '.join(sites)}")
    others = [site for site in sites if site not in (from_site, to_site)]
    if (from_site is None or to_site is None) and len(others) != 1:
        raise Usage(f"say which way: --from and --to, of: {', '.join(sites)}")
    return compile_plan(
        runbook,
        environment,
        mode=Mode.INCIDENT,
        from_site=from_site or others[0],
        to_site=to_site or others[0],
        parameters={},
        ask=True,
        world=None,
    )


def paper(runbook: LoadedRunbook, plan: Plan | None) -> str:
    """Write the whole runbook; with ``plan`` names are filled in, and what an incident leaves out is left out."""
    return "\n".join(_lines(runbook, plan)).rstrip()


def _lines(runbook: LoadedRunbook, plan: Plan | None) -> Iterator[str]:
    book = runbook.model
    yield f"# {book.title}"
    yield ""
    facts = {"runbook": book.runbook, "service": book.service, "severity": book.severity, "owner": book.owner}
    yield " · ".join(f"{name}: {value}" for name, value in facts.items() if value)
    if plan is not None:
        yield f"environment: {plan.environment} · from {plan.from_site} to {plan.to_site}"
    for name, goal in book.objectives.items():
        what = f"{goal.begins.value} to {goal.ends.value}" if goal.begins and goal.ends else goal.limits.value
        spans = "" if what == name else f"{what} "
        if goal.within is None:
            yield f"{name}: at most {figures.rows(goal.at_most or 0)} over all stores"
        else:
            yield f"{name}: {spans}within {figures.chosen(goal.within.total_seconds())}"
    steps: Mapping[str, Step] = {} if plan is None else {step.id: step for step in plan.steps}
    needs, section, number = runbook.checked.needs, "", 0
    for one in book.listed():
        name = one.step.id or ""
        if plan is not None and name not in steps:
            continue
        if one.section != section:
            section = one.section
            yield from ("", f"## {_HEADINGS[section]}", "")
        number += 1
        waits = steps[name].needs if plan is not None else needs.get(name, ())
        yield from _step(number, one, steps.get(name), waits)
    end = book.finally_
    if end.failback:
        yield from ("", f"Afterwards, to lead back: runbook {end.failback}.")
    elif end.undo:
        yield from ("", "Afterwards: take back every change, the last one first.")


def _step(number: int, one: Listed, bound_step: Step | None, waits: tuple[str, ...]) -> Iterator[str]:
    step = one.step
    say = bound_step.say if bound_step else step.say
    by_hand = bound_step.by_hand if bound_step else step.by_hand
    where = None if step.operator else bound_step.place if bound_step else step.at
    yield f"{number}. [ ] **{step.id}** {say or ''}".rstrip()
    yield f"   {step.kinds[0].value}: {step.uses}{f' at {where}' if where else ''}"
    given = dict(bound_step.params) if bound_step else step.with_
    if given:
        yield f"   with {', '.join(f'{name}={value}' for name, value in given.items())}"
    if one.section == "steps" and waits:
        yield f"   after {', '.join(waits)}"
    if step.timeout is not None:
        yield f"   give up after {figures.chosen(step.timeout.total_seconds())}"
    if step.mark is not None:
        yield f"   write down the time: {step.mark.value}"
    if by_hand:
        yield "   By hand:"
        yield from (f"   > {line}" for line in by_hand.rstrip().splitlines())
