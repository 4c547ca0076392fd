"""Connect to a PostgreSQL server for one look: a limit on everything, and an answer in place of an error.

Each look is a new connection with a limit of 2 s to connect and 2 s for each statement. What a secret resolves to
is never written anywhere.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drills.errors import Rejected
from drills.timeline.facts import Facts
from drills.work import Aws, Observation

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_S: Final = 2
STATEMENT_MS: Final = 2000
TABLE: Final = "drills_probe"

STARTING: Final = "57P03"
_NO_MORE_CONNECTIONS: Final = "53300"


@dataclass(frozen=True, slots=True)
class Silent:
    """No connection came about: ``sqlstate`` when the server said why, empty when nobody answered."""

    why: str
    sqlstate: str
    unresolved: bool = False


def connect(aws: Aws, dsn: str) -> Connection[Any] | Silent:
    """Connect to the server behind ``dsn`` in autocommit, or say why not. ``Rejected`` when it is no address."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(aws.secret(dsn))
    except psycopg.ProgrammingError as error:
        raise Rejected("the dsn is no PostgreSQL address, such as postgresql://user@host:5432/name") from error
    host = str(given.get("host") or "")
    try:
        address = _address(aws, host)
    except OSError as error:
        return Silent(str(error), "", unresolved=True)
    options = f"{given.get('options') or ''} -c statement_timeout={STATEMENT_MS} -c lock_timeout={STATEMENT_MS}"
    info = make_conninfo(
        "",
        **{
            **given,
            **({"hostaddr": address} if address else {}),
            "connect_timeout": CONNECT_S,
            "application_name": "drills",
            "options": options.strip(),
            "tcp_user_timeout": STATEMENT_MS,
        },
    )
    try:
        return psycopg.connect(info, autocommit=True)
    except psycopg.OperationalError as error:
        return Silent(first_line(error), error.sqlstate or _state_in(str(error)), _unresolved(error))


def _address(aws: Aws, host: str) -> str | None:
    """Resolve a host at the place's resolver; None leaves it to the system."""
    from drills.services import dns

    if aws.place.resolver is None or not host or host.startswith("/") or dns.is_address(host):
        return None
    return dns.first_address(host, aws.place.resolver)


def first_line(error: Exception) -> str:
    """Give the first line of an error: what follows it repeats the address."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _state_in(text: str) -> str:
    """Find out what the server said, where libpq gives no code: errors while connecting carry none."""
    said = {
        "is starting up": STARTING,
        "is shutting down": STARTING,
        "in recovery mode": STARTING,
        "not yet accepting": STARTING,
        "too many clients": _NO_MORE_CONNECTIONS,
        "remaining connection slots": _NO_MORE_CONNECTIONS,
        "authentication failed": "28P01",
        "no pg_hba.conf entry": "28000",
        "FATAL": "XX000",
    }
    return next((code for words, code in said.items() if words in text), "")


def _unresolved(error: Exception) -> bool:
    text = str(error)
    return "could not translate host name" in text or "failed to resolve host" in text


def ask(aws: Aws, dsn: str, query: str) -> tuple[Any, ...] | Observation:
    """Run one reading query and give its one row; an ``Observation`` without an answer when that fails."""
    import psycopg

    reached = connect(aws, dsn)
    if isinstance(reached, Silent):
        return Observation(ok=None, detail=f"no connection: {reached.why}")
    with closing(reached) as connection:
        try:
            row = connection.execute(query.encode()).fetchone()
        except psycopg.Error as error:
            return Observation(ok=None, detail=f"no answer: {first_line(error)}", value=state_of(error))
    return row if row is not None else Observation(ok=None, detail="no answer: an empty one")


def ask_only(aws: Aws, dsn: str, query: str) -> tuple[Any, ...] | Observation:
    """Run one statement of a person's in a transaction that may only read, and give its first row.

    It is prepared, so that it is one statement and no second one can end the transaction.
    """
    import psycopg

    reached = connect(aws, dsn)
    if isinstance(reached, Silent):
        return Observation(ok=None, detail=f"no connection: {reached.why}")
    with closing(reached) as connection:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("SET TRANSACTION READ ONLY")
                cursor = connection.execute(query.encode(), prepare=True)
                row = cursor.fetchone() if cursor.description is not None else None
        except psycopg.Error as error:
            return Observation(ok=None, detail=f"no answer: {first_line(error)}", value=state_of(error))
    return row if row is not None else Observation(ok=None, detail="no answer: the query gives no row")


def write_and_roll_back(connection: Connection[Any]) -> str:
    """Insert one row and roll it back, or raise psycopg's error; says how the write was made."""
    import psycopg

    there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (TABLE,)).fetchone() == (True,)
    try:
        with connection.transaction(force_rollback=True):
            if not there:
                connection.execute(f"CREATE TABLE {TABLE} (at timestamptz NOT NULL)".encode())
            connection.execute(f"INSERT INTO {TABLE} (at) VALUES (clock_timestamp())".encode())  # noqa: S608 - a constant
    except psycopg.errors.InsufficientPrivilege:
        with connection.transaction(force_rollback=True):
            # A session that is read-only by its settings gets a transaction id nonetheless.
            if connection.execute("SHOW transaction_read_only").fetchone() == ("on",):
                raise psycopg.errors.ReadOnlySqlTransaction("the session is read-only") from None
            connection.execute("SELECT pg_current_xact_id()")
        return "a transaction id was given; the user may not insert"
    return "a row was inserted and rolled back"


def state_of(error: Any) -> Facts:
    """Keep the code of a server's error."""
    return Facts(sqlstate=error.sqlstate or "")
