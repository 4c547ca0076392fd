"""The look that ends the wait for the end of measuring."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from drills.observe.process import now
from drills.observe.recorder import Recorder
from drills.observe.settle import Seen, stable
from drills.timeline.samples import ObserverHeader, Persona, Sample

MS = 1_000_000
EVERY, TIMEOUT, WINDOW = 10 * MS, 20 * MS, 200 * MS
HEADER = ObserverHeader(
    "web", Persona.FRESH, "http://a/", EVERY, TIMEOUT, "host/boot", "time:[1]", now(), identified=True, ended=now()
)


def look(rows: list[Sample], since_ms: int, to_site: str = "west", header: ObserverHeader = HEADER) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder) / "a.db", header)
        for row in sorted(rows, key=lambda sample: sample.ended):
            recorder.sample(row)
        recorder.flush(recorder.take(), [])
        recorder.close()
        return stable(Path(folder) / "a.db", to_site, since_ms * MS, WINDOW)


def run(first: int, last: int, up: bool | None = True, by: str = "west") -> list[Sample]:  # noqa: FBT001, FBT002 - a row's label
    return [Sample(at * MS, (at + 2) * MS, up, by) for at in range(first, last, 10)]


def test_a_whole_window_of_good_answers_of_the_other_site_is_stable() -> None:
    rows = run(0, 100, by="east") + run(100, 200, up=False, by="") + run(200, 450)
    assert look(rows, 100) == Seen(ok=True, detail="web: good for 238ms of 200ms", since=202 * MS)
    assert look(rows[:-6], 100).ok is False


def test_the_failed_site_answering_again_is_not_restored() -> None:
    rows = run(0, 100, up=False, by="") + run(100, 250) + run(250, 260, by="east") + run(260, 450)
    assert look(rows, 0).ok is False
    assert look(run(0, 400, by="east"), 0).detail == "web: not restored"


def test_without_a_site_in_the_answers_up_is_enough() -> None:
    assert look(run(0, 400, by=""), 0, header=replace(HEADER, identified=False)).ok is True


def test_good_answers_before_the_disaster_do_not_count() -> None:
    assert look(run(0, 400), 300).ok is False


def test_a_gap_in_the_evidence_begins_a_new_run() -> None:
    assert look(run(0, 150) + run(150, 200, up=None) + run(200, 380), 0).ok is False
    assert look(run(0, 150) + run(150, 200, up=None) + run(200, 420), 0).ok is True


def test_an_observer_that_fell_silent_is_no_answer() -> None:
    header = replace(HEADER, ended=None, started=now() - 60_000 * MS)
    answer = look(run(0, 400), 0, header=header)
    assert answer.ok is None
    assert "has written nothing for" in answer.detail
    assert stable(Path("/nowhere/a.db"), "west", 0, WINDOW).ok is None


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from([True, True, True, True, True, True, True, True, False, None]), min_size=5, max_size=60),
    st.lists(st.integers(0, 30), min_size=60, max_size=60),
)
def test_it_says_yes_only_if_nothing_was_bad_for_a_window(labels: list[bool | None], took: list[int]) -> None:
    rows = [Sample(number * 10 * MS, (number * 10 + took[number]) * MS, up, "west") for number, up in enumerate(labels)]
    if look(rows, 0).ok:
        newest = max(row.sent for row in rows if row.up)
        assert all(row.ended < newest - WINDOW for row in rows if row.up is False)
        assert any(row.up and row.ended <= newest - WINDOW for row in rows)
