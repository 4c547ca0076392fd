"""What must be true before anything is changed: a list of questions in plain order, each of which may refuse.

Every gate fails closed: no answer is a no. In an incident the same answers are advisories, but for the caller's
account, the target site not being active already, and the runbook itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.plan import Mode
from drills.errors import DrillsError, Refused
from drills.timeline.events import Gated
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from drills.engine.execute import Accounts
    from drills.engine.plan import Allowed, Plan, Step
    from drills.work import Observation, Place, Target

NEEDED_IN_AN_INCIDENT = ("account", "direction")


def direction(
    steps: Sequence[Step], places: Sequence[Place], accounts: Accounts, load: Callable[[Kind, str], Any]
) -> tuple[str, dict[str, str]]:
    """Ask each site whether it is the active one; give the one that says yes, and what each said.

    The name is empty unless exactly one said yes and all others said no: a site that gave no answer may be active.
    """
    said: dict[str, str] = {}
    active: list[str] = []
    doubtful = False
    by_name = {place.name: place for place in places}
    for step in steps:
        try:
            probe = load(step.kind, step.uses).model_validate(dict(step.params))
            seen: Observation = probe.observe(accounts.read(by_name[step.place]))
        except DrillsError as error:
            said[step.place] = f"no answer: {error}"
            doubtful = True
            continue
        said[step.place] = seen.detail
        doubtful |= seen.ok is None
        if seen.ok is True:
            active.append(step.place)
    return (active[0] if len(active) == 1 and not doubtful else ""), said


def ask(plan: Plan, accounts: Accounts, load: Callable[[Kind, str], Any]) -> Iterator[Gated]:
    """Answer every gate for a plan, in order. Reads only."""
    for place in _distinct(plan):
        yield _account(place, accounts)
    yield _regions(plan)
    yield from _scope(plan, accounts, load)
    yield _one_way(plan)


def refuse(gates: Sequence[Gated], mode: Mode) -> None:
    """Raise ``Refused`` for the first gate that did not say yes; in an incident only for what no incident excuses."""
    for gate in gates:
        binding = mode is not Mode.INCIDENT or gate.gate.split(":")[0] in NEEDED_IN_AN_INCIDENT
        if gate.ok is not True and binding:
            raise Refused(f"not started: {gate.gate}: {gate.detail}; nothing was changed")


def _distinct(plan: Plan) -> list[Place]:
    """Give one place for each account and role that the plan's steps use."""
    used = {step.place for step in plan.steps}
    places = {(place.account, place.role): place for place in reversed(plan.places) if place.name in used}
    return list(reversed(places.values()))


def _account(place: Place, accounts: Accounts) -> Gated:
    name = f"account:{place.account}"
    try:
        caller = str(accounts.read(place).client("sts").get_caller_identity()["Account"])
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        return Gated(name, None, f"who the caller is could not be learned ({type(error).__name__}: {error})")
    if caller != place.account:
        return Gated(name, ok=False, detail=f"account {caller} is not the one of {place.name} ({place.account})")
    return Gated(name, ok=True, detail=f"the caller belongs to {caller}, as {place.name} says")


def _regions(plan: Plan) -> Gated:
    """Locks and flags live in the home region, which must outlive either site."""
    sites = {place.region for place in plan.places if place.name in (plan.from_site, plan.to_site)}
    if plan.home in sites:
        return Gated("home", ok=False, detail=f"home {plan.home} is a site's own region; choose one outside both sites")
    return Gated("home", ok=True, detail=f"home {plan.home} lies outside both sites")


def _one_way(plan: Plan) -> Gated:
    """Whoever starts must have been told what cannot be taken back."""
    ways = [f"{step.id} ({step.one_way})" for step in plan.steps if step.one_way is not None]
    told = "cannot be taken back: " + "; ".join(ways) if ways else "every change can be taken back"
    return Gated("one-way", ok=True, detail=told)


def _scope(plan: Plan, accounts: Accounts, load: Callable[[Kind, str], Any]) -> Iterator[Gated]:
    """All that would be touched carries the scope's tags or is allowed by its exact id, and it is not too much."""
    changes = [step for step in plan.steps if step.changes]
    if not changes:
        return
    if plan.scope is None:
        yield Gated("scope", ok=False, detail=f"{plan.environment} names no scope, so nothing may be changed in it")
        return
    touched: set[str] = set()
    for step in changes:
        try:
            work = load(step.kind, step.uses).model_validate(dict(step.params))
            found: tuple[Target, ...] = work.targets(accounts.read(plan.place(step.place)))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, what would be touched is not known
            yield Gated(f"scope:{step.id}", None, f"what it would touch could not be learned ({error})")
            continue
        touched |= {f"{step.place}:{target.id}" for target in found}
        outside = [target.id for target in found if not _within(plan.scope, target)]
        told = ", ".join(target.id for target in found) or "nothing"
        if outside:
            wanted = ", ".join(f"{key}={value}" for key, value in plan.scope.tags.items()) or "no tag at all"
            why = f"{', '.join(outside)} is outside the scope: it has not {wanted}, and `allow` does not name it"
            yield Gated(f"scope:{step.id}", ok=False, detail=why)
        else:
            yield Gated(f"scope:{step.id}", ok=True, detail=f"touches {told}")
    most = plan.scope.max_targets
    count = f"{len(touched)} targets in all, {most} are allowed"
    yield Gated("scope", ok=len(touched) <= most, detail=count)


def _within(scope: Allowed, target: Target) -> bool:
    if target.id in scope.allow:
        return True
    tags = target.tags
    return tags is not None and len(scope.tags) > 0 and all(tags.get(key) == value for key, value in scope.tags.items())
