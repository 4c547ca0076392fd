"""Everything that must hold in a runbook before it meets an environment. Collects; never stops at the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from drills import expression
from drills.runbook.check_objectives import check_objectives
from drills.runbook.check_order import check_on_failure, check_order
from drills.runbook.check_points import check_basis, check_points
from drills.runbook.model import FAILOVER, Only
from drills.runbook.names import SITE_FACTS, Ancestry, Need, check_names, check_parameters, spoken
from drills.runbook.problems import did_you_mean
from drills.runbook.works import Traits, Works, check_fields
from drills.timeline.marks import OBSERVED, Mark
from drills.work import Kind, Shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from drills.runbook.model import Listed, Runbook
    from drills.runbook.order import Needs
    from drills.runbook.problems import Problems
    from drills.services.spec import Spec
    from drills.yamldoc import Node, Where

MAX_STEPS: Final = 5_000
_PROBES_ONLY: Final = {"before": "it can only refuse", "guard": "it can only abort", "after": "it can only judge"}
_STEPS_ONLY: Final = ("mark", "on_failure", "best_effort")


class Checked(NamedTuple):
    """What the check found out on its way: the work of each step, the order of the steps, and what is wanted."""

    traits: Mapping[Where, Traits]
    needs: Needs
    reserve: frozenset[str]
    wanted: tuple[Need, ...]

    @property
    def from_environment(self) -> tuple[str, ...]:
        """The names an environment must give, beside what every site has by itself."""
        return tuple(one.name for one in self.wanted if one.name.partition(".")[2] not in SITE_FACTS)


def check_runbook(runbook: Runbook, works: Works, problems: Problems) -> Checked:
    """Check steps, work, order, marks and names."""
    listed = tuple(runbook.listed())
    if len(listed) > MAX_STEPS:
        problems.add(("steps",), f"holds {len(listed)} steps; at most {MAX_STEPS}: split the runbook")
        return Checked({}, {}, frozenset(), ())
    check_parameters(runbook.parameters, problems)
    check_objectives(runbook, problems)
    _check_empty(runbook, problems)
    _check_blocks(runbook, problems)
    _check_ids(runbook, listed, problems)
    scope = {name: one.default for name, one in runbook.parameters.items() if one.default is not None}
    traits: dict[Where, Traits] = {}
    for one in listed:
        _check_section(one, problems)
        found = _check_work(one, works, scope, problems)
        if found is not None:
            traits[one.where] = found
            _check_place(one, found, problems)
        _check_condition(one, problems)
    traits |= check_points(runbook, works, scope, problems)
    check_basis(runbook, listed, traits, problems)
    reserve = check_on_failure(listed, problems)
    _check_follow(listed, traits, reserve, problems)
    needs = check_order(listed, reserve, problems)
    _check_marks(listed, reserve, problems)
    _check_shown(runbook, listed, problems)
    _check_one_way(runbook, listed, traits, problems)
    classes: dict[Where, type[Spec]] = {where: one.work for where, one in traits.items()}
    judges = frozenset(one.step.id for one in listed if one.section == "after" and one.step.id)
    wanted = check_names(spoken(runbook, classes), runbook.parameters, Ancestry(needs, judges), problems)
    return Checked(traits, needs, reserve, wanted)


def _check_empty(runbook: Runbook, problems: Problems) -> None:
    """Check that nothing is written and left without a value: it would silently mean what its absence means."""
    empty: list[Where] = [(name,) for name in runbook.model_fields_set if getattr(runbook, name) is None]
    for one in runbook.listed():
        empty += [(*one.where, name) for name in one.step.model_fields_set if getattr(one.step, name) is None]
    for *above, name in empty:
        problems.add((*above, name), f"{name} is empty; write its value, or remove the line")


def _check_blocks(runbook: Runbook, problems: Problems) -> None:
    for section in ("before", "guard", "steps", "after"):
        for number, step in enumerate(getattr(runbook, section)):
            if step.parallel is None:
                continue
            where = (section, number)
            extra = sorted(step.model_fields_set - {"parallel"})
            if extra:
                word = extra[0].rstrip("_")
                problems.add((*where, word), f"a parallel block takes no {word!r}; move it to the steps inside")
            if not step.parallel and not problems.is_broken((*where, "parallel")):
                problems.add((*where, "parallel"), "the parallel block is empty; put steps into it or remove it")
            for inner, item in enumerate(step.parallel):
                if item.parallel is not None:
                    problems.add(
                        (*where, "parallel", inner), "a parallel block cannot stand inside another; lift it out"
                    )
    if not runbook.steps and not problems.is_broken(("steps",)):
        problems.add(("steps",), "there are no steps; write at least one")


def _check_ids(runbook: Runbook, listed: Iterable[Listed], problems: Problems) -> None:
    first: dict[str, Where] = {}
    watches = [
        *(
            (("measure", "availability", number, "id"), one.id)
            for number, one in enumerate(runbook.measure.availability)
        ),
        *((("measure", "data", number, "id"), one.id) for number, one in enumerate(runbook.measure.data)),
        *(
            (("measure", "recovery_points", number, "id"), one.id)
            for number, one in enumerate(runbook.measure.recovery_points)
        ),
    ]
    seen: dict[str, Where] = {}
    for where, name in watches:
        _once(name, where, seen, problems)
    for one in listed:
        if one.step.parallel is not None:
            continue
        if one.step.id is None:
            if not any(
                problems.is_broken(where) for where in (one.where, (*one.where, "id"), (*one.where, "parallel"))
            ):
                problems.add(one.where, "this step has no id; add one, as in 'id: promote'")
            continue
        _once(one.step.id, (*one.where, "id"), first, problems)


def _check_shown(runbook: Runbook, listed: Iterable[Listed], problems: Problems) -> None:
    """Check that a question shows what there is to show: a parameter, another step, or one of the engine's own."""
    known = {*Shown, *runbook.parameters, *(one.step.id for one in listed if one.step.id)}
    for one in listed:
        for number, name in enumerate(one.step.show):
            if name not in known:
                problems.add(
                    (*one.where, "show", number),
                    f"there is nothing called {name!r} to show; {did_you_mean(name, known)}",
                )


