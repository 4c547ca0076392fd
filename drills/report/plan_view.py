"""What a plan would do: numbered steps, targets, permissions, the time budget, what is undone and what refuses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from drills.engine import budget
from drills.engine.gates.table import permissions as gate_permissions
from drills.engine.permissions import ledger_permissions
from drills.engine.plan import Finally, Mode, Section
from drills.report import figures, gate_answers, json, paint
from drills.report.blocks import Line, Part, Table, Tone, Words
from drills.report.dead_man import dead_man, document_of
from drills.timeline.marks import Mark, Unit
from drills.work import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.engine.plan import Objective, Plan, Step
    from drills.report.blocks import Body, Cell
    from drills.timeline.events import Gated

LONGEST_VALUE = 60


def show_plan(plan: Plan, gates: Sequence[Gated] = (), *, output: str = "text") -> str:
    """Write a plan for stdout, without a last newline: ``json``, or text in the form that fits the terminal."""
    if output == "json":
        return json.dumps(document(plan, gates)).rstrip("\n")
    found = parts(plan, gates)
    text = paint.ansi(found) if paint.is_fancy(sys.stdout) else paint.plain(found, paint.width())
    return text.rstrip("\n")


def document(plan: Plan, gates: Sequence[Gated] = ()) -> dict[str, Any]:
    """Give the JSON form of a plan. All times in seconds."""
    seconds, path = budget.critical_path(plan)
    objective = _recovery(plan)
    return {
        "runbook": plan.runbook,
        "title": plan.title,
        "environment": plan.environment,
        "environment_kind": plan.environment_kind,
        "mode": plan.mode.value,
        "from_site": plan.from_site,
        "to_site": plan.to_site,
        "home": plan.home,
        "places": [
            {"name": one.name, "account": one.account, "region": one.region, "role": one.role} for one in plan.places
        ],
        "parameters": dict(plan.parameters),
        "objectives": [
            {
                "name": one.name,
                "limits": one.limits.value,
                "begins": one.begins and one.begins.value,
                "ends": one.ends and one.ends.value,
                **_target(one),
            }
            for one in plan.objectives
        ],
        "budget": {
            "critical_path_s": seconds,
            "steps": list(path),
            "target_s": objective.target_s if objective else None,
            "fits": seconds <= objective.target_s if objective else None,
        },
        "steps": [_step_document(plan, step) for step in plan.steps],
        "recovery_points": [
            {"id": one.id, "uses": one.uses, "place": one.place, "with": dict(one.params)}
            for one in plan.recovery_points
        ],
        "permissions": {name: list(actions) for name, actions in _permissions(plan).items()},
        "point_of_no_return": plan.point_of_no_return,
        "undone_on_abort": [step.id for step in _undone_on_abort(plan)],
        "dead_man": document_of(plan),
        "finally": plan.finally_.value,
        "gates": [{"gate": one.gate, "ok": one.ok, "detail": one.detail, "advises": one.advises} for one in gates],
        "gate_permissions": list(gate_permissions(plan)),
        "refused": gate_answers.refused(plan, gates),
    }


def _step_document(plan: Plan, step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "id": step.id,
        "section": step.section.value,
        "kind": step.kind.value,
        "uses": step.uses,
        "place": step.place,
        "account": _account(plan, step.place)[0],
        "region": _account(plan, step.place)[1],
        "with": dict(step.params),
        "say": step.say,
        "needs": list(step.needs),
        "timeout_s": step.timeout_s,
        "expect_s": step.expect_s,
        "on_failure": step.on_failure.value,
        "mark": step.mark.value if step.mark else None,
        "permissions": list(step.permissions),
        "reversible": step.reversible,
        "one_way": step.one_way,
        "expires_s": step.expires_s,
        "cost": step.cost.value,
        "left_out": step.left_out.why if step.left_out is not None else None,
        "point_of_no_return": step.authority,
    }


def parts(plan: Plan, gates: Sequence[Gated] = ()) -> tuple[Part, ...]:
    """Give the plan part by part, before it has a form."""
    return (
        _head(plan, gates),
        Part("Places", (_places(plan),)),
        Part("Time", tuple(_time(plan))),
        *(
            Part(title, tuple(_steps(plan, section)))
            for section, title in _SECTIONS.items()
            if any(step.section is section for step in plan.steps)
        ),
        *((Part("Markers", tuple(_ledgers(plan))),) if plan.data else ()),
        *((Part("Recovery points: evidence", tuple(_recovery_points(plan))),) if plan.recovery_points else ()),
        Part("On abort", tuple(_abort(plan))),
        Part("Gates", gate_answers.bodies(plan, gates)),
    )


_SECTIONS = {
    Section.BEFORE: "Before: a no refuses the drill",
    Section.GUARD: "Guard: a no aborts the drill",
    Section.STEPS: "Steps",
    Section.SETTLE: "Settle: waited for before the checks",
    Section.AFTER: "After: judged at the end",
}


def _head(plan: Plan, gates: Sequence[Gated]) -> Part:
    way = f"{plan.from_site} -> {plan.to_site}"
    refused = gate_answers.refused(plan, gates)
    verdict = Words("would be refused, see the gates below", Tone.BAD) if refused else Words("nothing was changed")
    return Part(
        "",
        (
            Line(f"plan of {plan.runbook}: {plan.title}"),
            Line(Words(f"{plan.mode.value} in {plan.environment} ({plan.environment_kind}), {way}", Tone.FAINT)),
            Line(verdict),
        ),
    )


def _places(plan: Plan) -> Table:
    used = {step.place for step in (*plan.steps, *plan.recovery_points)}
    rows = tuple(
        (one.name, one.account, one.region, one.role or "the caller's own credentials")
        for one in plan.places
        if one.name in used or one.name in (plan.from_site, plan.to_site)
    )
    return Table(("", "account", "region", "role"), rows)


def _target(one: Objective) -> dict[str, Any]:
    unit = one.limits.unit
    return {"target_s": one.target_s} if unit is Unit.SECONDS else {"target": one.most_rows, "unit": unit.value}


def _aim(one: Objective) -> str:
    rows = one.limits.unit is Unit.ROWS
    return figures.rows(one.most_rows) if rows else figures.chosen(one.target_s)


def _recovery(plan: Plan) -> Objective | None:
    for one in plan.objectives:
        if one.begins is Mark.DISASTER and one.ends is Mark.SERVICE_RESTORED:
            return one
    return None


def _time(plan: Plan) -> Iterator[Body]:
    """Tell the critical path against the target it must fit."""
    seconds, path = budget.critical_path(plan)
    objective = _recovery(plan)
    told = f"the longest path takes {figures.chosen(round(seconds, 1))}"
    if objective is None:
        yield Line(f"{told}; no objective runs from the disaster to the restored service")
    elif seconds <= objective.target_s:
        left = figures.chosen(round(objective.target_s - seconds, 1)) if seconds < objective.target_s else "nothing"
        target = figures.chosen(objective.target_s)
        yield Line(Words(f"{told} of the {target} of {objective.name}: {left} to spare", Tone.GOOD))
    else:
        over = figures.chosen(round(seconds - objective.target_s, 1))
        target = figures.chosen(objective.target_s)
        yield Line(Words(f"{told}, {over} more than the {target} of {objective.name}", Tone.BAD))
    if path:
        yield Line(Words(" -> ".join(path), Tone.FAINT))
    guessed = [name for name in path if plan.step(name).expect_s is None]
    if guessed:
        yield Line(Words(f"counted with their timeouts, for they say no `expect`: {', '.join(guessed)}", Tone.FAINT))
    others = [f"{one.name} {_aim(one)}" for one in plan.objectives if one is not objective]
    if others:
        yield Line(f"other objectives: {', '.join(others)}")


def _steps(plan: Plan, section: Section) -> Iterator[Body]:
    digits = len(str(len(plan.steps)))
    for step in plan.steps:
        if step.section is not section:
            continue
        account, region = _account(plan, step.place)
        where = f" at {step.place} ({region}, {account})" if region else ""
        yield Line(f"{step.id}: {step.kind.value} {step.uses}{where}", mark=f"{step.number:>{digits}}")
        for text in _details(step):
            yield Line(text, mark=" " * digits)


def _recovery_points(plan: Plan) -> Iterator[Body]:
    for point in plan.recovery_points:
        account, region = _account(plan, point.place)
        yield Line(f"{point.id}: {point.uses} at {point.place} ({region}, {account})", mark="-")
        if point.permissions:
            yield Line(Words(f"permissions: {', '.join(point.permissions)}", Tone.FAINT))


def _ledgers(plan: Plan) -> Iterator[Body]:
    for one in plan.data:
        sides = ledger_permissions(one)
        words = [f"{'written' if side == 0 else 'read back'} at {place}" for side, (place, _) in enumerate(sides)]
        name = f" {one.write}" if sides else ""
        told = f"{one.id}: a marker each {figures.chosen(one.every_s)} into {one.store}{name}"
        yield Line(", ".join([told, *words]), mark="-")
        for place, actions in sides:
            yield Line(Words(f"permissions at {place}: {', '.join(actions)}", Tone.FAINT))


def _details(step: Step) -> Iterator[Cell]:
    if step.left_out is not None:
        look = "; its goal must be there already" if step.left_out.goal else ""
        yield Words(f"LEFT OUT: {step.left_out.why}{look}", Tone.DOUBT)
    if step.say:
        yield step.say
    if len(step.params):
        yield Words("with " + ", ".join(f"{name}={_value(value)}" for name, value in step.params.items()), Tone.FAINT)
    yield Words("; ".join(_rules(step)), Tone.FAINT)
    if step.permissions:
        yield Words(f"permissions: {', '.join(step.permissions)}", Tone.FAINT)
    if step.authority:
        yield Words(f"POINT OF NO RETURN: {step.one_way}", Tone.BAD)
    elif step.one_way is not None:
        yield Words(f"one way: {step.one_way}", Tone.DOUBT)


def _value(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _rules(step: Step) -> Iterator[str]:
    if step.reserve:
        yield "only when a failed step names it"
    elif step.needs:
        yield f"after {', '.join(step.needs)}"
    if step.kind is not Kind.OPERATOR or step.timeout_s:
        yield f"at most {figures.chosen(step.timeout_s)}"
    if step.expect_s is not None:
        yield f"expected {figures.chosen(step.expect_s)}"
    if step.best_effort_s is not None:
        yield f"not waited for longer than {figures.chosen(step.best_effort_s)}"
    if step.mark is not None:
        yield f"marks {step.mark.value}"
    if step.changes or step.on_failure.value != "hold":
        yield f"on failure: {step.on_failure.value}{f' {step.run_on_failure}' if step.run_on_failure else ''}"
    if step.reversible:
        yield "can be undone"
    if step.expires_s is not None:
        yield f"ends by itself after {figures.chosen(step.expires_s)}"
    if Evidence.LAG in step.evidence:
        yield "what it sees is the predicted loss, and judges no objective"


def _undone_on_abort(plan: Plan) -> list[Step]:
    """Give the steps that an abort takes back as long as the point of no return is not passed, last first."""
    return [step for step in reversed(plan.steps) if step.reversible and plan.mode is not Mode.INCIDENT]


def _abort(plan: Plan) -> Iterator[Body]:
    undone, point = _undone_on_abort(plan), plan.point_of_no_return
    if plan.mode is Mode.INCIDENT:
        yield Line("in an incident nothing is undone by itself")
    elif undone:
        before = f" until {point} begins" if point else ""
        yield Line(f"undone{before}, in reverse order of their ends: {', '.join(step.id for step in undone)}")
    else:
        yield Line("there is nothing to undo")
    if point and plan.mode is not Mode.INCIDENT:
        yield Line(f"once {point} has begun: nothing is undone by itself, the drill is HELD for a person")
    yield from map(Line, dead_man(plan))
    endings = {
        Finally.KEEP: "at the end all stays as it is",
        Finally.UNDO: "at the end all is undone",
        Finally.FAILBACK: f"at the end all stays; the way back is a drill of its own: {plan.failback}",
    }
    yield Line(endings[plan.finally_])


def _permissions(plan: Plan) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for step in (*plan.steps, *plan.recovery_points):
        if step.permissions:
            found.setdefault(step.place, set()).update(step.permissions)
    for one in plan.data:
        for place, actions in ledger_permissions(one):
            found.setdefault(place, set()).update(actions)
    return {place: tuple(sorted(actions)) for place, actions in sorted(found.items())}


def _account(plan: Plan, name: str) -> tuple[str, str]:
    return next(((one.account, one.region) for one in plan.places if one.name == name), ("", ""))
