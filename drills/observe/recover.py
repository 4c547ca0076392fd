"""Reads back from the survivor of any store what became of the markers, as one look of a drill's settling."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.errors import Refused, Rejected, WorkError
from drills.observe.ledger import Ask
from drills.observe.process import now
from drills.observe.reader import MOST_ROWS, collect
from drills.observe.store import appending, read_ledger
from drills.observe.stores import check_address, is_postgres, open_reader
from drills.timeline.facts import Facts
from drills.timeline.samples import ReadRound
from drills.work import Observation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from drills.aws.sessions import Accounts
    from drills.observe.ledger import Found, ReaderSide, Spot

READ_S = 120.0
"""How long one reading may take; one that takes longer has broken off."""


def recover(spot: Spot, drill: str, store: str, files: Sequence[Path], number: int, accounts: Accounts) -> Observation:
    """Read round ``number`` of a ledger into the last of its ``files``: ok once all the survivor has is there.

    Round 1 comes after the link is cut or fenced, round 2 later (markers may arrive after a heal). ``spot`` has its
    secrets revealed. A round read again replaces itself, but for a store that is read by taking from it: there
    every round also holds what the rounds before it took.
    """
    if is_postgres(spot):
        return collect(spot.address, drill, store, files[-1], number)
    ask = Ask(drill, store, tuple(marker for file in files for marker in read_ledger(file)))
    started = now()
    try:
        check_address(spot)
        with closing(open_reader(spot, accounts)) as side:
            why = _read(side, ask, files[-1], number)
            result = ReadRound(number, started, now(), side.server, complete=not why)
    except (Rejected, Refused) as error:
        return Observation(ok=False, detail=str(error))
    except WorkError as error:
        return Observation(None, str(error))
    with appending(files[-1]) as run:
        run.execute(
            "INSERT OR REPLACE INTO rounds VALUES (?, ?, ?, ?, ?)",
            (number, result.started, result.ended, result.server, result.complete),
        )
        (rows,) = run.execute("SELECT count(*) FROM recovered WHERE round = ?", (number,)).fetchone()
    detail = f"{rows} markers of {store} read from {result.server}"
    facts = Facts(rows=rows, server=result.server, round=number, complete=result.complete)
    return Observation(result.complete, detail if result.complete else f"{detail}, then it broke off: {why}", facts)


def _read(side: ReaderSide, ask: Ask, file: Path, number: int) -> str:
    """Keep every batch; give an empty text, or why the reading broke off. ``Rejected`` if it could not begin."""
    _begin(file, number, adds=side.consumes)
    until = now() + round(READ_S * NS)
    rows = 0
    try:
        for batch in side.batches(ask):
            _keep(file, number, batch)
            rows += len(batch)
            if rows > MOST_ROWS or now() > until:
                return f"more than {MOST_ROWS} markers" if rows > MOST_ROWS else f"not done within {READ_S:g} s"
    except Rejected:
        if rows == 0 and not side.consumes:
            raise
        return "it refused to go on"
    except WorkError as error:
        return str(error)
    return ""


def _begin(file: Path, number: int, *, adds: bool) -> None:
    with appending(file) as run:
        if not adds:
            run.execute("DELETE FROM recovered WHERE round = ?", (number,))
            return
        run.execute(
            "INSERT OR IGNORE INTO recovered SELECT ?, read_at, writer, seq, executor FROM recovered WHERE round < ?",
            (number, number),
        )


def _keep(file: Path, number: int, batch: list[Found]) -> None:
    at = now()
    with appending(file) as run:
        run.executemany(
            "INSERT OR IGNORE INTO recovered VALUES (?, ?, ?, ?, ?)",
            ((number, at, one.writer, one.seq, one.primary) for one in batch),
        )
