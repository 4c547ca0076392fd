"""The marker table in PostgreSQL, and how a server says which one it is.

A physical standby shares its primary's system identifier, so the identity also holds the timeline the server
writes on (a promotion begins a new one; a restart does not) and the address it was reached at. The postmaster's
start time would call a restarted old primary a stranger and hide what it acked afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, LiteralString

from drills.errors import Rejected, Unanswered

if TYPE_CHECKING:
    from typing import Any

    import psycopg

TABLE = """
CREATE TABLE IF NOT EXISTS drills_markers (
    drill text NOT NULL, store text NOT NULL, writer text NOT NULL, seq bigint NOT NULL,
    primary_id text NOT NULL, sent_ns bigint NOT NULL, written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (drill, store, writer, seq))
"""
_LOCK = 0x6472696C6C73
"""Advisory lock of those who create the table: CREATE IF NOT EXISTS alone fails when two do it at once."""

# The parts of the statements below are constants of this file: values go in as parameters.
_ADDRESS: LiteralString = (
    "'@' || coalesce(host(inet_server_addr()), 'local') || ':'"
    " || coalesce(inet_server_port(), current_setting('port')::int)"
)
_TIMELINE: LiteralString = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || "
_ON_PRIMARY: LiteralString = (
    "(SELECT system_identifier FROM pg_control_system()) || '/' || " + _TIMELINE + _ADDRESS  # noqa: S608 - constants
)
_ADDRESS_ONLY: LiteralString = "current_database() || " + _ADDRESS
IDENTITIES: tuple[LiteralString, ...] = (_ON_PRIMARY, _ADDRESS_ONLY)
"""From the best to what a managed service (Aurora without logical replication) permits."""

_INSERT: LiteralString = "INSERT INTO drills_markers (drill, store, writer, seq, primary_id, sent_ns) VALUES "


def insert(identity: LiteralString) -> LiteralString:
    """Give the marker's statement: ``$1``-``$5`` are drill, store, writer, seq, sent_ns; it answers the identity."""
    return _INSERT + "($1, $2, $3, $4, " + identity + ", $5) RETURNING primary_id"


def probe_insert(identity: LiteralString) -> LiteralString:
    """Give a statement that writes a row nobody will read, to be rolled back; it answers the identity."""
    return _INSERT + "('', '', '', 0, " + identity + ", 0) RETURNING primary_id"


async def prepare(connection: psycopg.AsyncConnection[tuple[Any, ...]], timeout_ms: int) -> LiteralString:
    """Make a connection ready for markers: the table, the server-side timeout; give the identity it permits.

    Raises ``psycopg.Error`` when the table cannot be made, or the server is a standby and has none.
    """
    await connection.execute("SELECT set_config('statement_timeout', %s, false)", (str(timeout_ms),))
    found = await (await connection.execute("SELECT to_regclass('drills_markers') IS NOT NULL")).fetchone()
    if found is None or not found[0]:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            await connection.execute(TABLE)
    return await permitted_identity(connection)


async def permitted_identity(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> LiteralString:
    """Give the best identity this server computes for us; a standby cannot name the timeline it writes on."""
    import psycopg

    for identity in IDENTITIES[:-1]:
        try:
            await connection.execute("SELECT " + identity)
        except (
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.FeatureNotSupported,
            psycopg.errors.UndefinedFunction,
        ):
            continue
        else:
            return identity
    return IDENTITIES[-1]


def connect(dsn: str, connect_s: float, answer_s: float) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to read or to look, bounded in time; ``Unanswered`` or ``Rejected`` says which of the two it was.

    Statements end at the server after ``answer_s``; a server that has gone silent is given up by TCP as late.
    """
    import psycopg

    wait, answer_ms = math.ceil(connect_s), math.ceil(answer_s * 1000)
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=True,
            connect_timeout=wait,
            tcp_user_timeout=answer_ms,
            keepalives_idle=wait,
            keepalives_interval=wait,
            keepalives_count=2,
        )
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (str(answer_ms),))
    except psycopg.OperationalError as error:
        if error.sqlstate is not None or "FATAL" in str(error):
            raise Rejected(f"the database refused the connection: {first_line(error)}") from error
        raise Unanswered(f"the database gave no answer: {first_line(error)}") from error
    except psycopg.Error as error:
        raise Rejected(f"the DSN is not understood: {first_line(error)}") from error
    return connection


def first_line(error: Exception) -> str:
    """Give the first line of what libpq said; it names hosts and users, never a password."""
    return str(error).strip().partition("\n")[0]
