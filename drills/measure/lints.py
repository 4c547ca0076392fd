"""What makes a measurement weaker than it looks: rules over headers and baselines, each a warning in a sentence."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from drills.durations import show
from drills.measure.verdict import NS, Doubt
from drills.timeline.samples import BAD, ROWS_LOST, UNKNOWN, Persona

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drills.measure.availability import View
    from drills.measure.question import Ledger, Question, Watch
    from drills.timeline.samples import ObserverHeader

DRIFT_NS = 50_000_000
"""Clocks of one host that disagree by more have been stepped, or the machine slept."""
_WINDOW_FACTOR = 5
_TARGET_PARTS = 20
_RARE = 0.01
_WEAKER = ("the system's resolver", ROWS_LOST)
"""What stands in an observer's note that it asked no authoritative server (or they told otherwise), or lost rows."""


def clock_doubts(header: ObserverHeader, question: Question) -> list[Doubt]:
    """Doubt an observer whose times cannot be compared with the timeline's, or whose machine slept.

    The first two kinds leave no number at all (``foreign``); a machine that slept makes durations too short.
    """
    if not foreign(header, question):
        return slept(question)
    why = f"{header.observer} looked by another clock (host, boot or time namespace) than the timeline's"
    return [Doubt(why, "observers on the drill's own host, in its boot and time namespace")]


def slept(question: Question) -> list[Doubt]:
    """Doubt every interval of a drill whose machine slept, or may have: whoever read its clocks tells it for all.

    An observer that was killed did not read them at its end. If no other did, and UTC moved against the monotonic
    clock, nobody can say whether the wall clock was set or the machine slept.
    """
    headers = [one.header for one in (*question.watches, *question.ledgers) if not foreign(one.header, question)]
    doubts: list[Doubt] = []
    told = False
    for header in headers:
        if header.at_start is None or header.at_end is None:
            continue
        told = True
        lost = (header.at_end.boottime - header.at_start.boottime) - (
            header.at_end.monotonic - header.at_start.monotonic
        )
        if abs(lost) > DRIFT_NS and not doubts:
            doubts.append(Doubt(f"the machine of {header.observer} slept for {show(lost / NS)}", "a host kept awake"))
    if headers and not told and question.wall_moved_ns > DRIFT_NS:
        moved = show(question.wall_moved_ns / NS)
        why = f"the wall clock moved by {moved}, and no observer lived to say whether the machine slept"
        doubts.append(Doubt(why, "an observer that ends by itself"))
    return doubts


def foreign(header: ObserverHeader, question: Question) -> bool:
    """Say whether the observer's monotonic times mean nothing on the timeline's clock."""
    return (header.clock, header.time_namespace) != (question.clock, question.time_namespace)


def watch_lints(watch: Watch, view: View, targets: Sequence[int]) -> list[str]:
    """Check one observer's settings and baseline against the rules under which its bounds are sharp."""
    header, name = watch.header, watch.header.observer
    every, timeout = header.every_ns, header.timeout_ns
    said: list[str] = []
    if watch.window_ns < _WINDOW_FACTOR * (timeout + every):
        least = show(_WINDOW_FACTOR * (timeout + every) / NS)
        said.append(f"{name}: stable_for {show(watch.window_ns / NS)} is less than 5 x (timeout + every) = {least}")
    need = ceil(timeout / every) + 2 if every > 0 else 0
    if 0 < header.in_flight < need:
        said.append(f"{name}: at most {header.in_flight} requests in flight, {need} are needed")
    if targets and every * _TARGET_PARTS > min(targets):
        said.append(f"{name}: one request each {show(every / NS)} is coarse for a target of {show(min(targets) / NS)}")
    said += _baseline_lints(watch, view)
    if header.identified is False and header.persona is not Persona.DIRECT:
        said.append(f"{name}: its answers do not name their site; any success counts as restored")
    return said + header_lints(header)


def header_lints(header: ObserverHeader) -> list[str]:
    """Check how an observer ran: slots it lost, an end it did not see, clocks that were stepped."""
    name = header.observer
    said: list[str] = []
    if header.dropped or header.missed:
        said.append(f"{name}: {header.dropped} slots dropped, {header.missed} missed; they count as unknown")
    said += [f"{name}: {note}" for note in header.notes if any(weaker in note for weaker in _WEAKER)]
    if header.ended is None:
        said.append(f"{name}: it did not end by itself")
    if header.at_start is not None and header.at_end is not None:
        drift = header.at_start.drift_ns(header.at_end)
        if drift > DRIFT_NS:
            said.append(f"{name}: its host's clocks drifted apart by {show(drift / NS)}; durations are monotonic")
    return said


def scheduler_lints(headers: Iterable[ObserverHeader]) -> list[str]:
    """Say once of all observers, by how they were scheduled, that they were not given real-time priority."""
    by_kind: dict[str, list[str]] = {}
    for header in headers:
        if header.scheduler and "FIFO" not in header.scheduler.upper().split("(", maxsplit=1)[0]:
            by_kind.setdefault(header.scheduler, []).append(header.observer)
    return [
        f"{', '.join(names)}: scheduled as {kind}; late slots only widen the bounds" for kind, names in by_kind.items()
    ]


def _baseline_lints(watch: Watch, view: View) -> list[str]:
    if view.effect is None or view.effect.clock.earliest < 0:
        return []
    name, begin = watch.header.observer, view.effect.clock.earliest
    told = failed = 0
    first = begin
    for sent, ended, up in zip(watch.samples.sent, watch.samples.ended, watch.samples.up, strict=True):
        if ended < begin and up != UNKNOWN:
            told += 1
            failed += up == BAD
            first = min(first, sent)
    said: list[str] = []
    if told and begin - first < watch.window_ns:
        short, window = show((begin - first) / NS), show(watch.window_ns / NS)
        said.append(f"{name}: the baseline is {short} long, shorter than stable_for ({window})")
    if told and watch.header.every_ns > 0:
        strays = failed / told * watch.window_ns / watch.header.every_ns
        if strays > _RARE:
            said.append(f"{name}: {failed} of {told} baseline requests failed: too often for its window")
    return said


def ledger_lints(ledger: Ledger) -> list[str]:
    """Check how a marker writer ran."""
    return header_lints(ledger.header)
