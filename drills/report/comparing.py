"""Drills compared: two of them, one against those before it, or two groups; by objective, phase and step."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from drills.measure.few import summarize
from drills.measure.series import ALPHA, Change, Figure, apart, change
from drills.report import figures
from drills.report.blocks import Line, Part, Table, Tone, Words
from drills.report.history import bounds, figure_document
from drills.report.past import KINDS_OF_FIGURES, figures_of
from drills.timeline.marks import Unit

if TYPE_CHECKING:
    from drills.report.blocks import Cell
    from drills.report.past import Past

SLOWER, FASTER, NO_CLAIM = "slower", "faster", "no claim"
MORE, FEWER = "more", "fewer"
"""What slower and faster are of rows."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: what it is called, and its drills, oldest first."""

    name: str
    drills: tuple[Past, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One objective, phase or step on both sides.

    ``word`` is the answer: ``longer``, ``shorter`` or ``not told apart`` of two single drills, else ``slower``,
    ``faster`` or ``no claim``; of rows ``more`` and ``fewer``. ``by``: bounds of how much longer the second of two
    single drills took, or of how many rows more it lost.
    """

    what: str
    name: str
    before: tuple[Figure, ...]
    after: tuple[Figure, ...]
    word: str
    why: str
    change: Change | None = None
    by: Figure | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides and what they have in common; ``notes`` say what the words may be taken for."""

    before: Side
    after: Side
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        """Say whether an objective is claimed to have become slower, or to lose more."""
        return any(
            one.what == "objective" and one.change is not None and one.word in (SLOWER, MORE) for one in self.pairs
        )


def two_drills(before: Side, after: Side) -> Comparison:
    """Compare two single drills: what they show is a difference of these two, and of nothing else."""
    pairs: list[Pair] = []
    for what, name, then, now in _both(before, after):
        if then and now:
            by, word = apart(then[0], now[0])
            pairs.append(Pair(what, name, then, now, word, "", by=by))
        else:
            pairs.append(Pair(what, name, then, now, NO_CLAIM, "measured on one side only"))
    notes = ("two drills show how these two differ; whether drills have become slower needs more of them",)
    return Comparison(before, after, tuple(pairs), (*notes, *_unlike(before, after)))


def groups(before: Side, after: Side) -> Comparison:
    """Compare drills with drills: a change is claimed at 5 %, and only if lower and upper ends agree."""
    pairs: list[Pair] = []
    for what, name, then, now in _both(before, after):
        if not then or not now:
            pairs.append(Pair(what, name, then, now, NO_CLAIM, "measured on one side only"))
            continue
        found = change(then, now)
        worse, better = (MORE, FEWER) if now[0].unit is Unit.ROWS else (SLOWER, FASTER)
        word = worse if found.slower else better if found.faster else NO_CLAIM
        pairs.append(Pair(what, name, then, now, word, found.why, found))
    able = sum(1 for one in pairs if one.change is not None and not one.change.needs)
    needs = dict.fromkeys(one.change.needs for one in pairs if one.change is not None and one.change.needs)
    notes = (*needs, *_by_chance(able))
    return Comparison(before, after, tuple(pairs), (*notes, *_unlike(before, after)))


def _both(before: Side, after: Side) -> list[tuple[str, str, tuple[Figure, ...], tuple[Figure, ...]]]:
    """Give what, name and the figures of both sides, of everything that one of them has."""
    found: list[tuple[str, str, tuple[Figure, ...], tuple[Figure, ...]]] = []
    for what in KINDS_OF_FIGURES:
        then, now = figures_of(before.drills, what), figures_of(after.drills, what)
        found += [
            (what, name, tuple(then.get(name, ())), tuple(now.get(name, ()))) for name in dict.fromkeys([*then, *now])
        ]
    return found


def _by_chance(able: int) -> tuple[str, ...]:
    if able <= 1:
        return ()
    strays = able * ALPHA
    return (f"{able} comparisons at {figures.percent(ALPHA)}: about {strays:.1g} would look slower by chance alone",)


def _unlike(before: Side, after: Side) -> tuple[str, ...]:
    then, now = ({str(one.kind) for one in side.drills} for side in (before, after))
    if then == now:
        return ()
    return (f"these are drills of different kinds: {'; '.join(sorted(then))} against {'; '.join(sorted(now))}",)


# -- JSON --------------------------------------------------------------------------------------------------


def document(found: Comparison) -> dict[str, Any]:
    """Give the JSON form: both sides, and for each objective, phase and step the figures and the answer."""
    listed: dict[str, Any] = {
        f"{what}s": [_pair(one) for one in found.pairs if one.what == what] for what in KINDS_OF_FIGURES
    }
    return {
        "before": _side(found.before),
        "after": _side(found.after),
        **listed,
        "regressed": found.regressed,
        "notes": list(found.notes),
    }


def _side(one: Side) -> dict[str, Any]:
    return {"name": one.name, "n": len(one.drills), "drills": [drill.drill for drill in one.drills]}


def _pair(one: Pair) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": one.name,
        "before": [figure_document(each) for each in one.before],
        "after": [figure_document(each) for each in one.after],
        "answer": one.word,
        "why": one.why,
    }
    if one.change is not None:
        told |= {"p_low": one.change.p_low, "p_high": one.change.p_high, "needs": one.change.needs}
    if one.by is not None:
        told["more_by" if one.by.unit is Unit.ROWS else "longer_by"] = figure_document(one.by)
    return told


