"""Ask a PostgreSQL server what only it knows: whether it takes writes, whom it follows, and how far behind it is.

Each look is a new connection with a limit of 2 s to connect and 2 s for each statement. A ``dsn`` is a secret
(``secretsmanager:orders/dsn``) or an address (``postgresql://probe@db.example.com/orders``); what it resolves to is
never written anywhere.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic import Field

from drills.durations import show
from drills.errors import Rejected
from drills.services.spec import Duration, ProbeSpec, Told
from drills.timeline.facts import Facts
from drills.work import Aws, Evidence, Observation

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_S: Final = 2
STATEMENT_MS: Final = 2000
TABLE: Final = "drills_probe"
SECRET_PERMISSIONS: Final = {"secretsmanager": ("secretsmanager:GetSecretValue",), "ssm": ("ssm:GetParameter",)}
"""The IAM action that reads a secret, by the scheme of its reference; one under a key of your own needs that too."""

_WAIT_STATEMENT: Final = "57014"
_STARTING: Final = "57P03"
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
        return Silent(_first_line(error), error.sqlstate or _state_in(str(error)), _unresolved(error))


def _address(aws: Aws, host: str) -> str | None:
    """Resolve a host at the place's resolver; None leaves it to the system."""
    from drills.services import dns

    if aws.place.resolver is None or not host or host.startswith("/") or dns.is_address(host):
        return None
    return dns.first_address(host, aws.place.resolver)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _state_in(text: str) -> str:
    """Find out what the server said, where libpq gives no code: errors while connecting carry none."""
    said = {
        "is starting up": _STARTING,
        "is shutting down": _STARTING,
        "in recovery mode": _STARTING,
        "not yet accepting": _STARTING,
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


class _OfServer(ProbeSpec):
    """It reads the secret behind its ``dsn``, and needs leave for that alone."""

    varies: ClassVar[bool] = True
    permissions: ClassVar[tuple[str, ...]] = cast(
        "tuple[str, ...]", Told(lambda probe: SECRET_PERMISSIONS.get(probe.dsn.partition(":")[0], ()), ())
    )


class AcceptsWrites(_OfServer):
    """Say whether a server takes writes: a row is really inserted, then rolled back.

    The row goes into ``drills_probe``, created within the same transaction where it is not there and the user may.
    A user who may not is asked for a transaction id instead, which a server in recovery or read-only refuses.

    .. code-block:: yaml

        probe: sql.accepts_writes
        with:
          dsn: secretsmanager:orders/dsn
    """

    name: ClassVar[str] = "sql.accepts_writes"

    dsn: str = Field(
        min_length=1, description="PostgreSQL address, or a reference to a secret.", json_schema_extra={"secret": True}
    )

    def observe(self, aws: Aws) -> Observation:
        """Connect and write once."""
        import psycopg

        reached = connect(aws, self.dsn)
        if isinstance(reached, Silent):
            return Observation(ok=False, detail=f"no connection: {reached.why}")
        with closing(reached) as connection:
            try:
                how = write_and_roll_back(connection)
            except psycopg.Error as error:
                return Observation(ok=False, detail=f"no write: {_first_line(error)}", value=_state(error))
        return Observation(ok=True, detail=f"writes are taken ({how})")


class WritesRefused(_OfServer):
    """Say whether a server takes no writes: refused, silent, starting, or read-only. The proof of a fence.

    A server that answers but cannot be asked (a wrong password, no free connection) is no answer, and neither is a
    name that does not resolve: whoever knows the address might still write.

    .. code-block:: yaml

        probe: sql.writes_refused
        with:
          dsn: secretsmanager:orders/dsn
    """

    name: ClassVar[str] = "sql.writes_refused"

    dsn: str = Field(
        min_length=1, description="PostgreSQL address, or a reference to a secret.", json_schema_extra={"secret": True}
    )

    def observe(self, aws: Aws) -> Observation:
        """Connect and try to write once."""
        import psycopg

        reached = connect(aws, self.dsn)
        if isinstance(reached, Silent):
            dead = not reached.unresolved and reached.sqlstate in ("", _STARTING)
            return Observation(ok=True if dead else None, detail=f"no connection: {reached.why}")
        with closing(reached) as connection:
            try:
                how = write_and_roll_back(connection)
            except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.ObjectNotInPrerequisiteState) as error:
                return Observation(ok=True, detail=f"read-only: {_first_line(error)}", value=_state(error))
            except psycopg.Error as error:
                refused = error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
                ok = True if refused and error.sqlstate != _WAIT_STATEMENT else None
                return Observation(ok=ok, detail=f"no write: {_first_line(error)}", value=_state(error))
        return Observation(ok=False, detail=f"writes are still taken ({how})")


