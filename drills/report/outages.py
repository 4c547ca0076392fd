"""Outages of watched endpoints, as lines while they happen, as a summary and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from drills.clock import NS
from drills.report import figures
from drills.report.blocks import Line, Part, Table, Tone, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.measure.outages import Outage, Seen
    from drills.report.blocks import Body, Cell
    from drills.timeline.samples import ObserverHeader

ENDING = {0: "no outage was seen", 1: "an outage was seen", 3: "not every endpoint was measured"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One watched endpoint. ``told``: for each outage what its failed requests were told, and how often.

    ``trouble`` says why it was not measured, or no longer; ``notes`` what makes the measurement weaker; ``unknown``
    why requests are no evidence, and how many are not.
    """

    url: str
    header: ObserverHeader | None
    seen: Seen | None
    told: tuple[tuple[tuple[str, int], ...], ...] = ()
    trouble: str = ""
    notes: tuple[str, ...] = ()
    unknown: tuple[tuple[str, int], ...] = ()

    @property
    def measured(self) -> bool:
        """Say whether a single request gave evidence."""
        return self.seen is not None and bool(self.seen.good or self.seen.bad)


def exit_code(endpoints: Sequence[Endpoint]) -> int:
    """1 an outage was seen; 3 an endpoint was not measured, or not to the end; 0 all were and none had an outage."""
    if any(one.seen is not None and one.seen.outages for one in endpoints):
        return 1
    return 3 if any(one.trouble or not one.measured for one in endpoints) else 0


def utc(header: ObserverHeader, mono_ns: int) -> datetime:
    """Give the UTC moment of a monotonic one, by the clocks read together when the observer began."""
    start = header.at_start
    realtime = mono_ns if start is None else start.realtime + mono_ns - start.monotonic
    return datetime.fromtimestamp(realtime / NS, UTC)


def begun(one: Endpoint, outage: Outage, told: Sequence[tuple[str, int]]) -> str:
    """Tell that an outage has begun."""
    assert one.header is not None  # noqa: S101 - an outage was seen by somebody
    why = f" ({told[0][0]})" if told else ""
    return f"DOWN  {one.url}  since {_began(one.header, outage)}{why}\n"


def ended(one: Endpoint, outage: Outage) -> str:
    """Tell that an outage is over: its end lies back by the window that had to pass."""
    assert one.header is not None  # noqa: S101 - an outage was seen by somebody
    return f"UP    {one.url}  since {_ended(one.header, outage)}, was down for {_length(outage)}\n"


def _clock(header: ObserverHeader, mono_ns: int) -> str:
    return utc(header, mono_ns).strftime("%H:%M:%S.%f")[:-3]


def _began(header: ObserverHeader, outage: Outage) -> str:
    if outage.began_after is None:
        return f"before {_clock(header, outage.began_before)}, never seen up until then"
    return f"{_clock(header, outage.began_after)}..{_clock(header, outage.began_before)}"


def _ended(header: ObserverHeader, outage: Outage) -> str:
    after = _clock(header, outage.ended_after)
    if outage.ended_before is None:
        return f"after {after}, if at all"
    return f"{after}..{_clock(header, outage.ended_before)}"


def _length(outage: Outage) -> str:
    longest = None if outage.longest is None else outage.longest / NS
    return f"{figures.measured(outage.shortest / NS)}..{figures.upper(longest)}"


# -- summary -----------------------------------------------------------------------------------------------


def parts(endpoints: Sequence[Endpoint]) -> list[Part]:
    """Tell what was seen of every endpoint, and what it comes to."""
    told = [Part("", (Line(one.url), *_endpoint(one))) for one in endpoints]
    code = exit_code(endpoints)
    nothing = not any(one.measured for one in endpoints)
    tone = {0: Tone.GOOD, 1: Tone.BAD}.get(code, Tone.DOUBT)
    return [*told, Part("", (Line(Words("nothing was measured" if nothing else ENDING[code], tone)),))]


