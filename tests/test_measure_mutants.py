"""Each rule of the estimators is needed: without it a generated world lies outside its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest
from measure_worlds import draw_outage, draw_shipment, draw_slow_incident, holds, rpo_holds, slow_incident_holds
from mutants import found_out

from drills.measure import effect, evidence, rpo, rto

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.measure.evidence import Evidence
    from drills.timeline.samples import Marker, Recovered


@dataclass(frozen=True)
class Mutant:
    name: str
    survives: Callable[[Random], bool]
    """Whether a world drawn from this lies within its bounds."""
    patches: tuple[tuple[object, str, Callable[..., object]], ...]


def plain_last_good(way: rto.Track, since: int, first_bad: int) -> int:
    pairs = zip(way.evidence.good_sent, way.evidence.good_ended, strict=True)
    return max([since, *(sent for sent, ended in pairs if ended <= first_bad)])


def last_good_by_send(way: rto.Track, since: int, first_bad: int) -> int:
    return max([since, *(sent for sent in way.evidence.good_sent if sent <= first_bad)])


def running_bads_ignored(seen: Evidence) -> tuple[list[int], list[int]]:
    return seen.bad_sent, seen.bad_sent


def window_by_send_span(sent: int, ended: int, window: int) -> int:
    del ended
    return sent + window


def no_gap_rule(found: list[int], rho_max: int) -> list[int]:
    del found, rho_max
    return []


def first_good_by_receive(seen: Evidence, ehi: int) -> int:
    return next((at for at, ended in enumerate(seen.good_ended) if ended >= ehi), len(seen.good_ended))


def p99(latencies: list[int]) -> int:
    return sorted(latencies)[int(0.99 * len(latencies))] if latencies else 0


def effect_is_the_answer(way: rto.Track, disaster: effect.Disaster, old_success: int | None) -> effect.Effect:
    del way, old_success
    assert disaster.clock is not None
    return effect.Effect(disaster.clock, disaster.clock.earliest, disaster.clock.latest, effect.Known.SYNCHRONOUS)


def whoever_executed_it(row: Recovered, old: str) -> bool:
    del row, old
    return True


def largest_sequence(present: Sequence[Marker]) -> int | None:
    return max(present, key=lambda marker: marker.seq).sent if present else None


def unconfirmed(random: Random) -> bool:
    return holds(draw_outage(random, "unconfirmed"))


def confirmed(random: Random) -> bool:
    return holds(draw_outage(random, "confirmed"))


def shipped(random: Random) -> bool:
    return rpo_holds(draw_shipment(random))


def slow(random: Random) -> bool:
    return slow_incident_holds(draw_slow_incident(random))


def no_hole_rule(present: list[Marker], lost: list[Marker]) -> list[Marker]:
    del present, lost
    return []


MUTANTS = [
    Mutant("last good by send", unconfirmed, ((effect, "last_good", last_good_by_send),)),
    Mutant("last good without an unbroken chain", unconfirmed, ((effect, "last_good", plain_last_good),)),
    Mutant("running bads ignored", confirmed, ((rto, "bads_by_end", running_bads_ignored),)),
    Mutant("window by send span", confirmed, ((rto, "window_closes", window_by_send_span),)),
    Mutant("no gap rule", confirmed, ((rto, "breaks", no_gap_rule),)),
    Mutant("first good by receive", confirmed, ((rto, "first_candidate", first_good_by_receive),)),
    Mutant("p99 for l_max", slow, ((evidence, "largest_latency", p99),)),
    Mutant("effect = API answer", confirmed, ((effect, "effect", effect_is_the_answer),)),
    Mutant(
        "RPO by rows of any server", shipped, ((rpo, "executed_by", whoever_executed_it), (rpo, "_holes", no_hole_rule))
    ),
    Mutant(
        "RPO by the largest sequence",
        shipped,
        (
            (rpo, "executed_by", whoever_executed_it),
            (rpo, "_holes", no_hole_rule),
            (rpo, "last_present", largest_sequence),
        ),
    ),
]


RARE = "window by send span"
"""Only one world in thousands kills it: the search is for ``make prove``."""


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(one, id=one.name, marks=[pytest.mark.prove] if one.name == RARE else []) for one in MUTANTS],
)
def test_a_mutant_is_killed_by_a_generated_world(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_out(monkeypatch, mutant.patches, mutant.survives)