def _once(name: str, where: Where, first: dict[str, Where], problems: Problems) -> None:
    if name in first:
        line = problems.doc.line(first[name])
        problems.add(where, f"the id {name!r} stands already on line {line}; give one of them another")
    else:
        first[name] = where


def _check_section(one: Listed, problems: Problems) -> None:
    step, where, section = one.step, one.where, one.section
    if step.parallel is not None:
        return
    if len(step.kinds) > 1:
        words = " and ".join(kind.value for kind in step.kinds)
        problems.add((*where, step.kinds[1].value), f"a step is one thing, and this is {words}; make two steps of it")
    elif not step.kinds:
        if not problems.has_broken_field(where):
            problems.add(where, "this step does nothing; add one of action, fault, probe, operator or parallel")
        return
    if section == "steps":
        if step.tolerance:
            problems.add((*where, "tolerance"), "only a guard has a tolerance; remove it, or use 'timeout'")
    else:
        if step.kinds[0] is not Kind.PROBE:
            why = _PROBES_ONLY[section]
            problems.add((*where, step.kinds[0].value), f"{section!r} takes probes only ({why}); move this to 'steps'")
        for field in _STEPS_ONLY:
            if field in step.model_fields_set:
                problems.add((*where, field), f"{field!r} has no meaning in {section!r}; remove it")
        if step.needs is not None and section != "after":
            problems.add((*where, "needs"), f"'needs' has no meaning in {section!r}; remove it")
    if step.show and Kind.OPERATOR not in step.kinds:
        problems.add((*where, "show"), "only an operator step shows something; remove it")


def _check_work(one: Listed, works: Works, scope: Mapping[str, Node], problems: Problems) -> Traits | None:
    step = one.step
    if len(step.kinds) != 1 or step.parallel is not None:
        return None
    kind = step.kinds[0]
    found = works.find(kind, step.uses)
    if isinstance(found, str):
        problems.add((*one.where, kind.value), found)
        return None
    with_at = (*one.where, "with")
    if not any(broken[: len(with_at)] == with_at for broken in problems.broken):
        found = check_fields(found, step.with_, scope, with_at, problems)
    return found