def _endpoint(one: Endpoint) -> list[Body]:
    body: list[Body] = []
    if one.trouble:
        body.append(Line(Words(one.trouble, Tone.BAD), mark="!"))
    if not one.measured or one.seen is None or one.header is None:
        unknown = 0 if one.seen is None else one.seen.unknown
        why = f"; {unknown} requests said neither up nor down" if unknown else ""
        body.append(Line(Words(f"nothing was measured{why}", Tone.DOUBT)))
        return [*body, *_unknown(one)]
    body.append(Line(_counted(one.seen)))
    if one.seen.outages:
        head = ("began (UTC)", "ended", "down for", "failed", "")
        rows = tuple(_row(one.header, outage, told) for outage, told in zip(one.seen.outages, one.told, strict=True))
        body.append(Table(head, rows, frozenset({3})))
    body += _unknown(one)
    body += [Line(Words(note, Tone.FAINT), mark="-") for note in one.notes]
    return body


def _unknown(one: Endpoint) -> list[Line]:
    return [Line(Words(f"unknown: {what} ({count:,})", Tone.FAINT), mark="-") for what, count in one.unknown]


def _counted(seen: Seen) -> str:
    span = 0 if seen.first is None or seen.last is None else seen.last - seen.first
    outages = len(seen.outages)
    said = f"{outages or 'no'} outage{'' if outages == 1 else 's'} in {figures.measured(span / NS)}; "
    said += f"{seen.good:,} requests good, {seen.bad:,} failed, {seen.unknown:,} unknown"
    if seen.hidden is None:
        return said
    return f"{said}; outages shorter than {figures.measured(seen.hidden / NS)} may be unseen"


def _row(header: ObserverHeader, outage: Outage, told: Sequence[tuple[str, int]]) -> tuple[Cell, ...]:
    more = ["never seen up before"] if outage.began_after is None else []
    more += ["not seen to end"] if outage.ended_before is None else []
    more += [f"{outage.flaps:,} flap{'' if outage.flaps == 1 else 's'}"] if outage.flaps else []
    return (
        _began(header, outage).partition(",")[0],
        _ended(header, outage).partition(",")[0],
        _length(outage),
        f"{outage.failed:,}",
        "; ".join([*(f"{what} ({count:,})" for what, count in told), *more]),
    )


# -- JSON --------------------------------------------------------------------------------------------------


def document(endpoints: Sequence[Endpoint], settings: dict[str, float]) -> dict[str, Any]:
    """Give the JSON form: for each endpoint its outages with [low, high] of begin, end and length; null: no bound."""
    return {**settings, "exit_code": exit_code(endpoints), "endpoints": [_json(one) for one in endpoints]}


def _json(one: Endpoint) -> dict[str, Any]:
    seen, header = one.seen, one.header
    told: dict[str, Any] = {"url": one.url, "measured": one.measured, "trouble": one.trouble, "notes": list(one.notes)}
    if seen is None or header is None:
        return {**told, "good": 0, "bad": 0, "unknown": 0, "hidden_s": None, "no_evidence": [], "outages": []}
    told["no_evidence"] = [{"what": what, "count": count} for what, count in one.unknown]
    counts = {"good": seen.good, "bad": seen.bad, "unknown": seen.unknown}
    hidden = None if seen.hidden is None else seen.hidden / NS
    pairs = zip(seen.outages, one.told, strict=True)
    outages = [_outage(header, outage, what) for outage, what in pairs]
    return {**told, **counts, "hidden_s": hidden, "clock": header.clock, "outages": outages}


def _outage(header: ObserverHeader, outage: Outage, told: Sequence[tuple[str, int]]) -> dict[str, Any]:
    longest = None if outage.longest is None else outage.longest / NS
    return {
        "began": _moment(header, outage.began_after, outage.began_before),
        "ended": _moment(header, outage.ended_after, outage.ended_before),
        "length": {"low_s": outage.shortest / NS, "high_s": longest},
        "failed": outage.failed,
        "flaps": outage.flaps,
        "told": [{"what": what, "count": count} for what, count in told],
    }


def _moment(header: ObserverHeader, low: int | None, high: int | None) -> dict[str, Any]:
    return {
        "low": None if low is None else _iso(header, low),
        "high": None if high is None else _iso(header, high),
        "low_mono_ns": low,
        "high_mono_ns": high,
    }


def _iso(header: ObserverHeader, mono_ns: int) -> str:
    return utc(header, mono_ns).isoformat(timespec="microseconds").replace("+00:00", "Z")
