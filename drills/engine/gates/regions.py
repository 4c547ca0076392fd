"""Every region that a step acts in is in the scope, and the account has it switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.engine.gates.question import no, unknown, why, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated
    from drills.work import Place

NAME: Final = "regions"
PERMISSIONS: Final = ("ec2:DescribeRegions",)
OPTED_OUT: Final = "not-opted-in"
ARN_PARTS: Final = 6


def ask(question: Question) -> Iterator[Gated]:
    """Hold the regions of all places used against the scope, those of named ARNs too, and ask each account for them."""
    allowed = question.plan.rules.regions or tuple(place.region for place in question.plan.places)
    outside = sorted({place.region for place in question.used()} - set(allowed))
    outside += [f"{region} ({arn})" for region, arn in _foreign(question) if region not in allowed]
    if outside:
        yield no(NAME, f"{', '.join(outside)} is outside the scope's regions ({', '.join(sorted(set(allowed)))})")
        return
    yield yes(NAME, f"all steps act in {', '.join(sorted({place.region for place in question.used()})) or 'no region'}")
    asked: dict[str, list[Place]] = {}
    for place in question.lasting():
        asked.setdefault(place.account, []).append(place)
    for account in sorted(asked):
        yield _switched_on(question, account, asked[account])


def _foreign(question: Question) -> Iterator[tuple[str, str]]:
    """Give region and ARN of every ARN in a change's fields that names a region."""
    for step in question.changes():
        for value in step.params.values():
            parts = value.split(":") if isinstance(value, str) else []
            if len(parts) >= ARN_PARTS and parts[0] == "arn" and parts[3]:
                yield parts[3], str(value)


def _switched_on(question: Question, account: str, places: list[Place]) -> Gated:
    name, regions = f"{NAME}:{account}", sorted({place.region for place in places})
    try:
        answer = question.accounts.read(places[0]).client("ec2").describe_regions(RegionNames=regions, AllRegions=True)
        status = {one["RegionName"]: one.get("OptInStatus", "") for one in answer["Regions"]}
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        return unknown(name, f"whether {', '.join(regions)} is switched on could not be learned ({why(error)})")
    off = [region for region in regions if status.get(region, OPTED_OUT) == OPTED_OUT]
    if off:
        return no(name, f"{', '.join(off)} is not switched on in {account}; switch it on, it takes minutes")
    return yes(name, f"{', '.join(regions)} is switched on in {account}")