def _check_follow(
    listed: Iterable[Listed], traits: Mapping[Where, Traits], reserve: frozenset[str], problems: Problems
) -> None:
    """Check that nothing must follow a step which runs only when another fails: nobody would wait for it."""
    for one in listed:
        found = traits.get(one.where)
        if one.step.id in reserve and found is not None and found.work.follow(one.step.with_, one.step.id or ""):
            told = f"{one.step.id} runs only when another step fails, and nothing follows it; leave 'wait' out"
            problems.add((*one.where, "with", "wait"), told)


def _check_place(one: Listed, found: Traits, problems: Problems) -> None:
    if one.step.at is not None or problems.is_broken((*one.where, "at")):
        return
    if found.permissions:
        problems.add(
            (*one.where, found.kind.value),
            f"{found.work.name} acts on AWS; say where: 'at: from', 'at: to', or 'at:' and the name of a place",
        )


def _check_condition(one: Listed, problems: Problems) -> None:
    if one.step.when is None:
        return
    if reason := expression.problem(one.step.when):
        problems.add(
            (*one.where, "when"),
            f"when: no JMESPath that can be asked ({reason}); write it as in steps.lag.output.lag_s < `5`",
        )


def _check_marks(listed: Iterable[Listed], reserve: frozenset[str], problems: Problems) -> None:
    setters: dict[Mark, list[Listed]] = {}
    for one in listed:
        mark = one.step.mark
        if mark is None:
            continue
        if mark in OBSERVED:
            problems.add(
                (*one.where, "mark"), f"only observers set {mark.value!r}; remove it here and add them under 'measure'"
            )
            continue
        for other in setters.get(mark, ()):
            if _modes(other) & _modes(one) and not {other.step.id, one.step.id} & reserve:
                line = problems.doc.line((*other.where, "mark"))
                problems.add(
                    (*one.where, "mark"), f"mark {mark.value!r} is set already on line {line}; keep one of them"
                )
                break
        setters.setdefault(mark, []).append(one)


def _modes(one: Listed) -> set[Only]:
    modes = set(one.step.only or Only)
    return modes - {Only.INCIDENT} if one.step.fault is not None else modes


def _check_one_way(
    runbook: Runbook, listed: Iterable[Listed], traits: Mapping[Where, Traits], problems: Problems
) -> None:
    """Check what follows from steps without a way back: ``finally: undo``, and the fence before a promotion."""
    changing = [(one, traits[one.where]) for one in listed if one.section == "steps" and one.where in traits]
    if runbook.finally_.undo:
        for one, found in changing:
            if found.one_way is not None:
                line = problems.doc.line(one.where)
                problems.add(
                    ("finally",),
                    f"'undo' cannot take {one.step.id!r} (line {line}) back: {found.one_way}; write keep or failback",
                )
    for one, found in changing:
        if found.kind is Kind.FAULT and one.step.only and Only.INCIDENT in one.step.only:
            problems.add((*one.where, "only"), "a fault never runs in an incident; remove 'incident'")
    moves = [one for one, found in changing if found.authority]
    if runbook.no_fence is not None or problems.is_broken(("no_fence",)) or not (moves or runbook.strategy in FAILOVER):
        return
    if not any(_is_fence(one, found) for one, found in changing):
        near = (*moves[0].where, Kind.ACTION.value) if moves else ("strategy",)
        problems.add(
            near,
            "nothing fences the old primary, so both sites may take writes; add a step such as "
            "'action: rds.fence_writer' before this, or say why none is needed: 'no_fence: why'",
        )


def _is_fence(one: Listed, found: Traits) -> bool:
    """Whether the step keeps the old primary from writing in a real event too, not only in a rehearsal."""
    always = not one.step.only or {Only.RUN, Only.INCIDENT} <= set(one.step.only)
    stops = found.kind is Kind.ACTION and found.holds_authority and not found.authority
    return always and (stops or (one.step.mark is Mark.WRITES_STOPPED and found.kind is not Kind.FAULT))
