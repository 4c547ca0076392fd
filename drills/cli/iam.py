"""``drills plan --iam``: the least a role needs for a runbook in an environment, as policies to attach."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from drills.cli.binding import Bound, declared_world
from drills.engine.plan import Mode
from drills.engine.policies import ATTACHED, LONGEST, RolePolicies, policies, size, trust
from drills.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.cli.binding import Wish
    from drills.engine.plan import Plan
    from drills.runbook.load import LoadedEnvironment, LoadedRunbook


def show_policies(book: LoadedRunbook, place: LoadedEnvironment, wish: Wish, *, output: str) -> str:
    """Write the policies for stdout: for every direction, or with ``--to`` for one; asks neither AWS nor a site."""
    plans = list(_plans(book, place, wish))
    found = policies(plans)
    if output == "json":
        return json.dumps(_document(plans[0], found), indent=2)
    lines = [f"# IAM for {plans[0].runbook} in {plans[0].environment}: {', '.join(_ways(plans))}"]
    for one in found:
        lines += _text(one)
    lines += [
        "",
        "# a trust policy for such a role, as an example: name who may drill, and no more than those",
        json.dumps(trust(*_trusted(plans[0])), indent=2),
        "",
        "# whoever starts a drill needs sts:AssumeRole on these roles; sts:GetCallerIdentity needs no permission",
    ]
    return "\n".join(lines)


def _plans(book: LoadedRunbook, place: LoadedEnvironment, wish: Wish) -> Iterator[Plan]:
    """Compile the runbook in every direction and mode that the environment lets it run in."""
    model = place.model
    sandbox = model.kind.value == "sandbox"
    world = declared_world(place) if sandbox else None
    sites = tuple(model.sites)
    ways = [(old, new) for old in sites for new in sites if old != new and wish.to_site in ("", new)]
    refused: Refused | None = None
    made = 0
    for old, new in ways or [(sites[0], sites[0])]:
        for mode in (Mode.REHEARSE,) if sandbox else (Mode.RUN, Mode.INCIDENT):
            try:
                yield Bound(book, place, old, new, world).plan(wish, mode, ask=False)
                made += 1
            except Refused as error:  # production that allows no drill has incidents all the same
                refused = error
    if not made and refused is not None:
        raise refused


def _ways(plans: list[Plan]) -> list[str]:
    return list(dict.fromkeys(f"{one.from_site} -> {one.to_site}" for one in plans))


def _name(one: RolePolicies) -> str:
    return one.role or f"whoever drives it (account {one.account}: the environment names no role)"


def _text(one: RolePolicies) -> Iterator[str]:
    yield f"\n# role {_name(one)}"
    for number, document in enumerate(one.documents, 1):
        yield f"# policy {number} of {len(one.documents)}: {size(document)} of {LONGEST} characters"
        yield json.dumps(document, indent=2)
    if len(one.documents) > ATTACHED:
        yield f"# a role holds {ATTACHED} managed policies unless its quota was raised"
    if one.wide:
        yield "# on every resource, and why:"
        yield from (f"#   {wide.action}: {wide.why}" for wide in one.wide)


def _trusted(plan: Plan) -> tuple[str, str | None]:
    account = next(iter(plan.places)).account
    external = next((place.external_id for place in plan.places if place.external_id), None)
    if external is not None and external.startswith("env:"):
        external = f"WHAT-{external.removeprefix('env:')}-HOLDS"
    return f"arn:aws:iam::{account}:role/WHO-MAY-DRILL", external


def _document(plan: Plan, found: tuple[RolePolicies, ...]) -> dict[str, Any]:
    return {
        "runbook": plan.runbook,
        "environment": plan.environment,
        "roles": [
            {
                "account": one.account,
                "role": one.role or None,
                "policies": [{"characters": size(document), "document": document} for document in one.documents],
                "wide": [{"action": wide.action, "why": wide.why} for wide in one.wide],
            }
            for one in found
        ],
        "trust": trust(*_trusted(plan)),
    }
