"""Locks and flags live in the home region, which must outlive either site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.gates.question import no, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated

NAME = "home"


def ask(question: Question) -> Iterator[Gated]:
    """Compare the home region with the regions of both sites; asks nobody."""
    plan = question.plan
    sites = {place.region for place in plan.places if place.name in (plan.from_site, plan.to_site)}
    if plan.home in sites:
        yield no(NAME, f"home {plan.home} is a site's own region; choose one outside both sites")
    else:
        yield yes(NAME, f"home {plan.home} lies outside both sites")
