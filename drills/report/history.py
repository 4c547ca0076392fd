"""What several drills say together: points or a median with its interval, the largest, and how many misses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from drills.measure.few import FEWEST_FOR_MEDIAN
from drills.measure.series import Figure, Misses, Series, misses, series
from drills.report import figures
from drills.report.blocks import Line, Part, Table, Tone, Words
from drills.report.past import KINDS_OF_FIGURES, aims_of, by_kind, figures_of
from drills.timeline.marks import Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.report.blocks import Body, Cell
    from drills.report.past import Kind, LeftOut, Past


@dataclass(frozen=True, slots=True)
class Course:
    """One objective, phase or step over the drills of a kind; ``misses`` only of objectives.

    ``targets``: every target it was judged by, oldest first, in its ``unit``; two of them make misses of two different
    things.
    """

    what: str
    name: str
    series: Series | None
    unmeasured: int = 0
    misses: Misses | None = None
    targets: tuple[float, ...] = ()
    unit: Unit = Unit.SECONDS


@dataclass(frozen=True, slots=True)
class KindHistory:
    """All drills of one kind, oldest first. ``turned_back``: how many more were aborted or failed on the way."""

    kind: Kind
    drills: tuple[str, ...]
    first: str
    last: str
    courses: tuple[Course, ...]
    turned_back: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """All kinds of drills that were found, and the drills that cannot be counted."""

    kinds: tuple[KindHistory, ...]
    left_out: tuple[LeftOut, ...]


def history(drills: Sequence[Past], left_out: Sequence[LeftOut]) -> History:
    """Count the drills of each kind."""
    found = tuple(
        KindHistory(
            kind,
            tuple(one.drill for one in group),
            group[0].opened.iso(),
            group[-1].opened.iso(),
            _courses(group),
            sum(1 for one in left_out if one.turned_back and one.kind == kind),
        )
        for kind, group in by_kind(drills)
    )
    return History(found, tuple(left_out))


def _courses(group: Sequence[Past]) -> tuple[Course, ...]:
    found: list[Course] = []
    for name, aims in aims_of(group).items():
        points = [one.figure for one in aims if one.figure is not None]
        targets = tuple(dict.fromkeys(one.target for one in aims if one.target is not None))
        counted = misses([one.verdict for one in aims])
        summary = series(points) if points else None
        found.append(Course("objective", name, summary, len(aims) - len(points), counted, targets, aims[0].unit))
    for what in KINDS_OF_FIGURES[1:]:
        found += [Course(what, name, series(points)) for name, points in figures_of(group, what).items()]
    return tuple(found)


# -- JSON --------------------------------------------------------------------------------------------------


def document(found: History) -> dict[str, Any]:
    """Give the JSON form: for each kind the objectives, phases and steps with what may be said of them."""
    kinds: list[dict[str, Any]] = []
    for one in found.kinds:
        parts: dict[str, Any] = {
            f"{what}s": [_course(each) for each in one.courses if each.what == what] for what in KINDS_OF_FIGURES
        }
        facts = {"drills": one.drills, "first": one.first, "last": one.last, "turned_back": one.turned_back}
        kinds.append({**asdict(one.kind), **facts, **parts})
    left_out = [{"drill": one.drill, "why": one.why, "damaged": one.damaged} for one in found.left_out]
    return {"kinds": kinds, "left_out": left_out}


def _course(one: Course) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name, "n": 0 if one.series is None else len(one.series.points)}
    if one.series is not None:
        told |= {"points": [figure_document(each) for each in one.series.points]}
        told |= {name: figure_document(getattr(one.series, name)) for name in ("largest", "median", "interval")}
        told |= {"confidence": one.series.confidence}
        told |= {"p90_at_most": one.series.p90_at_most, "needs": list(one.series.needs)}
    if one.misses is not None:
        seconds = one.unit is Unit.SECONDS
        targets: dict[str, Any] = {"targets_s": list(one.targets)}
        targets = targets if seconds else {"targets": list(one.targets), "unit": one.unit.value}
        told |= {"unmeasured": one.unmeasured, "misses": asdict(one.misses), **targets}
    return told


def figure_document(one: Figure | None) -> dict[str, Any] | None:
    """Give the JSON form of a figure: its bounds, and its unit where that is not seconds."""
    if one is None:
        return None
    unit = {} if one.unit is Unit.SECONDS else {"unit": one.unit.value}
    return {"low": one.low, "high": one.high, **unit}


# -- text --------------------------------------------------------------------------------------------------


def parts(found: History) -> list[Part]:
    """Tell it for a terminal, one kind after the other."""
    told = [part for one in found.kinds for part in _kind(one)]
    if found.left_out:
        rows = tuple((one.drill, one.why) for one in found.left_out)
        told.append(Part("Not counted", (Table((), rows),)))
    return told


def _kind(one: KindHistory) -> list[Part]:
    count = len(one.drills)
    since = one.first[:10] if one.first[:10] == one.last[:10] else f"{one.first[:10]} to {one.last[:10]}"
    head: list[Body] = [Line(f"{one.kind}: {count} drill{'' if count == 1 else 's'}, {since}")]
    if one.turned_back:
        more = f"{one.turned_back} more turned back before the end of the runbook: in no figure, neither met nor missed"
        head.append(Line(Words(more, Tone.DOUBT)))
    told = [Part("", tuple(head))]
    for what, title in zip(KINDS_OF_FIGURES, ("Objectives", "Phases", "Steps"), strict=True):
        courses = [each for each in one.courses if each.what == what]
        if courses:
            told.append(Part(title, (_table(courses), *_missed(courses))))
    needs = dict.fromkeys(need for each in one.courses if each.series is not None for need in each.series.needs)
    if needs:
        told.append(Part("", tuple(Line(Words(f"not said: {need}", Tone.FAINT)) for need in needs)))
    return told


def _table(courses: Sequence[Course]) -> Table:
    head = ("", "n", "largest", "median", "95 % interval", "points")
    return Table(head, tuple(_row(one) for one in courses), frozenset({1}))


def _row(one: Course) -> tuple[Cell, ...]:
    if one.series is None:
        return (one.name, "0", figures.MISSING, figures.MISSING, figures.MISSING, Words("never measured", Tone.DOUBT))
    points = one.series.points
    shown = "" if len(points) >= FEWEST_FOR_MEDIAN else ", ".join(map(bounds, points))
    return (
        one.name,
        str(len(points)),
        bounds(one.series.largest),
        bounds(one.series.median),
        bounds(one.series.interval),
        shown,
    )


def _missed(courses: Sequence[Course]) -> list[Body]:
    lines: list[Body] = []
    for one in courses:
        if one.misses is None:
            continue
        counted = one.misses
        decided = counted.met + counted.missed
        said = f"{one.name}: missed in {counted.missed} of {decided} decided drills"
        if counted.at_most is not None:
            said += f", so a drill may miss with a probability of up to {figures.percent(counted.at_most)}"
        if counted.unproven:
            said += f"; {counted.unproven} unproven"
            if counted.at_most_if_doubts_miss is not None:
                said += f", with them counted as missed up to {figures.percent(counted.at_most_if_doubts_miss)}"
        if one.series is not None and one.series.p90_at_most is not None:
            verb = "take" if one.unit is Unit.SECONDS else "lose"
            said += f"; 9 of 10 drills {verb} at most {figures.counted(one.series.p90_at_most, one.unit)}"
        if len(one.targets) > 1:
            shown = ", ".join(figures.aimed(target, one.unit) for target in one.targets)
            said += f"; judged by different targets: {shown}"
        lines.append(Line(Words(f"{said} (all at 95 %)", Tone.BAD if counted.missed else Tone.PLAIN)))
    return lines


def bounds(one: Figure | None) -> str:
    """Write a figure: one number where its bounds show as one, else both."""
    if one is None:
        return figures.MISSING
    low, high = figures.counted(one.low, one.unit), figures.counted_upper(one.high, one.unit)
    return low if low == high else f"{low}..{high}"
