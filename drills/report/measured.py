"""What was measured in a drill, part by part, before it has a form: objectives, phases, availability, stores, rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.report import figures
from drills.report.blocks import Line, Part, Table, Tone, Words, toned

if TYPE_CHECKING:
    from drills.report.blocks import Body, Cell
    from drills.report.claims import Claims, ClockClaim, ObjectiveClaim, PointClaim, RowsClaim, StoreClaim
    from drills.report.result import DrillResult
    from drills.report.seen import FlapsClaim


SEES = {
    "fresh": "fresh DNS",
    "ttl": "keeps names for their TTL",
    "pool": "keeps its connections",
    "direct": "past DNS, one site",
    "joint": "up only together",
}
"""How an observer of each persona looks."""


def objectives(result: DrillResult) -> Part:
    """Tell each objective's bounds and verdict, why, and the recovery times from clocks that were not judged."""
    if not result.objectives:
        return Part("Objectives", (Line("the runbook names none, so nothing is proven"),))
    rows = tuple(_objective(one) for one in result.objectives)
    table = Table(("", "verdict", "low", "best", "high", "target"), rows, frozenset({2, 3, 4, 5}))
    whys = [Line(f"{one.name}: {_why(one)}") for one in result.objectives if _why(one)]
    clocks = [Line(Words(_clocks(one), Tone.FAINT)) for one in result.objectives if len(one.clocks) > 1]
    return Part("Objectives", (table, *whys, *clocks))


def _clocks(one: ObjectiveClaim) -> str:
    return f"{one.name} by every clock: {'; '.join(map(_clock, one.clocks))}"


def _clock(one: ClockClaim) -> str:
    return f"from {one.name} {_range(one.low_s, one.high_s)}{' (judged)' if one.judged else ''}"


def _range(low: float | None, high: float | None) -> str:
    """Write bounds: one number where both show as one."""
    first, last = figures.measured(low), figures.upper(high)
    return first if first == last else f"{first} to {last}"


def _objective(one: ObjectiveClaim) -> tuple[Cell, ...]:
    (low, best, high), unit = one.bounds, one.unit
    return (
        one.name,
        toned(one.verdict),
        figures.counted(low, unit),
        figures.counted(best, unit),
        figures.MISSING if (low, best, high) == (None, None, None) else figures.counted_upper(high, unit),
        figures.aimed(one.target, unit),
    )


def _why(one: ObjectiveClaim) -> str:
    deciding = f"it would take {one.decided_by}" if one.decided_by and one.verdict == "UNPROVEN" else one.decided_by
    return "; ".join(filter(None, (one.why, deciding)))


def phases(claims: Claims) -> Part | None:
    """Tell what the recovery time was made of, each part with its bounds; the best ones add up to its best."""
    if not claims.phases:
        return None
    rows = [
        (one.name, figures.measured(one.low_s), figures.measured(one.seconds), figures.measured(one.high_s), one.detail)
        for one in claims.phases
    ]
    if (whole := claims.recovery) is not None:
        low, best, high = map(figures.measured, (whole.low_s, whole.best_s, whole.high_s))
        rows.append(("together", low, best, high, whole.detail))
    return Part("Phases", (Table(("", "low", "best", "high", ""), tuple(rows), frozenset({1, 2, 3})),))


def availability(claims: Claims) -> Part | None:
    """Tell how the service came back as each observer saw it, and how much later for clients that cache names."""
    flaps = [one.flaps for one in claims.observers if one.flaps is not None]
    body: list[Body] = []
    if flaps:
        head = ("", "flaps", "back after", "stable since", "down for")
        body.append(Table(head, tuple(map(_flapped, flaps)), frozenset({1, 2, 3})))
        eyes = "; ".join(f"{one.name}: {SEES.get(one.persona, one.persona)}" for one in claims.observers if one.flaps)
        body.append(Line(Words(f"each from the outage's beginning on, as it saw it; {eyes}", Tone.FAINT)))
    if (tail := claims.dns_tail) is not None and (tail.low_s, tail.high_s) != (None, None):
        told = (
            f"DNS tail {figures.measured(tail.low_s)} to {figures.upper(tail.high_s)}: "
            "what clients that cache names waited longer than those that do not"
            f"{' (below zero: they were back first)' if (tail.low_s or 0.0) < 0 else ''}"
        )
        body.append(Line(told))
    slowest = claims.worst_client
    if slowest is not None and (slowest.low_s or slowest.high_s is not None):
        after = f"was back after {_range(slowest.low_s, slowest.high_s)}"
        if slowest.high_s is None:
            after = f"was not back within {figures.measured(slowest.low_s)}, nor seen back later"
        body.append(Line(f"the slowest client that keeps names for their TTL {after}; the one watched is one draw"))
    return Part("Availability", tuple(body)) if body else None


