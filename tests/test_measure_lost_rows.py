"""Lost rows: the exact set difference lies in the bounds, and a count of nothing that proves nothing is never MET."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_drill import LOST, MS, Case, S, Story, ledger
from mutants import found_out

from drills.measure import lost_rows
from drills.measure.evidence import Bracket
from drills.measure.judge import judge
from drills.measure.question import Ledger, Moment, StepSpan, Target
from drills.measure.readings import Reading, readings_of
from drills.measure.rpo import Book
from drills.measure.verdict import Verdict, decide
from drills.timeline.marks import Limits, Mark, Unit
from drills.timeline.samples import Marker, ReadRound, Recovered

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.measure.judgement import JudgedObjective

randoms = st.builds(Random, st.integers(0, 2**63))
OLD, NEW = "pg-east", "pg-west"


@dataclass(frozen=True)
class World:
    """A switchover, and how many rows were acknowledged and are not on the new primary in the end."""

    book: Book
    truth: int


@dataclass(frozen=True)
class Row:
    """One row: its marker, and from when the new primary has it; None: never."""

    marker: Marker
    there: int | None


def draw_rows(random: Random) -> list[Row]:
    """Write each slot to the old primary, or through a name that moves; replicate asynchronously until the promote."""
    promote = random.randint(60, 200)
    fence = random.choice((promote - random.randint(0, 50), promote + random.randint(1, 200)))
    lag, follows, synchronous = random.choice((0, 2, 30)), random.random() < 0.5, random.random() < 0.2
    rows: list[Row] = []
    for writer in ("a", "b")[: random.randint(1, 2)]:
        for seq in range(random.randint(5, 40)):
            sent = 8 * seq + random.randint(0, 7)
            done = sent + random.randint(0, 9)
            told = done + random.randint(0, 9)
            answered = random.random() < 0.9
            if done < fence:
                arrives = done + lag
                in_time = synchronous or arrives < promote
                late = None if random.random() < 0.8 else promote + random.randint(0, 60)
                there = (arrives if in_time else late) if not synchronous else done
                acked = True if answered and (not synchronous or in_time) else None
                rows.append(
                    Row(Marker(writer, seq, sent, told if acked else sent + 50, acked, OLD if acked else ""), there)
                )
            elif follows and done > promote:
                acked = True if answered else None
                rows.append(
                    Row(Marker(writer, seq, sent, told if acked else sent + 50, acked, NEW if acked else ""), done)
                )
            else:
                rows.append(Row(Marker(writer, seq, sent, told, acked=False), None))
    return rows


def draw_world(random: Random) -> World:
    """Read the new primary a few times while it may still be written to; a reading may break off."""
    rows = draw_rows(random)
    begun = sorted(random.sample(range(40, 420), random.randint(1, 3)))
    whole = [random.random() < 0.75 for _ in begun]
    last = max((at for at, complete in zip(begun, whole, strict=True) if complete), default=None)
    named = random.random() < 0.8
    if last is not None:  # what comes after the last reading has not come as far as anybody knows
        rows = [
            replace(row, there=None)
            if row.there is not None and row.there > last and row.marker.ended is not None and row.marker.ended <= last
            else row
            for row in rows
        ]
    rounds: list[ReadRound] = []
    found: list[Recovered] = []
    for number, (at, complete) in enumerate(zip(begun, whole, strict=True), 1):
        rounds.append(ReadRound(number, at, at + 5, NEW if named else "", complete))
        for row in rows:
            if row.there is not None and row.there <= at and (complete or random.random() < 0.5):
                executor = row.marker.primary or (OLD if random.random() < 0.9 else NEW)
                found.append(Recovered(number, at + 1, row.marker.writer, row.marker.seq, executor))
    truth = sum(1 for row in rows if row.marker.acked and row.there is None)
    return World(Book("orders", [row.marker for row in rows], rounds, found), truth)


def holds(random: Random) -> bool:
    world = draw_world(random)
    found = lost_rows.counted(world.book)
    if found.low > world.truth or (found.high is not None and world.truth > found.high):
        return False
    for target in (0, 1, world.truth, max(0, world.truth - 1)):
        verdict = decide(found.low, found.high, target, doubted=False)
        if verdict is (Verdict.MET if world.truth > target else Verdict.MISSED):
            return False
    return True


@given(randoms)
@settings(max_examples=1_000)
def test_the_set_difference_lies_within_the_bounds_and_no_verdict_contradicts_it(random: Random) -> None:
    assert holds(random)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_a_hundred_thousand_switchovers_lie_within_their_bounds() -> None:
    assert [seed for seed in range(100_000) if not holds(Random(seed))] == []


@given(randoms)
@settings(max_examples=300)
def test_a_reading_after_the_last_answer_gives_the_set_difference_exactly(random: Random) -> None:
    rows = draw_rows(random)
    at = 1_000
    found = [Recovered(1, at, row.marker.writer, row.marker.seq, OLD) for row in rows if row.there is not None]
    book = Book("orders", [row.marker for row in rows], [ReadRound(1, at, at + 5, NEW, complete=True)], found)
    lost = {(row.marker.writer, row.marker.seq) for row in rows if row.marker.acked} - {
        (row.writer, row.seq) for row in found
    }
    assert lost_rows.counted(book) == lost_rows.Counted(len(lost), len(lost))


def unanswered_rows_count_as_promised(marker: Marker) -> bool:
    return marker.acked is not False


class AllIsCompared(Reading):
    def lacks(self, marker: Marker) -> bool:
        return (marker.writer, marker.seq) not in self.keys


class ComparedBySend(Reading):
    def lacks(self, marker: Marker) -> bool:
        return marker.sent <= self.started and (marker.writer, marker.seq) not in self.keys


def read_as(kind: type[Reading]) -> Callable[..., list[Reading]]:
    def read(rounds: list[ReadRound], recovered: list[Recovered]) -> list[Reading]:
        return [kind(one.started, one.keys) for one in readings_of(rounds, recovered)]

    return read


def rows_of_the_new_primary_do_not_count(rounds: list[ReadRound], recovered: list[Recovered]) -> list[Reading]:
    return readings_of(rounds, [row for row in recovered if row.primary == OLD])


def a_broken_reading_counts(rounds: list[ReadRound], recovered: list[Recovered]) -> list[Reading]:
    return readings_of([replace(one, complete=True) for one in rounds], recovered)


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "unanswered rows count as promised": ("promised", unanswered_rows_count_as_promised),
    "a broken reading counts": ("readings_of", a_broken_reading_counts),
    "all is compared": ("readings_of", read_as(AllIsCompared)),
    "compared by send": ("readings_of", read_as(ComparedBySend)),
    "rows of the new primary do not count": ("readings_of", rows_of_the_new_primary_do_not_count),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_rule_of_the_count_is_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_out(monkeypatch, [(lost_rows, *MUTANTS[name])], holds)


# -- judged -----------------------------------------------------------------------------------------------------

EVERY = 50 * MS


def asked(store: Ledger | tuple[Ledger, ...], target: int = 0, /, **changes: object) -> JudgedObjective:
    """Judge a planned switchover: writes are to stop at ``LOST``, nobody marks a disaster."""
    aim = Target("lost_rows", None, None, 0, limits=Limits.LOST_ROWS, most_rows=target)
    ledgers = store if isinstance(store, tuple) else (store,)
    given = {
        "disaster": None,
        "ledgers": ledgers,
        "stopping": LOST,
        "moved": Bracket(LOST + S, LOST + 2 * S),
        **changes,
    }
    return judge(Case(targets=(aim,)).question(**given)).objectives[0]


def clean(store: str = "orders") -> Ledger:
    """Give a ledger of a switchover that waited: all that was acknowledged is on the new primary."""
    return ledger(Story(), -S, EVERY, store)


def bounds(found: JudgedObjective) -> tuple[int | None, int | None]:
    assert found.count is not None
    assert found.count.unit is Unit.ROWS
    return found.count.low, found.count.high


def test_a_clean_switchover_is_met_with_no_row_lost() -> None:
    found = asked(clean())
    assert (found.verdict, bounds(found)) == (Verdict.MET, (0, 0)), found.why
    assert (found.low_s, found.high_s, found.target_s) == (None, None, None)
    assert found.why == "at most 0 rows, within 0 rows"


def test_a_switchover_that_does_not_wait_for_the_standby_is_missed() -> None:
    hasty = ledger(Story(), 120 * MS, EVERY)
    found = asked(hasty)
    assert (found.verdict, found.why) == (Verdict.MISSED, f"at least {bounds(found)[0]} rows, above 0 rows")
    acked = {marker.seq for marker in hasty.book.markers if marker.acked}
    lost = len(acked - {row.seq for row in hasty.book.recovered})
    assert bounds(found) == (lost, lost)
    assert asked(hasty, lost).verdict is Verdict.MET
    assert asked(hasty, lost - 1).verdict is Verdict.MISSED


def test_an_old_primary_that_goes_on_taking_rows_is_missed_even_though_it_never_stopped() -> None:
    unfenced = ledger(Story(takes_effect=99 * S), -99 * S, EVERY)
    found = asked(unfenced)
    assert bounds(found) == (0, 0)
    assert found.verdict is Verdict.UNPROVEN
    assert "ended while the old primary still acknowledged" in found.why
    kept = [row for row in unfenced.book.recovered if row.seq < 280]
    found = asked(replace(unfenced, book=replace(unfenced.book, recovered=kept)))
    assert found.verdict is Verdict.MISSED


def test_lost_rows_are_judged_in_a_disaster_too() -> None:
    aim = Target("lost_rows", None, None, 0, limits=Limits.LOST_ROWS)
    judged = judge(Case(targets=(aim,)).question())
    assert judged.rows is not None
    assert bounds(judged.objectives[0]) == (judged.rows.lost, judged.rows.lost)
    assert judged.objectives[0].verdict is Verdict.MISSED


def without_reading(store: Ledger) -> Ledger:
    return replace(store, book=replace(store.book, rounds=[replace(store.book.rounds[0], complete=False)]))


def until(store: Ledger, moment: int) -> Ledger:
    return replace(store, book=replace(store.book, markers=[one for one in store.book.markers if one.sent < moment]))


def silent(store: Ledger, first: int, last: int) -> Ledger:
    kept = [one for one in store.book.markers if not first <= one.sent < last]
    return replace(store, book=replace(store.book, markers=kept))


def read_by(store: Ledger, server: str, at: int = LOST + 14 * S) -> Ledger:
    return replace(store, book=replace(store.book, rounds=[ReadRound(1, at, at + S, server, complete=True)]))


NOT_MET: dict[str, tuple[Ledger | tuple[Ledger, ...], dict[str, object], str]] = {
    "nothing was read": (without_reading(clean()), {}, "no complete reading"),
    "no ledger": ((), {}, "no markers were written"),
    "no row was acknowledged before": (silent(clean(), 0, LOST), {}, "no row was acknowledged before"),
    "the writer stopped before": (until(clean(), LOST - 5 * S), {}, "before writes were to stop"),
    "the writer lost its way before": (silent(clean(), LOST - 5 * S, LOST), {}, "before writes were to stop"),
    "the writer ended with its last ack": (until(clean(), LOST - MS), {}, "still acknowledged"),
    "the writer was silent over the stop": (silent(clean(), LOST, LOST + 1700 * MS), {}, "after the last acknowledged"),
    "the reading came before the last row": (read_by(clean(), NEW, LOST - S), {}, "read before it stopped"),
    "the old primary itself was read": (read_by(clean(), OLD), {}, "another server"),
    "nobody is named and nothing moved": (read_by(clean(), ""), {"moved": None}, "another server"),
    "nobody knows when writes were to stop": (clean(), {"stopping": None}, "shows when writes were to stop"),
    "one of two stores was not read": ((clean(), without_reading(clean("cache"))), {}, "cache: no complete reading"),
}


@pytest.mark.parametrize("name", NOT_MET)
def test_a_count_of_nothing_that_proves_nothing_is_unproven(name: str) -> None:
    store, changes, why = NOT_MET[name]
    if name == "the reading came before the last row":
        assert isinstance(store, Ledger)
        rows = [row for row in store.book.recovered if row.seq < 280]
        store = replace(store, book=replace(store.book, recovered=rows))
    found = asked(store, **changes)
    assert found.verdict is Verdict.UNPROVEN
    assert why in found.why
    assert found.decided_by


def test_another_boot_of_the_writer_leaves_no_count() -> None:
    other = clean()
    found = asked(replace(other, header=replace(other.header, clock="host/another")))
    assert (found.verdict, bounds(found)) == (Verdict.UNPROVEN, (None, None))


def test_the_rows_of_all_stores_are_added_up_and_a_named_one_counts_alone() -> None:
    lossy, whole = ledger(Story(), 120 * MS, EVERY, "cache"), clean()
    assert bounds(asked((lossy, lossy_twin := replace(lossy, header=replace(lossy.header, observer="twin")))))[0] == (
        2 * (bounds(asked(lossy))[0] or 0)
    )
    assert asked((whole, lossy_twin)).verdict is Verdict.MISSED
    aim = Target("lost_rows", None, None, 0, ("orders",), limits=Limits.LOST_ROWS)
    given = {"disaster": None, "ledgers": (whole, lossy), "stopping": LOST, "moved": Bracket(LOST, LOST + S)}
    assert judge(Case(targets=(aim,)).question(**given)).objectives[0].verdict is Verdict.MET
    missing = replace(aim, seen_by=("nobody",))
    assert judge(Case(targets=(missing,)).question(**given)).objectives[0].verdict is Verdict.UNPROVEN


def test_a_missed_store_is_missed_though_another_was_not_read() -> None:
    found = asked((ledger(Story(), 120 * MS, EVERY), without_reading(clean("cache"))))
    assert (found.verdict, bounds(found)[1]) == (Verdict.MISSED, None)


def test_a_writer_that_follows_a_name_to_the_new_primary_is_met_by_what_was_read() -> None:
    base = clean()
    seq = len(base.book.markers)
    after = [
        Marker(
            "w", seq + place, LOST + 2 * S + place * EVERY, LOST + 2 * S + place * EVERY + MS, acked=True, primary=NEW
        )
        for place in range(400)
    ]
    book = replace(base.book, markers=[*base.book.markers, *after])
    began = book.rounds[0].started
    there = [Recovered(1, began, "w", one.seq, NEW) for one in after if one.ended is not None and one.ended <= began]
    found = asked(replace(base, book=replace(book, recovered=[*book.recovered, *there])))
    assert (found.verdict, bounds(found)) == (Verdict.MET, (0, 0)), found.why


def restarted(*, keeps: int = 0, until_s: int = 3) -> Ledger:
    """Give a ledger of a store that goes down at ``LOST`` and comes back as itself; rows from ``keeps`` on are gone."""
    base = clean()
    seq = len(base.book.markers)
    sent = [LOST + until_s * S + place * EVERY for place in range(400)]
    after = [Marker("w", seq + at, one, one + MS, acked=True, primary=OLD) for at, one in enumerate(sent)]
    began = base.book.rounds[0].started
    there = [row for row in base.book.recovered if not keeps or row.seq < keeps]
    there += [Recovered(1, began, "w", one.seq, OLD) for one in after if one.ended is not None and one.ended <= began]
    rounds = [replace(base.book.rounds[0], server=OLD)]
    book = replace(base.book, markers=[*base.book.markers, *after], rounds=rounds, recovered=there)
    return replace(base, book=book)


def test_a_store_that_comes_back_as_itself_is_judged_where_no_other_site_takes_over() -> None:
    in_place: dict[str, object] = {"from_site": "east", "to_site": "east", "moved": None}
    found = asked(restarted(), **in_place)
    assert (found.verdict, bounds(found)) == (Verdict.MET, (0, 0)), found.why
    assert bounds(asked(restarted(keeps=290), **in_place)) == (10, 10)
    assert asked(restarted(keeps=290), **in_place).verdict is Verdict.MISSED
    assert asked(restarted()).verdict is Verdict.UNPROVEN
    never = ledger(Story(takes_effect=99 * S), -99 * S, EVERY)
    assert asked(read_by(never, OLD), **in_place).verdict is Verdict.UNPROVEN
    early = asked(read_by(restarted(until_s=10), OLD, LOST - MS), 1_000, **in_place)
    assert (early.verdict, "read before it stopped" in early.why) == (Verdict.UNPROVEN, True)


# -- exposure ---------------------------------------------------------------------------------------------------

EXPOSURE = Target("exposure", Mark.SERVICE_RESTORED, Mark.REDUNDANCY_RESTORED, 30 * S)
SOUGHT = StepSpan("redundant", LOST + 6 * S, None, Mark.REDUNDANCY_RESTORED)


def test_the_exposure_runs_from_the_restored_service_to_the_mark_of_redundancy() -> None:
    case = Case(targets=(EXPOSURE,))
    moments = case.question().moments
    back = Moment(Mark.REDUNDANCY_RESTORED, Bracket(LOST + 12 * S, LOST + 13 * S))
    judged = judge(case.question(moments=(*moments, back)))
    (found,) = judged.objectives
    assert found.verdict is Verdict.MET
    assert found.low_s is not None
    assert found.high_s is not None
    assert 6.5 < found.low_s < 7.2  # restored 5 s after the loss
    assert 7.8 < found.high_s < 8.5
    assert judged.exposure is not None
    assert (judged.exposure.low_s, judged.exposure.high_s) == (found.low_s, found.high_s)
    assert judged.exposure.restored


def test_a_drill_that_never_restored_redundancy_was_exposed_until_its_end() -> None:
    steps = (*Case().question().steps, SOUGHT)
    judged = judge(Case(targets=(EXPOSURE,)).question(steps=steps))
    assert judged.exposure is not None
    assert (judged.exposure.restored, judged.exposure.high_s) == (False, None)
    assert 14.7 < judged.exposure.low_s <= 15.0
    assert judged.exposure.why.startswith("redundancy was not restored: exposed until the drill's end, at least 14.")
    assert judged.objectives[0].verdict is Verdict.UNPROVEN
    short = replace(EXPOSURE, target_ns=10 * S)
    missed = judge(Case(targets=(short,)).question(steps=steps)).objectives[0]
    assert missed.verdict is Verdict.MISSED
    assert "redundancy was not restored" in missed.why


def test_a_drill_that_moved_authority_tells_its_exposure_and_another_does_not() -> None:
    assert judge(Case().question()).exposure is None
    moved = judge(Case().question(moved=Bracket(LOST + S, LOST + 2 * S))).exposure
    assert moved is not None
    assert not moved.restored


def test_a_switchover_that_nobody_felt_is_exposed_from_the_move_of_authority_on() -> None:
    story = Story(recovers=0)
    moved = Bracket(LOST + S, LOST + 2 * S)
    judged = judge(Case(story, ()).question(disaster=None, moved=moved))
    assert judged.exposure is not None
    assert judged.exposure.low_s == 18.0