# -- text --------------------------------------------------------------------------------------------------

_TONES = {
    SLOWER: Tone.BAD,
    "longer": Tone.BAD,
    FASTER: Tone.GOOD,
    "shorter": Tone.GOOD,
    MORE: Tone.BAD,
    FEWER: Tone.GOOD,
}


def parts(found: Comparison) -> list[Part]:
    """Tell it for a terminal."""
    told = [Part("", (Line(f"before  {_named(found.before)}"), Line(f"after   {_named(found.after)}")))]
    for what, title in zip(KINDS_OF_FIGURES, ("Objectives", "Phases", "Steps"), strict=True):
        pairs = [one for one in found.pairs if one.what == what]
        if pairs:
            told.append(Part(title, (Table(("", "before", "after", "", ""), tuple(map(_row, pairs))),)))
    if found.notes:
        told.append(Part("Mind", tuple(Line(Words(one, Tone.FAINT), mark="-") for one in found.notes)))
    return told


def _named(side: Side) -> str:
    count = len(side.drills)
    return side.name if count == 1 and side.name == side.drills[0].drill else f"{side.name} ({count})"


def _row(one: Pair) -> tuple[Cell, ...]:
    why = one.why if one.by is None else _by(one.by)
    return (one.name, _shown(one.before), _shown(one.after), Words(one.word, _TONES.get(one.word, Tone.PLAIN)), why)


def _by(one: Figure) -> str:
    """Write by how much the second took longer, or shorter: the word before it says which, so no figure has a sign."""
    less, more = ("fewer", "more") if one.unit is Unit.ROWS else ("shorter", "longer")
    if one.low == one.high == 0:
        return "no difference"
    if one.low >= 0:
        return f"by {bounds(one)}"
    if one.high is not None and one.high <= 0:
        return f"by {bounds(Figure(-one.high, -one.low, one.unit))}"
    below, above = figures.counted(-one.low, one.unit), figures.counted_upper(one.high, one.unit)
    return f"at most {below} {less}" + (
        f", at most {above} {more}" if one.high is not None else f", {more} without bound"
    )


def _shown(points: tuple[Figure, ...]) -> str:
    """Write a single figure as it is, several as the range of their bounds."""
    if len(points) <= 1:
        return bounds(points[0] if points else None)
    lows, tops = summarize([one.low for one in points]), summarize([one.top for one in points])
    top = None if tops.largest == inf else tops.largest
    unit = points[0].unit
    return f"{figures.counted(lows.points[0], unit)}..{figures.counted_upper(top, unit)} (n = {len(points)})"
