"""Markers in MySQL and MariaDB: the same table as in PostgreSQL, a connection for each lane, a commit for each row."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from drills.errors import Refused, Rejected, Unanswered
from drills.observe.ledger import Answer, Found, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pymysql
    from pymysql.cursors import Cursor

    from drills.aws.sessions import Accounts
    from drills.observe.ledger import Ask, Row, Spot

TABLE = """
CREATE TABLE IF NOT EXISTS drills_markers (
    drill varchar(100) NOT NULL, store varchar(100) NOT NULL, writer varchar(160) NOT NULL, seq bigint NOT NULL,
    primary_id varchar(200) NOT NULL, sent_ns bigint NOT NULL,
    written_at timestamp(6) NOT NULL DEFAULT current_timestamp(6),
    PRIMARY KEY (drill, store, writer, seq)) ENGINE = InnoDB CHARACTER SET ascii COLLATE ascii_bin
"""
_INSERT = "INSERT INTO drills_markers (drill, store, writer, seq, primary_id, sent_ns) VALUES (%s, %s, %s, %s, %s, %s)"
_SELECT = "SELECT writer, seq, primary_id FROM drills_markers WHERE drill = %s AND store = %s"
IDENTITIES = (
    "SELECT CONCAT(@@server_uuid, '@', @@hostname, ':', @@port)",
    "SELECT CONCAT(@@server_id, '@', @@hostname, ':', @@port)",
)
"""MySQL names each server for good; MariaDB by the number that replication needs anyway."""
_MAY_HAVE_HAPPENED = frozenset({1053, 1158, 1159, 1160, 1161, 1180, 1317, 1927, 2006, 2013, 2014, 2055, 3024, 3100})
"""Error numbers after which a row may be there: connection, shutdown, killed, or an error while committing."""
_NO_SUCH_TABLE, _UNKNOWN_VARIABLE = 1146, 1193
_DENIED = (1044, 1045, 1049, 1227)
CONNECT_S, READ_S = 5.0, 30.0
_PAGE = 20_000


def writer(spot: Spot, timeout_s: float, lanes: int) -> MysqlWriter:
    """Open the primary's side."""
    del lanes
    return MysqlWriter(spot, timeout_s)


def reader(spot: Spot, accounts: Accounts) -> MysqlReader:
    """Open the survivor's side."""
    del accounts
    return MysqlReader(spot)


class MysqlWriter:
    """The primary."""

    def __init__(self, spot: Spot, timeout_s: float) -> None:
        self.shown = without_secrets(spot.address)
        self._url = spot.address
        self._timeout_s = timeout_s

    def prepare(self) -> None:
        """Make sure of the table; ``Refused`` when it is not there and cannot be made."""
        import pymysql

        try:
            with connected(self._url, max(self._timeout_s, 1.0)) as connection, connection.cursor() as cursor:
                cursor.execute("SET SESSION sql_notes = 0")
                cursor.execute(TABLE)
                _require_writable(cursor)
        except (pymysql.MySQLError, OSError, Rejected) as error:
            raise Refused(f"markers cannot be written to {self.shown}: {told(error)}") from error

    def lane(self) -> MysqlLane:
        """Give one more connection."""
        return MysqlLane(self._url, self._timeout_s)


