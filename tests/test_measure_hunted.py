"""What must not be MET, MISSED or counted: whole drills whose evidence is short of what the numbers need."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from judged_drills import BEGAN, DOWNTIME, LOSE, PROMOTE, RPO, RTO, Lived, kept, read_back, write
from measure_drill import LOST, MS, S, Story, ledger, watch
from msgspec import structs
from msgspec.structs import replace as altered

from drills.engine.plan import DataWatch, Objective
from drills.measure import rpo
from drills.measure.evidence import Bracket
from drills.measure.verdict import Verdict
from drills.report.result import summarize
from drills.testing import step
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.timeline.marks import Limits, Mark
from drills.timeline.samples import ROWS_LOST, ClockReading, Marker, ReadRound
from drills.work import Kind

if TYPE_CHECKING:
    from pathlib import Path

STRUCK = Bracket(LOST - 5 * MS, LOST + 5 * MS)
ORDERS = DataWatch("orders", "orders", "env:OLD", "env:NEW")


# -- marks that people's steps set ----------------------------------------------------------------------------


def data_restored(*told: tuple[float, ev.Body]) -> Lived:
    """A drill whose ``writer`` step says that the data is back; the objective is a minute."""
    steps = (LOSE, PROMOTE, step("writer", Kind.PROBE, "promote", mark=Mark.DATA_RESTORED))
    data = Objective("data", Mark.DISASTER, Mark.DATA_RESTORED, 60.0)
    return Lived((), (data,), steps, (*BEGAN, *told), ends=150.0)


def test_what_was_found_true_at_the_first_look_may_have_been_so_long_before() -> None:
    """The looking began two minutes after the disaster, and nothing had said no before: nothing shows a miss."""
    found = data_restored((120.0, ev.Started("writer", 1)), (120.2, ev.Ended("writer", ev.Outcome.DONE, "yes")))
    one = found.objective()
    assert (one.verdict, one.low_s) == (Verdict.UNPROVEN, 0.0)
    assert one.high_s == pytest.approx(120.21)


def test_what_a_look_had_denied_was_not_so_before_that_look() -> None:
    found = data_restored(
        (120.0, ev.Started("writer", 1)),
        (120.1, ev.Looked("writer", ok=False, detail="no")),
        (124.0, ev.Ended("writer", ev.Outcome.DONE, "yes")),
    )
    one = found.objective()
    assert one.verdict is Verdict.MISSED
    assert one.low_s == pytest.approx(119.99)


def test_a_change_that_was_found_made_has_no_beginning() -> None:
    steps = (LOSE, altered(PROMOTE, mark=Mark.DATA_RESTORED))
    data = Objective("data", Mark.DISASTER, Mark.DATA_RESTORED, 60.0)
    told = (
        *BEGAN[:4],
        (120.0, ev.Started("promote", 1)),
        (120.1, ev.Ended("promote", ev.Outcome.DONE, "found", Facts(), adopted=True)),
    )
    assert Lived((), (data,), steps, told, ends=150.0).objective().verdict is Verdict.UNPROVEN


# -- writers that died ----------------------------------------------------------------------------------------


def until(story: Story, last: int) -> list[Marker]:
    return [one for one in ledger(story).book.markers if one.sent < last]


def test_a_writer_that_was_killed_before_the_disaster_shows_nothing_of_what_came_after() -> None:
    """Its last marker stands open in its file: nobody waited for the answer, which is no silence of the primary."""
    book = ledger(Story()).book
    killed = [*until(Story(), LOST - 8 * S), Marker("w", 900, LOST - 8 * S, None, None)]
    found = rpo.loss(replace(book, markers=killed), STRUCK)
    assert (found.high, found.rows.lost) == (None, 0)
    gave_up = [*killed[:-1], Marker("w", 900, LOST - 1 * S, LOST + 1 * S, None)]
    assert rpo.loss(replace(book, markers=gave_up), STRUCK).high is None
    tried = [*gave_up, Marker("w", 901, LOST + 1 * S, LOST + 2 * S, None)]
    assert rpo.loss(replace(book, markers=tried), STRUCK).high is not None


def test_a_writer_that_died_has_not_written_down_every_write(tmp_path: Path) -> None:
    """Acknowledgements of its last half second are gone, so that none of those written down is lost says little."""
    one = ledger(Story(), lag=0)
    every = structs.replace(ORDERS, ordered=False, every_write=True)
    verdicts: list[Verdict] = []
    for name, ended in (("whole", LOST + 20 * S), ("killed", None)):
        file = kept(tmp_path / name, replace(one, header=replace(one.header, ended=ended)))
        lived = Lived((("orders", file),), (structs.replace(RPO, target_s=0.01),), data=(every,), availability=())
        verdicts.append(lived.objective().verdict)
    assert verdicts == [Verdict.MET, Verdict.UNPROVEN]


def test_rows_of_a_reading_that_broke_off_are_not_there_if_a_later_whole_reading_lacks_them() -> None:
    book = ledger(Story()).book
    gone = book.recovered[-1]
    early = [ReadRound(1, LOST + 5 * S, LOST + 6 * S, "pg-west", complete=False)]
    rows = [replace(gone, round=1), *(replace(one, round=2) for one in book.recovered[:-1])]
    later = [ReadRound(2, LOST + 14 * S, LOST + 15 * S, "pg-west", complete=True)]
    whole = rpo.loss(book, STRUCK)
    found = rpo.loss(replace(book, rounds=[*early, *later], recovered=rows), STRUCK)
    assert found.rows.lost == whole.rows.lost + 1
    again = [replace(one, round=3) if one.round == 1 else one for one in rows]
    seen_later = [*later, ReadRound(3, LOST + 16 * S, LOST + 17 * S, "pg-west", complete=False)]
    assert rpo.loss(replace(book, rounds=seen_later, recovered=again), STRUCK).rows.lost == whole.rows.lost


# -- evidence that is not there -------------------------------------------------------------------------------


def test_a_persona_whose_file_is_gone_leaves_the_recovery_time_unproven(tmp_path: Path) -> None:
    service = kept(tmp_path, watch(Story()))
    both = Lived((("service", service), ("clients", tmp_path / "gone.db")), availability=("service", "clients"))
    assert Lived((("service", service),)).objective().verdict is Verdict.MET
    found = both.objective()
    assert found.verdict is Verdict.UNPROVEN
    assert "clients" in found.why
    narrowed = replace(both, objectives=(structs.replace(RTO, seen_by=("service",)),))
    assert narrowed.objective().verdict is Verdict.MET
    down = replace(both, objectives=(DOWNTIME,))
    assert down.objective().verdict is Verdict.UNPROVEN


def test_a_store_whose_ledger_is_gone_leaves_the_recovery_point_unproven(tmp_path: Path) -> None:
    orders = kept(tmp_path, ledger(Story()))
    one = Lived((("orders", orders),), (RPO,), data=(ORDERS,), availability=())
    assert one.objective().verdict is Verdict.MET
    two = replace(one, data=(ORDERS, structs.replace(ORDERS, id="stock")))
    found = two.objective()
    assert found.verdict is Verdict.UNPROVEN
    assert "stock" in found.why


def test_an_observer_that_died_is_named_where_nothing_else_bounds_the_recovery(tmp_path: Path) -> None:
    one = watch(Story())
    rows = [row for row in one.samples if row.sent < LOST + 2 * S]
    file = write(tmp_path / "service.db", replace(one.header, ended=None), rows)
    found = Lived((("service", file),)).objective()
    assert (found.verdict, found.decided_by) == (Verdict.UNPROVEN, "an observer that lives")
    assert "service recorded nothing in the last 18" in found.why


# -- clocks ---------------------------------------------------------------------------------------------------


def reading(at: int, slept: int = 0, stepped: int = 0) -> ClockReading:
    return ClockReading(10**18 + at + slept + stepped, at, at + slept)


def halves(folder: Path, slept: int) -> tuple[Path, Path]:
    """A prober that was killed ten seconds after the loss, and its successor; the machine slept in between."""
    one = watch(Story())
    rows = sorted(one.samples, key=lambda row: row.sent)
    cut = LOST + 2 * S
    first = replace(one.header, ended=None, at_start=reading(LOST - 15 * S), at_end=None)
    second = replace(one.header, at_start=reading(cut, slept), at_end=reading(LOST + 20 * S, slept))
    return (
        write(folder / "service.db", first, [row for row in rows if row.ended < cut]),
        write(folder / "service.2.db", second, [row for row in rows if row.sent > cut]),
    )


def test_a_machine_that_slept_between_two_lives_of_an_observer_proves_no_recovery_time(tmp_path: Path) -> None:
    files = [("service", file) for file in halves(tmp_path / "awake", 0)]
    assert Lived(files).objective().verdict is Verdict.MET
    slept = Lived([("service", file) for file in halves(tmp_path / "slept", 90 * S)])
    found = slept.objective()
    assert found.verdict is Verdict.UNPROVEN
    assert "the machine of service slept for 90s" in found.why


def test_a_sleep_that_only_one_observer_saw_is_a_sleep_of_every_objective(tmp_path: Path) -> None:
    """One machine: where the marker writer slept, the prober that was killed slept too, and so did the steps."""
    one = watch(Story())
    killed = replace(one, header=replace(one.header, ended=None, at_start=reading(LOST - 15 * S)))
    other = ledger(Story())
    ends = (reading(LOST - 15 * S), reading(LOST + 20 * S, 90 * S))
    saw = replace(other, header=replace(other.header, at_start=ends[0], at_end=ends[1]))
    files = (("service", kept(tmp_path, killed)), ("orders", kept(tmp_path, saw)))
    decided = Objective("promoted", Mark.DISASTER, Mark.DECIDED, 60.0)
    go = step("go", Kind.OPERATOR, "lose", mark=Mark.DECIDED)
    told = (*BEGAN, (4.0, ev.Started("go", 1)), (5.0, ev.Ended("go", ev.Outcome.DONE, "yes")))
    lived = Lived(files, (RTO, decided), (LOSE, PROMOTE, go), told, data=(ORDERS,))
    assert [one.verdict for one in lived.judged().objectives] == [Verdict.UNPROVEN] * 2


def test_a_wall_clock_that_moved_while_no_observer_could_say_why_proves_nothing(tmp_path: Path) -> None:
    """A killed observer never read the clocks again: the step may have been NTP's, or the machine slept."""
    one = watch(Story())
    killed = kept(
        tmp_path / "killed", replace(one, header=replace(one.header, at_start=reading(LOST - 15 * S), ended=None))
    )
    lived = Lived((("service", killed),), stepped_at=((2.0, 90.0),))
    assert lived.objective().verdict is Verdict.UNPROVEN
    assert replace(lived, stepped_at=()).objective().verdict is Verdict.MET
    ends = {"at_start": reading(LOST - 15 * S), "at_end": reading(LOST + 20 * S, stepped=90 * S)}
    whole = kept(tmp_path / "whole", replace(one, header=replace(one.header, **ends)))  # type: ignore[arg-type]
    stepped = Lived((("service", whole),), stepped_at=((2.0, 90.0),)).judged()
    assert stepped.objectives[0].verdict is Verdict.MET, "durations are monotonic; NTP may step the wall clock"
    assert any("drifted apart" in one for one in stepped.warnings)


