"""A calibration as parts of a report, and as one JSON object."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from drills.calibrate.downtimes import DOWNTIME
from drills.durations import show
from drills.report.blocks import Line, Part, Table, Tone, Words

if TYPE_CHECKING:
    from drills.calibrate.controls import Control
    from drills.calibrate.figures import Cell
    from drills.calibrate.run import Report
    from drills.timeline.facts import Json

_MS = 1000


def told(report: Report) -> list[Part]:
    """Tell a calibration to a person: what it came to first, then the figures behind it."""
    return [_head(report), _cells(report), _controls(report), *_failures(report)]


def _head(report: Report) -> Part:
    total, failures = len(report.cases), report.failures
    if failures:
        verdict = Words(f"This machine does not measure true: {len(failures)} findings, listed below.", Tone.BAD)
    elif report.resolution_s is None:
        verdict = Words("The bounds hold; too few outages to certify a resolution.", Tone.DOUBT)
    else:
        at = f"{report.resolution_s * _MS:.0f} ms"
        verdict = Words(f"This machine measures true. The finest resolution it certifies is {at}.", Tone.GOOD)
    seen = sum(1 for one in report.controls if one.detected)
    counted = f"The truth lay inside the bounds in {report.covered} of {total} cases"
    return Part(
        "",
        (
            Line(verdict),
            Line(
                f"{counted}; {seen} of {len(report.controls)} negative controls were detected ({show(report.took_s)})."
            ),
        ),
    )


def _cells(report: Report) -> Part:
    head = (
        "interval",
        "outages",
        "covered",
        "open",
        "width",
        "bias",
        "spread",
        "theory",
        "late p50",
        "p99",
        "certifies",
    )
    rows = tuple(_cell_row(one) for one in report.cells)
    felt = [one for one in report.cases if one.kind.startswith(DOWNTIME)]
    wide = [one.width_s for one in felt if one.width_s is not None]
    downtime = (
        Line(
            f"Downtime in all, with and without a disaster: {sum(not one.wrong for one in felt)} of {len(felt)} true, "
            f"width {_ms(median(wide) if wide else None)} ms (median)."
        ),
    )
    lost = tuple(
        Line(f"{one.case.kind}: {one.lost} acknowledged rows lost, {one.truly_lost} by a count of the rows themselves")
        for one in report.losses
    )
    scheduler = next((one.lateness.scheduler for one in report.cells if one.lateness is not None), "")
    notes = (
        Line(
            "Bounds of the RTO by the prober's interval, in milliseconds. Width: median of all outages. Bias and "
            "spread: midpoint against the truth, for failures that are answered at once; spread: where nobody told "
            "the judge when it began; by theory it is h/sqrt(6)."
        ),
        Line(f"Probers ran under {scheduler}."),
    )
    return Part(
        "Measured against the truth", (Table(head, rows, right=frozenset(range(len(head)))), *notes, *downtime, *lost)
    )


def _cell_row(one: Cell) -> tuple[str, ...]:
    late = one.lateness
    return (
        f"{one.every_s * _MS:g}",
        str(one.cases),
        str(one.covered),
        str(one.cases - one.bounded),
        _ms(one.width_median_s),
        _ms(one.bias_s, "+.1f"),
        _ms(one.spread_s),
        _ms(one.theory_s),
        _ms(late.p50_s if late is not None else None),
        _ms(late.p99_s if late is not None else None),
        _ms(one.certified_s, ".0f"),
    )


def _ms(seconds: float | None, form: str = ".1f") -> str:
    return "-" if seconds is None else format(seconds * _MS, form)


def _controls(report: Report) -> Part:
    rows = tuple(_control_row(one) for one in report.controls)
    return Part(
        "Negative controls: ways to measure that are wrong by a known amount",
        (Table(("wrong way", "expected", "seen", "", "how"), rows, right=frozenset({1, 2})),),
    )


def _control_row(one: Control) -> tuple[str | Words, ...]:
    said = Words("detected", Tone.GOOD) if one.detected else Words("NOT DETECTED", Tone.BAD)
    seen = "-" if one.seen_s is None else f"{one.seen_s:.3f} s"
    return (one.name, f"{one.expected_s:.3f} s", seen, said, one.detail)


def _failures(report: Report) -> list[Part]:
    if not report.failures:
        return []
    return [Part("What is wrong", tuple(Line(Words(one, Tone.BAD), mark="!") for one in report.failures))]


def as_json(report: Report) -> dict[str, Json]:
    """Give a calibration as one object; seconds."""
    return {
        "cases": len(report.cases),
        "covered": report.covered,
        "bounded": sum(1 for one in report.cases if one.bounded),
        "width_median_s": report.width_median_s,
        "bias_s": report.bias_s,
        "resolution_s": report.resolution_s,
        "passed": not report.failures,
        "took_s": report.took_s,
        "controls": [asdict(one) for one in report.controls],
        "failures": [*report.failures],
        "intervals": [asdict(one) for one in report.cells],
        "stores": [asdict(one) for one in report.losses],
        "outages": [{**asdict(one), "wrong": one.wrong} for one in report.cases],
    }
