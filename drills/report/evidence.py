"""Whether a drill's evidence is what it was sealed as: every observer's file against the last seal it was given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from drills.engine.state import fold
from drills.errors import JournalError, Unreadable
from drills.observe.store import seal
from drills.runtime.journal import pinned_plan
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

EVIDENCE = "evidence of "
"""How the checks are called that compare what is stored with what it was when it was sealed."""
UNFIT = (JournalError, ValueError, TypeError, LookupError, OverflowError, AttributeError)
"""What reading and judging damaged evidence may come to."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was compared. ``ok`` None: there was nothing to compare it with.

    ``reworded``: sentences that are another today, which is no difference in what was measured.
    """

    name: str
    ok: bool | None
    detail: str
    differences: tuple[str, ...] = ()
    reworded: tuple[str, ...] = ()


def broken_evidence(folder: Path, events: Sequence[ev.Event]) -> str:
    """Say which evidence is no longer what the drill was judged by; empty when all of it is."""
    return _broken(checks([located(event, folder) for event in events]))


def altered_evidence(folder: Path, events: Sequence[ev.Event]) -> str:
    """Say which evidence of a drill that goes on was altered since it was sealed; empty when none was.

    What was never sealed is let be. A drill that is held keeps its observers: what was sealed then may have grown.
    """
    last = max((place for place, one in enumerate(events) if isinstance(one.body, ev.Sealed)), default=0)
    held = fold(pinned_plan(events), events[:last]).held
    found = checks([located(event, folder) for event in events], going_on=True, may_grow=held)
    return _broken(found)


def _broken(found: Iterable[Check]) -> str:
    return "; ".join(f"{one.name}: {one.detail}" for one in found if one.ok is not True)


def located(event: ev.Event, folder: Path) -> ev.Event:
    """Look for evidence beside the journal first, so that a copied drill is verified by its own files."""
    body = event.body
    if not isinstance(body, ev.Watching | ev.Sealed):
        return event
    near = folder / "observers" / Path(body.file).name
    return replace(event, body=replace(body, file=str(near))) if near.exists() else event


def checks(events: Sequence[ev.Event], *, going_on: bool = False, may_grow: bool = False) -> Iterator[Check]:
    """Compare every observer's file with the last seal it was given."""
    files = {one.body.file: one.body.observer for one in events if isinstance(one.body, ev.Watching)}
    seals = {one.body.file: one.body for one in events if isinstance(one.body, ev.Sealed)}
    for file, observer in files.items():
        name = f"{EVIDENCE}{observer}"
        if file in seals:
            yield _sealed(name, seals[file], may_grow=may_grow)
        elif going_on:
            continue
        elif Path(file).exists():
            yield Check(name, ok=None, detail=f"{file} was never sealed: nothing says what it held")
        else:
            yield Check(name, ok=False, detail=f"{file} is missing, and was never sealed")


def _sealed(name: str, said: ev.Sealed, *, may_grow: bool) -> Check:
    if not Path(said.file).exists():
        return Check(name, ok=False, detail=f"{said.file} is missing; it was sealed with {said.rows:,} rows")
    try:
        found = seal(Path(said.file))
    except Unreadable as error:
        return Check(name, ok=None, detail=str(error))
    except UNFIT as error:
        return Check(name, ok=False, detail=f"{said.file} cannot be read: {error}")
    if may_grow and found.rows > said.rows:
        return Check(name, ok=True, detail=f"{found.rows - said.rows:,} rows more than when it was sealed")
    apart = tuple(
        f"{said.observer}.{name}: sealed {then!r}, found {now!r}"
        for name in ("rows", "first", "last", "sha256")
        if (then := getattr(said, name)) != (now := getattr(found, name))
    )
    if apart:
        return Check(name, ok=False, detail=f"{said.file} was changed after it was sealed", differences=apart)
    return Check(name, ok=True, detail=f"{found.rows:,} rows, sha256 {found.sha256[:16]} as sealed")