def test_what_was_seen_after_the_machine_was_started_again_is_not_put_among_what_was_seen_before(
    tmp_path: Path,
) -> None:
    """A new boot counts from nothing: good answers of then would lie in the outage, and end it."""
    down = watch(Story(recovers=90 * S))
    up = watch(Story(recovers=0))
    late = [row for row in up.samples if row.sent > LOST + 1 * S]
    first = write(tmp_path / "service.db", replace(down.header, ended=None), down.samples)
    second = write(tmp_path / "service.2.db", replace(up.header, clock="host/next"), late)
    lived = Lived((("service", first), ("service", second)))
    alone = Lived((("service", first),)).judged()
    found = lived.judged()
    assert found.objectives == alone.objectives
    assert found.objectives[0].verdict is Verdict.UNPROVEN
    writer = ledger(Story())
    old = write(tmp_path / "orders.db", writer.header, markers=writer.book.markers)
    again = [replace(one, writer="w2", sent=one.sent - 60 * S) for one in writer.book.markers]
    new = write(tmp_path / "orders.2.db", replace(writer.header, clock="host/next"), markers=again)
    read_back(new, writer.book.rounds, writer.book.recovered)
    stores = Lived((("orders", old), ("orders", new)), (RPO,), data=(ORDERS,), availability=()).judged().stores
    assert [one.rows.acked for one in stores] == [300]