class MysqlLane:
    """One connection to the primary."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connection: pymysql.Connection[Cursor] | None = None
        self._identity = ""

    def write(self, row: Row) -> Answer:
        """Insert one row and commit it."""
        import pymysql

        try:
            if self._connection is None:
                connection = connected(self._url, self._timeout_s)
                # As a value of the client's: a statement replayed on a replica must not name the replica.
                self._identity = identity(connection)
                self._connection = connection
        except (pymysql.MySQLError, OSError) as error:
            return Answer(acked=False, why=f"cannot connect: {told(error)}")
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(_INSERT, (row.drill, row.store, row.writer, row.seq, self._identity, row.sent))
        except (pymysql.MySQLError, OSError) as error:
            if isinstance(error, pymysql.MySQLError) and _refused(error):
                return Answer(acked=False, why=told(error))
            self.close()
            return Answer(None, why=f"no answer: {told(error)}")
        return Answer(acked=True, primary=self._identity)

    def close(self) -> None:
        """Drop the connection."""
        import pymysql

        if self._connection is not None:
            with suppress(pymysql.MySQLError, OSError):
                self._connection.close()
            self._connection = None


class MysqlReader:
    """The survivor: it must take writes, for what a replica shows may grow."""

    consumes: ClassVar[bool] = False

    def __init__(self, spot: Spot) -> None:
        import pymysql

        try:
            self._connection = connected(spot.address, READ_S, CONNECT_S)
        except (pymysql.MySQLError, OSError) as error:
            if isinstance(error, pymysql.MySQLError) and _number(error) in _DENIED:
                raise Rejected(f"the survivor refused to be read: {told(error)}") from error
            raise Unanswered(f"the survivor gave no answer: {told(error)}") from error
        try:
            with self._connection.cursor() as cursor:
                _require_writable(cursor)
                _require_no_source(cursor)
            self.server = identity(self._connection)
        except BaseException:
            self.close()
            raise

    def batches(self, ask: Ask) -> Iterator[list[Found]]:
        """Read with one statement, so one snapshot, through a cursor of the server's."""
        import pymysql
        from pymysql.cursors import SSCursor

        try:
            with self._connection.cursor(SSCursor) as cursor:
                cursor.execute(_SELECT, (ask.drill, ask.store))
                while rows := cursor.fetchmany(_PAGE):
                    yield [Found(str(who), int(seq), str(primary)) for who, seq, primary in rows]
        except pymysql.ProgrammingError as error:
            if _number(error) == _NO_SUCH_TABLE:
                raise Rejected("the survivor has no table drills_markers: nothing was ever replicated to it") from error
            raise Rejected(f"the survivor refused to be read: {told(error)}") from error
        except (pymysql.MySQLError, OSError) as error:
            raise Unanswered(f"the survivor stopped answering: {told(error)}") from error

    def close(self) -> None:
        """Drop the connection."""
        import pymysql

        with suppress(pymysql.MySQLError, OSError):
            self._connection.close()


def connected(url: str, timeout_s: float, connect_s: float | None = None) -> pymysql.Connection[Cursor]:
    """Connect to ``mysql://user:password@host:port/database``, by TLS with ``?tls=true``; nothing is sent twice."""
    import pymysql

    parts = urlsplit(url)
    database = unquote(parts.path.lstrip("/"))
    if not parts.hostname or not database:
        raise Refused(f"{without_secrets(url)} is no address of a database; write mysql://user@host:3306/database")
    tls = parse_qs(parts.query).get("tls", [""])[0].lower() in ("true", "1", "yes")
    connect: Any = pymysql.connect  # its stubs call every way of connecting deprecated
    return connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=database,
        connect_timeout=connect_s or timeout_s,
        read_timeout=timeout_s,
        write_timeout=timeout_s,
        autocommit=True,
        ssl={"check_hostname": True} if tls else None,
    )


def identity(connection: pymysql.Connection[Cursor]) -> str:
    """Name the server; it stays through a restart and differs from that of its replicas."""
    import pymysql

    with connection.cursor() as cursor:
        for question in IDENTITIES:
            try:
                cursor.execute(question)
            except pymysql.MySQLError as error:
                if _number(error) == _UNKNOWN_VARIABLE and question != IDENTITIES[-1]:
                    continue
                raise
            row = cursor.fetchone()
            return f"mysql/{row[0]}" if row else ""
    return ""


def _require_writable(cursor: Cursor) -> None:
    cursor.execute("SELECT @@global.read_only, @@global.innodb_read_only")
    row: Sequence[Any] = cursor.fetchone() or (1, 1)
    if any(int(one) for one in row):
        raise Rejected("the server is read-only, a replica perhaps: it takes no markers, and what it shows may grow")


def _require_no_source(cursor: Cursor) -> None:
    """Refuse a server that still applies what another sends; who may not ask is not told, and goes on."""
    import pymysql

    for question in ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"):
        try:
            cursor.execute(question)
        except pymysql.MySQLError:
            continue
        names = [str(column[0]).lower() for column in cursor.description or ()]
        for row in cursor.fetchall():
            state = dict(zip(names, row, strict=True))
            if any(str(value) == "Yes" for name, value in state.items() if name.endswith("_sql_running")):
                raise Rejected("the survivor still applies what its source sent: what it shows may grow")
        return


def told(error: Exception) -> str:
    """Give what the server or the driver said, without its number."""
    return str(error.args[-1]).partition("\n")[0] if error.args else type(error).__name__


def _number(error: Exception) -> int:
    return int(error.args[0]) if error.args and isinstance(error.args[0], int) else 0


def _refused(error: pymysql.MySQLError) -> bool:
    """Say whether the server answered, and the row is not there."""
    import pymysql

    if isinstance(error, pymysql.InterfaceError):
        return False
    number = _number(error)
    return number > 0 and number not in _MAY_HAVE_HAPPENED