def _flapped(one: FlapsClaim) -> tuple[Cell, ...]:
    back = "not seen" if one.first_success_s is None else figures.measured(one.first_success_s)
    stable = "never" if one.stable_since_s is None else figures.measured(one.stable_since_s)
    down = _range(one.downtime_low_s, one.downtime_high_s)
    if one.downtime_high_s is None:
        down = f"{figures.measured(one.downtime_low_s)} or more"
    return (one.observer, f"{one.count:,}", back, stable, down)


def exposure(claims: Claims) -> Part | None:
    """Tell how long the service ran without redundancy; until the drill's end where none was restored."""
    one = claims.exposure
    if one is None:
        return None
    if not one.restored:
        return Part("Exposure", (Line(Words(one.why, Tone.DOUBT)),))
    best = f", best {figures.measured(one.best_s)}" if one.best_s is not None else ""
    told = f"without redundancy for {_range(one.low_s, one.high_s)}{best}: from the restored service to the standby"
    return Part("Exposure", (Line(told),))


def rows(claims: Claims) -> Part | None:
    """Tell what became of the rows that were written, over all stores."""
    if claims.rows is None:
        return None
    written = (Line(Words(f"written at {claims.write_rate}", Tone.FAINT)),) if claims.write_rate else ()
    return Part("Rows", (Table(*_counts(claims.rows)), *written))


def _counts(rows: RowsClaim) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...], frozenset[int]]:
    counts = {
        "acked": rows.acked,
        "lost": rows.lost,
        "phantom": rows.phantom,
        "indeterminate": rows.indeterminate,
        "holes": rows.holes,
        "diverged": rows.diverged,
    }
    counts |= {"reconciled": rows.reconciled} if rows.reconciled else {}
    bad = {"lost", "holes", "diverged"}
    cells = tuple(_count(count, bad=name in bad) for name, count in counts.items())
    return tuple(counts), (cells,), frozenset(range(len(counts)))


def _count(count: int | None, *, bad: bool) -> Words:
    """Write a count of rows; one that nobody counted is not a nought."""
    if count is None:
        return Words(figures.MISSING)
    return Words(f"{count:,}", Tone.BAD if count and bad else Tone.PLAIN)


def stores(claims: Claims, *, full: bool) -> Part | None:
    """Tell each store's own loss where there are several (in full: of one too), and how far they fit each other."""
    if not claims.stores or (len(claims.stores) == 1 and not full):
        return None
    rows = tuple(map(_store, claims.stores))
    head = ("", "lost", "recovery point", "behind by", "acked writes/s", "")
    body: list[Body] = [Table(head, rows, frozenset({1, 4}))]
    if (found := claims.consistency) is not None and found.low is not None and found.high is not None:
        lacks = f"; {found.worst_store} lacks most" if found.worst_store else ""
        share = _share(found.low) if found.low == found.high else f"{_share(found.low)} to {_share(found.high)}"
        told = f"recovery consistency (RCO): {share} of {found.ticks:,} acknowledged moments are in all stores{lacks}"
        body.append(Line(told))
    return Part("Stores", tuple(body))


def _share(one: float) -> str:
    """Write a share so that only all is 100 % and only none 0 %."""
    return figures.percent(one) if one in {0.0, 1.0} else f"{min(max(one * 100, 0.01), 99.99):.2f} %"


def _store(one: StoreClaim) -> tuple[Cell, ...]:
    lost, unbound = _count(one.lost, bad=True), one.why if one.high_s is None else ""
    bounds, behind = _range(one.low_s, one.high_s), _range(one.staleness_low_s, one.staleness_high_s)
    return (one.store, lost, bounds, behind, f"{one.writes_per_s:.1f}" if one.writes_per_s else "", unbound)


def points(claims: Claims, *, full: bool) -> Part | None:
    """Tell what services said of their recovery points: evidence beside the markers; in full with their clocks."""
    lines = [Line(f"{one.name}, asked {one.asked}: {one.told}") for one in claims.recovery_points]
    if full:
        bounded = [one for one in claims.recovery_points if one.skew_low_s is not None]
        lines += [Line(Words(_skew(one), Tone.FAINT), mark="-") for one in bounded]
    return Part("Recovery points", tuple(lines)) if lines else None


def _skew(one: PointClaim) -> str:
    low, high = one.skew_low_s or 0.0, one.skew_high_s or 0.0
    return f"{one.name}, asked {one.asked}: the service's clock minus ours is in [{low:+.3f} s, {high:+.3f} s]"


def observers(claims: Claims) -> Part | None:
    """Tell what each observer saw, and several as one where an objective asks for that."""
    if not claims.observers:
        return None
    rows = tuple(
        (
            one.name,
            f"{one.samples:,}",
            f"{figures.measured(one.low_s)} .. {figures.upper(one.high_s)}",
            figures.measured(one.resolution_s),
            "; ".join(filter(None, (SEES.get(one.persona, one.persona), one.detail))),
        )
        for one in claims.observers
    )
    head = ("observer", "samples", "bounds", "unseen below", "")
    return Part("Observers", (Table(head, rows, frozenset({1, 3})),))