# -- writes that no reading could find ------------------------------------------------------------------------


def test_a_write_acknowledged_after_the_last_reading_had_begun_is_not_thereby_lost() -> None:
    """Nobody has looked for it since; where every write must have been compared, it leaves the loss unbounded."""
    book = ledger(Story(), lag=0).book
    whole = rpo.loss(book, STRUCK)
    during = Marker("w", 950, LOST + 14 * S + MS, LOST + 14 * S + 2 * MS, acked=True, primary="pg-east")
    later = [replace(during, seq=951 + at, sent=LOST + 16 * S, ended=LOST + 17 * S) for at in range(3)]
    more = replace(book, markers=[*book.markers, *later, during])
    found = rpo.loss(more, STRUCK)
    assert (found.rows.lost, found.low) == (whole.rows.lost, whole.low)
    assert found.high is None, "the old primary still acknowledged when the writer stopped"
    every = rpo.loss(replace(more, every_write=True), STRUCK)
    assert (every.high, "4 writes were acknowledged after" in every.why) == (None, True)
    before = replace(book, markers=[*book.markers, replace(during, sent=LOST + 13 * S, ended=LOST + 13 * S + MS)])
    assert rpo.loss(before, STRUCK).rows.lost == whole.rows.lost + 1


def test_every_file_of_an_observer_stands_among_the_evidence_of_a_report(tmp_path: Path) -> None:
    files = [("service", file) for file in halves(tmp_path, 0)]
    seals = tuple((20.0, ev.Sealed(name, str(file), 5, 1, 2, file.name)) for name, file in files)
    events, state = Lived(files, told=(*BEGAN, *seals)).events()
    assert [one.sha256 for one in summarize(events, state).evidence] == ["service.db", "service.2.db"]


