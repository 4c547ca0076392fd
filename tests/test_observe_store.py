"""Evidence files: what goes in comes out, a change is seen, a late control probe is heard, long files are read."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.errors import JournalError
from drills.observe.recorder import Recorder
from drills.observe.store import (
    create,
    read_controls,
    read_header,
    read_ledger,
    read_recovered,
    read_requests,
    read_rounds,
    read_samples,
    seal,
)
from drills.timeline.samples import Control, Marker, ObserverHeader, Persona, Sample

HEADER = ObserverHeader("web", Persona.FRESH, "http://a/", 10, 100, "host/boot", "time:[1]", 1, pid=7)

times = st.integers(0, 2**62)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
samples = st.builds(
    Sample,
    times,
    times,
    st.none() | st.booleans(),
    texts,
    st.integers(0, 599),
    st.none() | times,
    st.none() | times,
    st.none() | times,
    texts,
    st.booleans(),
)
markers = st.builds(Marker, texts, times, times, st.none() | times, st.none() | st.booleans(), texts)


def recorder_with(file: Path, rows: list[Sample], controls: list[Control] | None = None) -> Recorder:
    recorder = Recorder(file, HEADER)
    for row in rows:
        recorder.sample(row)
    for look in controls or []:
        recorder.control(look)
    assert recorder.flush(recorder.take(), []) == ""
    return recorder


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(samples, max_size=5), max_size=4),
    st.lists(markers, max_size=8, unique_by=lambda marker: (marker.writer, marker.seq)),
)
def test_whatever_was_flushed_is_read_back_as_it_was(batches: list[list[Sample]], ledger: list[Marker]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "web.db"
        recorder = Recorder(file, HEADER)
        for batch in batches:
            for row in batch:
                recorder.sample(row)
            assert recorder.flush(recorder.take(), []) == ""
        for marker in ledger:
            recorder.marker(marker)
        assert recorder.flush(recorder.take(), [replace(marker, acked=None, ended=None) for marker in ledger]) == ""
        rows = [row for batch in batches for row in batch]
        assert read_header(file) == HEADER
        assert read_requests(file) == rows
        assert read_ledger(file) == sorted(ledger, key=lambda marker: (marker.writer.encode(), marker.seq))
        columns = read_samples(file)
        assert [row.by for row in columns] == [row.by for row in rows]
        assert [(row.sent, row.ended, row.up, row.hard) for row in columns] == [
            (row.sent, row.ended, row.up, row.hard) for row in rows
        ]
        assert seal(file).rows == len(rows) + len(ledger)
        recorder.close()


def test_an_open_marker_is_on_disk_before_its_answer_and_replaced_by_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.db", HEADER)
    sent = Marker("w", 1, 5, None, None)
    recorder.flush(recorder.take(), [sent])
    assert read_ledger(tmp_path / "a.db") == [sent]
    answered = Marker("w", 1, 5, 9, acked=True, primary="p")
    recorder.marker(answered)
    recorder.flush(recorder.take(), [])
    assert read_ledger(tmp_path / "a.db") == [answered]
    recorder.close()


ALTERED = (
    "UPDATE samples SET up = 1 WHERE id = 2",
    "UPDATE samples SET sent = sent + 1 WHERE id = 1",
    "DELETE FROM samples WHERE id = 3",
    "DELETE FROM controls",
    "UPDATE markers SET acked = 0",
    "UPDATE names SET name = 'elsewhere' WHERE id = 1",
    "UPDATE header SET text = replace(text, 'web', 'wab')",
    "INSERT INTO recovered VALUES (1, 2, 'w', 3, '')",
    "INSERT INTO rounds VALUES (1, 2, 3, '', 1)",
)


@pytest.mark.parametrize("change", ALTERED)
def test_the_seal_shows_every_change_and_only_a_change(tmp_path: Path, change: str) -> None:
    file = tmp_path / "a.db"
    rows = [Sample(number, number + 1, up=False, by="east") for number in range(3)]
    recorder = recorder_with(file, rows, [Control(0, 1, 1, ok=True)])
    recorder.marker(Marker("w", 1, 5, 9, acked=True))
    recorder.flush(recorder.take(), [])
    recorder.close()
    sealed = seal(file)
    assert (sealed.rows, sealed.first, sealed.last) == (4, 0, 5)
    copy = tmp_path / "copy.db"
    shutil.copy(file, copy)
    with sqlite3.connect(copy) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        assert seal(copy) == sealed
        connection.execute(change)
    connection.close()
    assert seal(copy).sha256 != sealed.sha256


def test_a_sample_beside_a_late_control_probe_is_unknown_and_its_label_stays_in_the_file(tmp_path: Path) -> None:
    rows = [Sample(start, start + 5, up=start != 30, hard=True) for start in range(0, 100, 10)]
    # Alive at 21, then nothing until the probe due at 40 ended at 62: late.
    controls = [Control(20, 21, 1, ok=True), Control(40, 62, 22, ok=False), Control(70, 71, 1, ok=True)]
    recorder_with(tmp_path / "a.db", rows, controls).close()
    read = read_samples(tmp_path / "a.db")
    assert [row.sent for row in read if row.up is None] == [20, 30, 40, 50, 60]
    assert read_requests(tmp_path / "a.db") == rows
    assert read_controls(tmp_path / "a.db") == controls


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), max_size=30),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30), st.booleans()), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_control_windows_reach_from_the_last_sign_of_life_to_the_end_of_the_bad_probe(
    spans: list[tuple[int, int]], looks: list[tuple[int, int, bool]]
) -> None:
    controls = sorted((Control(at, at + took, took, ok) for at, took, ok in looks), key=lambda look: look.ended)
    windows: list[tuple[int, int]] = []
    for before, look in zip([None, *controls], controls, strict=False):
        if not look.ok:
            windows.append((look.sent if before is None else min(look.sent, before.ended), look.ended))
    with tempfile.TemporaryDirectory() as folder:
        rows = [Sample(at, at + took, up=True) for at, took in spans]
        recorder_with(Path(folder) / "a.db", rows, controls).close()
        read = read_samples(Path(folder) / "a.db")
    expected = [any(row.sent <= last and row.ended >= first for first, last in windows) for row in rows]
    assert [row.up is None for row in read] == expected


def test_a_long_file_is_read_whole_and_censored_where_its_control_probe_was_late(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    connection = create(file)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO names VALUES (1, 'east')")
    connection.executemany(
        "INSERT INTO samples VALUES (NULL, ?, ?, 1, 0, 1, 200, NULL, NULL, NULL, '')",
        ((number * 10, number * 10 + 3) for number in range(200_000)),
    )
    connection.execute("INSERT INTO controls VALUES (NULL, 50, 60, 10, 0)")
    connection.execute("COMMIT")
    connection.close()
    read = read_samples(file)
    assert len(read) == 200_000
    assert list(read.up[:8]) == [1, 1, 1, 1, 1, -1, -1, 1]


def test_a_disk_that_refuses_loses_nothing_until_it_takes_rows_again(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    recorder = Recorder(file, HEADER, wait_s=0.01)
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder.sample(Sample(1, 2, up=True))
        assert "locked" in recorder.flush(recorder.take(), [])
        other.execute("ROLLBACK")
    other.close()
    recorder.sample(Sample(3, 4, up=True))
    assert recorder.flush(recorder.take(), []) == ""
    assert [row.sent for row in read_requests(file)] == [1, 3]
    recorder.close()


def test_an_evidence_file_is_never_written_twice_and_a_strange_one_is_refused(tmp_path: Path) -> None:
    Recorder(tmp_path / "a.db", HEADER).close()
    with pytest.raises(JournalError, match="never written twice"):
        Recorder(tmp_path / "a.db", HEADER)
    (tmp_path / "b.db").write_text("not a database, but long enough to look like one" * 100)
    with pytest.raises(JournalError, match=r"b\.db"):
        read_samples(tmp_path / "b.db")
    with pytest.raises(JournalError, match="no such evidence file"):
        seal(tmp_path / "c.db")
    assert read_rounds(tmp_path / "a.db") == []
    assert read_recovered(tmp_path / "a.db") == []
    assert seal(tmp_path / "a.db").rows == 0
