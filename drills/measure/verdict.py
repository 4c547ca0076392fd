"""MET, MISSED or UNPROVEN: a verdict needs the whole bracket on one side of the target."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from drills.durations import measured, show
from drills.timeline.marks import Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

NS = 1e9


class Verdict(StrEnum):
    """Three values; there is no fourth, and no doubt is MET."""

    MET = "MET"
    MISSED = "MISSED"
    UNPROVEN = "UNPROVEN"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason against MET, and what would remove it."""

    why: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a bracket's width: what is not known, by how much, and what would narrow it. In the span's unit."""

    what: str
    width: int
    narrowed_by: str


@dataclass(frozen=True, slots=True)
class Span:
    """Bounds of one interval between two marks, in nanoseconds, or of a count; ``high`` None: nothing bounds it."""

    low: int
    high: int | None
    doubts: tuple[Doubt, ...] = ()
    shares: tuple[Share, ...] = ()

    @property
    def best(self) -> int | None:
        """The midpoint; None without an upper end."""
        return None if self.high is None else (self.low + self.high) // 2


def decide(low: int, high: int | None, target: int, *, doubted: bool) -> Verdict:
    """Give the verdict on [low, high] against a target, all in one unit.

    MISSED if ``low > target``, also without an upper end or in doubt; MET if ``high <= target`` and nothing speaks
    against it; else UNPROVEN.
    """
    if low > target:
        return Verdict.MISSED
    if not doubted and high is not None and high <= target:
        return Verdict.MET
    return Verdict.UNPROVEN


def worst(spans: Sequence[Span]) -> Span:
    """Combine observers (or stores): [max of lower ends, max of upper ends], without bound if one is; all doubts."""
    highs = [span.high for span in spans if span.high is not None]
    doubts = tuple(dict.fromkeys(doubt for span in spans for doubt in span.doubts))
    open_ended = next((span for span in spans if span.high is None), None)
    last = open_ended or max(spans, key=lambda span: span.high or 0)
    high = None if open_ended is not None else max(highs)
    return Span(max(span.low for span in spans), high, doubts, last.shares)


def explain(span: Span, target: int, verdict: Verdict, unit: Unit = Unit.SECONDS) -> tuple[str, str]:
    """Name the dominating error, and what would decide an unproven objective."""
    limit = _chosen(target, unit)
    top = max(span.shares, key=lambda share: share.width, default=None)
    error = "" if top is None else f"; the widest part of the bracket is {top.what} ({_chosen(top.width, unit)})"
    if verdict is Verdict.MISSED:
        return f"at least {_measured(span.low, unit)}, above {limit}{error}", ""
    if verdict is Verdict.MET:
        return f"at most {_measured(span.high or 0, unit)}, within {limit}{error}", ""
    if span.doubts:
        return "; ".join(doubt.why for doubt in span.doubts), span.doubts[0].decided_by
    if span.high is None:
        return "nothing bounds it from above", "a longer watch"
    why = f"the target {limit} lies inside the bracket{error}"
    if top is None:
        return why, "a narrower bracket"
    room = max(span.high - target, 1)
    return why, f"{top.narrowed_by}: the bracket's upper end must come down by {_chosen(room, unit)} or more"


def _chosen(value: int, unit: Unit) -> str:
    return rows(value) if unit is Unit.ROWS else show(value / NS)


def _measured(value: int, unit: Unit) -> str:
    return rows(value) if unit is Unit.ROWS else measured(value / NS)


def rows(count: float) -> str:
    """Write a number of rows with its unit; a median may be half a row."""
    return f"{count:,.12g} row{'' if count == 1 else 's'}"