def test_a_writer_that_died_may_have_lost_more_rows_than_it_wrote_down(tmp_path: Path) -> None:
    """What was acknowledged since its last flush died with it: that none of the rows left is lost says little."""
    one = ledger(Story(), lag=0)
    none = Objective("lost_rows", None, None, 0.0, limits=Limits.LOST_ROWS)
    verdicts: list[Verdict] = []
    for name, changes in (("whole", {}), ("killed", {"ended": None}), ("full", {"notes": (f"7 {ROWS_LOST}",)})):
        header = replace(one.header, **changes)  # pyright: ignore[reportArgumentType] - fields by name
        file = kept(tmp_path / name, replace(one, header=header))
        verdicts.append(Lived((("orders", file),), (none,), data=(ORDERS,), availability=()).objective().verdict)
    assert verdicts == [Verdict.MET, Verdict.UNPROVEN, Verdict.UNPROVEN]


def test_a_fault_whose_call_ended_on_another_clock_than_it_began_misses_no_target(tmp_path: Path) -> None:
    """The machine died in the call, and the drill went on after it had come up again: the two stamps are no bracket."""
    file = kept(tmp_path, watch(Story()))
    told = (BEGAN[0], (6.0, ev.Resumed("ana@host", 7)), *((at + 7.0, body) for at, body in BEGAN[1:]))
    found = Lived((("service", file),), told=told, boots_at=6.0).objective()
    assert (found.verdict, found.high_s) == (Verdict.UNPROVEN, None)
    late = (*BEGAN[:2], (7.0, BEGAN[2][1]), (7.0, BEGAN[3][1]))
    unseen = Lived((("service", file),), told=late, boots_at=6.0).objective()
    assert unseen.verdict is Verdict.UNPROVEN
    assert "never confirmed" in unseen.why


def test_authority_that_was_found_moved_has_no_moment_from_which_exposure_counts(tmp_path: Path) -> None:
    """A colleague had promoted long before the drill looked: from when on nothing was redundant nobody knows."""
    back = step("back", Kind.PROBE, "promote", mark=Mark.REDUNDANCY_RESTORED)
    exposure = Objective("exposure", Mark.SERVICE_RESTORED, Mark.REDUNDANCY_RESTORED, 60.0)
    ends = (
        (4.0, ev.Started("back", 1)),
        (4.1, ev.Looked("back", ok=False, detail="no")),
        (9.0, ev.Ended("back", ev.Outcome.DONE, "yes")),
    )
    verdicts: list[Verdict] = []
    for adopted in (False, True):
        moved = ((0.1, ev.Started("promote", 1)), (3.1, ev.Ended("promote", ev.Outcome.DONE, "", adopted=adopted)))
        file = kept(tmp_path / str(adopted), watch(Story(recovers=0)))
        lived = Lived((("service", file),), (exposure,), (altered(PROMOTE, needs=()), back), (*moved, *ends))
        verdicts.append(lived.objective().verdict)
    assert verdicts == [Verdict.MET, Verdict.UNPROVEN]


def test_rows_diverge_once_the_disaster_is_in_effect_and_not_once_its_call_has_answered(tmp_path: Path) -> None:
    """The answer of an API is not the disaster: until it takes effect the old primary is the primary."""
    file = kept(tmp_path, ledger(Story(takes_effect=1 * S)))
    told = (*BEGAN[:2], (1.1, BEGAN[2][1]), (1.1, BEGAN[3][1]))
    lived = Lived((("orders", file),), (RPO,), told=told, data=(ORDERS,), availability=())
    rows = lived.judged().stores[0].rows
    assert rows.lost is not None
    assert (rows.lost > 15, rows.diverged) == (True, 0)
    early = replace(lived, told=(*BEGAN[:4],)).judged().stores[0].rows
    assert early.diverged is not None
    assert early.diverged > 15, "seen in effect, and still the old primary took rows"