class Replicating(_OfServer):
    """Say whether a standby streams from its primary and is at most ``at_most`` behind.

    Behind is the larger of two: the age of the last transaction replayed while more has been received, and the
    time the last message was under way (which holds as far as the two servers' clocks agree).

    .. code-block:: yaml

        probe: sql.replicating
        with:
          dsn: secretsmanager:orders/standby-dsn
          at_most: 5s
    """

    name: ClassVar[str] = "sql.replicating"

    dsn: str = Field(
        min_length=1,
        description="Address of the standby, or a reference to a secret.",
        json_schema_extra={"secret": True},
    )
    at_most: Duration = Field(description="The largest lag that is accepted.")

    def observe(self, aws: Aws) -> Observation:
        """Ask the standby once."""
        row = ask(
            aws,
            self.dsn,
            """
            SELECT pg_is_in_recovery(),
                   (SELECT status FROM pg_stat_wal_receiver),
                   CASE WHEN pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() THEN 0.0
                        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END,
                   (SELECT extract(epoch FROM last_msg_receipt_time - last_msg_send_time)::float8
                      FROM pg_stat_wal_receiver)
            """,
        )
        if isinstance(row, Observation):
            return row
        standby, status, replay_s, wire_s = row
        if not standby:
            return Observation(ok=False, detail="the server is no standby: it is out of recovery")
        if status != "streaming":
            return Observation(ok=False, detail=f"the standby receives nothing ({status or 'no receiver'})")
        if replay_s is None or wire_s is None:
            return Observation(ok=None, detail="the standby streams, but does not say how far behind it is")
        lag_s = max(float(replay_s), float(wire_s), 0.0)
        limit_s = self.at_most.total_seconds()
        detail = f"the standby streams, {show(lag_s)} behind; {show(limit_s)} is accepted"
        return Observation(ok=lag_s <= limit_s, detail=detail, value=Facts(lag_s=lag_s))


class ReceiverStopped(_OfServer):
    """Say whether a standby has stopped receiving: no receiver, or no message for ``idle_for``.

    This is the proof that replication was cut before the promote; an RPO without it is UNPROVEN. An idle primary
    still sends a message each ``wal_sender_timeout / 2`` (30 s by default): ``idle_for`` must be longer.

    .. code-block:: yaml

        probe: sql.receiver_stopped
        with:
          dsn: secretsmanager:orders/standby-dsn
          idle_for: 5s
    """

    name: ClassVar[str] = "sql.receiver_stopped"
    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.REPLICATION_CUT})

    dsn: str = Field(
        min_length=1,
        description="Address of the standby, or a reference to a secret.",
        json_schema_extra={"secret": True},
    )
    idle_for: Duration = Field(default=timedelta(seconds=60), description="Silence that counts as cut.")

    def observe(self, aws: Aws) -> Observation:
        """Ask the standby once."""
        row = ask(
            aws,
            self.dsn,
            """
            SELECT count(*), min(status),
                   min(extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::float8)
              FROM pg_stat_wal_receiver
            """,
        )
        if isinstance(row, Observation):
            return row
        count, status, idle_s = row
        if count == 0:
            return Observation(ok=True, detail="the standby has no receiver: nothing arrives")
        if idle_s is None:
            return Observation(
                ok=None, detail=f"the receiver is {status or 'hidden from this user'}; its age is not known"
            )
        idle, limit_s = max(float(idle_s), 0.0), self.idle_for.total_seconds()
        detail = f"the receiver is {status}, its last message {show(idle)} old; {show(limit_s)} counts as cut"
        return Observation(ok=idle >= limit_s, detail=detail, value=Facts(idle_s=idle))


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
            return Observation(ok=None, detail=f"no answer: {_first_line(error)}", value=_state(error))
    return row if row is not None else Observation(ok=None, detail="no answer: an empty one")


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


def _state(error: Any) -> Facts:
    return Facts(sqlstate=error.sqlstate or "")
