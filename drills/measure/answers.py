"""From bounds in nanoseconds to the figures and sentences of a judgement, in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from drills.durations import show
from drills.measure.consistency import consistency
from drills.measure.judgement import (
    JudgedBounds,
    JudgedConsistency,
    JudgedFlaps,
    JudgedObserver,
    JudgedRows,
    JudgedStore,
)
from drills.measure.rpo import Rows
from drills.measure.verdict import NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.availability import View
    from drills.measure.question import Ledger
    from drills.measure.rpo import Book, Loss
    from drills.measure.verdict import Span


@overload
def seconds(value: int) -> float: ...
@overload
def seconds(value: int | None) -> float | None: ...
def seconds(value: int | None) -> float | None:
    """Write nanoseconds as seconds; None stays None (no bound)."""
    return None if value is None else value / NS


def answer_bounds(low: int, high: int | None) -> JudgedBounds:
    """Write an interval in seconds."""
    return JudgedBounds(low / NS, seconds(high))


def answer_observer(view: View, span: Span) -> JudgedObserver:
    """Write what one observer saw."""
    detail = "; ".join(doubt.why for doubt in span.doubts) or view.latency.why
    resolution = None if view.run is None else view.run.resolution / NS
    known = view.effect is not None
    low = span.low / NS if known else None
    return JudgedObserver(
        view.name,
        view.persona.value,
        view.samples,
        low,
        seconds(span.best),
        seconds(span.high),
        resolution,
        detail,
        _flaps(view),
    )


def _flaps(view: View) -> JudgedFlaps | None:
    if view.flaps is None or view.effect is None or view.effect.clock.earliest < 0:
        return None
    began, seen = view.effect.clock.middle, view.flaps
    return JudgedFlaps(
        seen.count,
        None if seen.first_success is None else (seen.first_success - began) / NS,
        None if seen.stable_since is None else (seen.stable_since - began) / NS,
        seen.downtime_low / NS,
        seconds(seen.downtime_high),
        view.name,
    )


def answer_rows(rows: Sequence[Rows]) -> JudgedRows | None:
    """Add the rows of all stores; None without any."""
    if not rows:
        return None
    total = Rows()
    for one in rows:
        total = total.plus(one)
    return _rows(total)


def _rows(rows: Rows) -> JudgedRows:
    if not rows.read:
        return JudgedRows(rows.acked, None, None, rows.indeterminate, None, None, None)
    return JudgedRows(
        rows.acked, rows.lost, rows.phantom, rows.indeterminate, rows.holes, rows.diverged, rows.reconciled
    )


def answer_store(loss: Loss) -> JudgedStore:
    """Write the loss of one store."""
    behind = loss.staleness
    return JudgedStore(
        loss.store,
        loss.low / NS,
        seconds(loss.high),
        loss.why,
        behind[0] / NS,
        seconds(behind[1]),
        loss.rate,
        _rows(loss.rows),
    )


def answer_consistency(stores: Sequence[tuple[Book, Loss]]) -> JudgedConsistency | None:
    """Write the RCO over several stores as shares; None where there are not two to compare."""
    found = consistency(stores)
    if found is None:
        return None
    return JudgedConsistency(found.low / found.ticks, found.high / found.ticks, found.ticks, found.worst)


def write_rate(ledgers: Sequence[Ledger], losses: Sequence[Loss]) -> str:
    """Say at which rate writes were exercised, beside the declared peak: a slow trickle proves little."""
    said: list[str] = []
    for ledger, loss in zip(ledgers, losses, strict=True):
        peak = "no peak is declared" if ledger.peak_per_s is None else f"declared peak {ledger.peak_per_s:g}/s"
        if loss.rate:
            said.append(f"{loss.store}: {loss.rate:.1f} acked writes/s exercised, {peak}")
        elif not loss.rows.acked:
            said.append(f"{loss.store}: no write was acknowledged")
    return "; ".join(said)


def assumptions(views: Sequence[View], losses: Sequence[Loss]) -> tuple[str, ...]:
    """List what the bounds rest on."""
    said = [
        "G: a good request had an up instant between its send and its end",
        "A0: a failed request had a down instant between its send and its end",
        "unknown samples (missed or capped slots, 403, 429, a late observer) are no evidence, neither way",
    ]
    for view in views:
        said.append(f"{view.name}: {view.latency.why}")
        if view.run is not None:
            said.append(f"{view.name}: outages shorter than {show(view.run.resolution / NS)} may be unseen")
        if view.effect is not None:
            said.append(f"{view.name}: the moment of the effect is {view.effect.known.value}")
    if losses:
        said.append("markers are joined by writer and number; their writer is pinned and sends none twice")
    return tuple(said)
