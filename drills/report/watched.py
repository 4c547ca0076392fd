"""The observers' files of a drill, as a judge takes them: every life of an observer put together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from drills.measure.availability import WINDOW_PARTS
from drills.measure.question import Ledger, Watch
from drills.measure.rpo import Book
from drills.observe.store import read_controls, read_header, read_ledger, read_recovered, read_rounds, read_samples
from drills.timeline import events as ev
from drills.timeline.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.engine.plan import DataWatch
    from drills.timeline.samples import ObserverHeader


def files_of(events: Sequence[ev.Event]) -> dict[str, list[Path]]:
    """Every file each observer has written, oldest first: one that died was started again with a file of its own."""
    files: dict[str, list[Path]] = {}
    for event in events:
        if isinstance(event.body, ev.Watching):
            path = Path(event.body.file)
            if path not in files.setdefault(event.body.observer, []):
                files[event.body.observer].append(path)
    there = {name: [path for path in paths if path.exists()] for name, paths in files.items()}
    return {name: paths for name, paths in there.items() if paths}


def rings_of(events: Sequence[ev.Event]) -> frozenset[Path]:
    """Give the files that were taken over from rings of before the drill."""
    found = [one.body for one in events if isinstance(one.body, ev.Watching)]
    return frozenset(Path(one.file) for one in found if one.process == ev.RING)


def of_one_clock(paths: list[Path], clock: str) -> list[Path]:
    """Give the files whose times stand on a clock (host and boot), or all of them where none does.

    A machine that was started again counts from nothing: its times would lie anywhere among those of before.
    """
    return [path for path in paths if read_header(path).clock == clock] or paths


def watch(paths: list[Path], window_ns: int, rings: frozenset[Path]) -> Watch:
    """Give one availability observer: all of its lives, and what a ring held of the time before the drill."""
    controls = tuple(control for path in paths for control in read_controls(path))
    samples = [read_samples(path) for path in paths]
    whole = samples[0] if len(samples) == 1 else Samples.of(row for one in samples for row in one)
    live = [read_header(path) for path in paths if path not in rings]
    before = [read_header(path) for path in paths if path in rings]
    header = _one_header(live or before)
    if not before:
        return Watch(header, whole, window_ns, controls)
    if live and before[0].at_start is not None:  # a machine that slept since then has slept in the drill
        header = replace(header, at_start=before[0].at_start)
    coarse = max((one.stable_for_ns or 0) // WINDOW_PARTS for one in before)
    return Watch(header, whole, window_ns, controls, coarse)


def _one_header(lives: Sequence[ObserverHeader]) -> ObserverHeader:
    """Put the lives of an observer together: by the clocks of the first's beginning and the last's end.

    One that did not end by itself makes the whole one that did not; one that looked from another time namespace makes
    the whole one of there.
    """
    first, last = lives[0], lives[-1]
    if len(lives) == 1:
        return first
    apart = next((one.time_namespace for one in lives if one.time_namespace != first.time_namespace), None)
    ttls = [one.ttl_ns for one in lives if one.ttl_ns is not None]
    return replace(
        first,
        time_namespace=first.time_namespace if apart is None else apart,
        ended=last.ended if all(one.ended is not None for one in lives) else None,
        at_end=last.at_end,
        dropped=sum(one.dropped for one in lives),
        missed=sum(one.missed for one in lives),
        ttl_ns=max(ttls, default=None),
        notes=tuple(dict.fromkeys(note for one in lives for note in one.notes)),
    )


def ledger(watch: DataWatch, paths: list[Path], clock: str) -> Ledger:
    """Give one marker writer: all of its lives on a clock, and what the reader wrote into the newest file."""
    newest, every = paths[-1], len(paths)
    paths = of_one_clock(paths, clock)
    header = _one_header([read_header(path) for path in paths])
    # A writer that died has taken with it what was acknowledged since its last flush.
    whole = header.whole and len(paths) == every
    book = Book(
        watch.id,
        [marker for path in paths for marker in read_ledger(path)],
        read_rounds(newest),
        read_recovered(newest),
        ordered=watch.ordered,
        every_write=watch.every_write and whole,
    )
    return Ledger(header, book, watch.peak_per_s)


def told_by(ring: Path) -> Iterator[str]:
    """Give what is to be said of a ring that was taken over: how far back it reaches, and what it lacks."""
    if ring.exists():
        header = read_header(ring)
        yield from (f"{header.observer}: {note}" for note in header.notes if "ring" in note or "gap" in note)
