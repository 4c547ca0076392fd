"""Reads on the survivor what became of the markers, and asks the old primary whether it still takes writes.

``collect`` is one step of a drill's settling: round 1 after the link is cut or fenced, round 2 later (rows may
arrive after a heal).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.errors import Rejected, Unanswered
from drills.observe.ledger import resolve_secret
from drills.observe.postgres import IDENTITIES, connect, first_line, probe_insert
from drills.observe.process import now
from drills.observe.store import appending, read_ledger
from drills.timeline.facts import Facts
from drills.timeline.samples import ReadRound, Recovered
from drills.work import Observation

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, LiteralString

    import psycopg

CONNECT_S = 5.0
READ_S = 30.0
MOST_ROWS = 5_000_000
_CHUNK = 20_000


def read_markers(read_dsn: str, drill: str, store: str, file: Path, number: int) -> ReadRound:
    """Read every marker row of a drill's store from the survivor and keep them as round ``number``.

    One statement, so one snapshot, on a server that is a primary: nothing can still be on its way to be replayed.
    A round read again replaces itself; one that breaks off is kept with ``complete`` False. Raises ``Rejected``
    while the server is a standby or has no such table, ``Unanswered`` when it cannot be reached; then nothing is
    kept.
    """
    import psycopg

    started = now()
    connection = connect(resolve_secret(read_dsn), CONNECT_S, READ_S)
    found: list[Recovered] = []
    complete = False
    try:
        server = _identity_of_primary(connection)
        try:
            found, complete = _rows(connection, drill, store, number)
        except psycopg.OperationalError:  # it broke off: what was found is evidence, what was not is none
            complete = False
    except psycopg.errors.UndefinedTable as error:
        raise Rejected("the survivor has no table drills_markers: nothing was ever replicated to it") from error
    except psycopg.OperationalError as error:
        raise Unanswered(f"the survivor gave no answer: {first_line(error)}") from error
    except psycopg.Error as error:
        raise Rejected(f"the survivor refused to be read: {first_line(error)}") from error
    finally:
        connection.close()
    result = ReadRound(number, started, now(), server, complete)
    _keep(file, result, found)
    return result


def _identity_of_primary(connection: psycopg.Connection[tuple[Any, ...]]) -> str:
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    if row is None or row[0]:
        raise Rejected("the survivor is still a standby: what it shows may grow")
    return _first_permitted(connection, "SELECT {}")


def _rows(
    connection: psycopg.Connection[tuple[Any, ...]], drill: str, store: str, number: int
) -> tuple[list[Recovered], bool]:
    """Fetch in chunks through a server-side cursor; whether that was all of them."""
    found: list[Recovered] = []
    with connection.transaction(), connection.cursor(name="drills_markers_round") as cursor:
        cursor.execute(
            "SELECT writer, seq, primary_id FROM drills_markers WHERE drill = %s AND store = %s", (drill, store)
        )
        while rows := cursor.fetchmany(_CHUNK):
            at = now()
            found += [Recovered(number, at, writer, seq, primary) for writer, seq, primary in rows]
            if len(found) > MOST_ROWS:
                return found, False
    return found, True


def _keep(file: Path, result: ReadRound, found: list[Recovered]) -> None:
    with appending(file) as run:
        run.execute("DELETE FROM recovered WHERE round = ?", (result.round,))
        run.executemany(
            "INSERT INTO recovered VALUES (?, ?, ?, ?, ?)",
            ((row.round, row.read_at, row.writer, row.seq, row.primary) for row in found),
        )
        run.execute(
            "INSERT OR REPLACE INTO rounds VALUES (?, ?, ?, ?, ?)",
            (result.round, result.started, result.ended, result.server, result.complete),
        )


def writes_refused(write_dsn: str, file: Path) -> Observation:
    """Ask the old primary to write a row and take it back: ``ok`` True when it refuses.

    ``ok`` None: nobody answered (which is no proof that others cannot reach it), or what answered is not the
    server that executed the markers.
    """
    import psycopg

    try:
        connection = connect(resolve_secret(write_dsn), CONNECT_S, CONNECT_S)
    except Unanswered as error:
        return Observation(None, f"the old primary cannot be asked: {error}")
    except Rejected as error:
        return Observation(ok=True, detail=str(error))
    try:
        with connection.transaction(force_rollback=True):
            server = _first_permitted(connection, probe_insert("{}"))
    except psycopg.errors.ReadOnlySqlTransaction as error:
        return Observation(ok=True, detail=f"the old primary refuses writes: {first_line(error)}")
    except psycopg.OperationalError as error:
        return Observation(None, f"the old primary gave no answer: {first_line(error)}")
    except psycopg.Error as error:
        return Observation(ok=True, detail=f"the old primary refuses writes: {first_line(error)}")
    finally:
        connection.close()
    old = {marker.primary for marker in read_ledger(file) if marker.acked}
    if server not in old:
        return Observation(None, f"{server} answered for the old primary, and has executed no marker")
    return Observation(ok=False, detail=f"the old primary {server} still accepts writes", final=False)


def _first_permitted(connection: psycopg.Connection[tuple[Any, ...]], statement: LiteralString) -> str:
    """Run a statement with the best identity in the place of ``{}`` that the server permits; give its answer."""
    import psycopg

    for identity in IDENTITIES:
        try:
            with connection.transaction():
                row = connection.execute(statement.replace("{}", identity)).fetchone()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
            if identity == IDENTITIES[-1]:
                raise
            continue
        return str(row[0]) if row is not None else ""
    return ""


def collect(read_dsn: str, drill: str, store: str, file: Path, number: int) -> Observation:
    """Read round ``number`` as one look of a waiting step: ok once all of the survivor's markers are in the file."""
    try:
        result = read_markers(read_dsn, drill, store, file, number)
    except Rejected as error:
        return Observation(ok=False, detail=str(error))
    except Unanswered as error:
        return Observation(None, str(error))
    with appending(file) as run:
        (rows,) = run.execute("SELECT count(*) FROM recovered WHERE round = ?", (number,)).fetchone()
    detail = f"{rows} markers of {store} read from {result.server}"
    facts = Facts(rows=rows, server=result.server, round=number, complete=result.complete)
    return Observation(result.complete, detail if result.complete else f"{detail}, then it broke off", facts)
