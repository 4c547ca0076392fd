"""Ask a PostgreSQL server what only it knows: whether it takes writes, whom it follows, and how far behind it is.

A ``dsn`` is a secret (``secretsmanager:orders/dsn``) or an address (``postgresql://probe@db.example.com/orders``).
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final, cast

from pydantic import Field, model_validator

from drills.durations import show
from drills.services.postgres import STARTING, Silent, ask, ask_only, connect, first_line, state_of, write_and_roll_back
from drills.services.spec import Duration, ProbeSpec, Told, Wrong, refuse
from drills.timeline.facts import Facts
from drills.work import Aws, Evidence, Observation

if TYPE_CHECKING:
    from typing import Self

SECRET_PERMISSIONS: Final = {"secretsmanager": ("secretsmanager:GetSecretValue",), "ssm": ("ssm:GetParameter",)}
"""The IAM action that reads a secret, by the scheme of its reference; one under a key of your own needs that too."""

MOST_SHOWN: Final = 100
"""Characters of a value that stand in an observation."""

_WAIT_STATEMENT: Final = "57014"


class OfServer(ProbeSpec):
    """One look at the server behind ``dsn``: it reads that secret, and needs leave for that alone."""

    varies: ClassVar[bool] = True
    permissions: ClassVar[tuple[str, ...]] = cast(
        "tuple[str, ...]", Told(lambda probe: SECRET_PERMISSIONS.get(probe.dsn.partition(":")[0], ()), ())
    )

    dsn: str = Field(
        min_length=1, description="PostgreSQL address, or a reference to a secret.", json_schema_extra={"secret": True}
    )


class OfStandby(OfServer):
    """One look at a standby."""

    dsn: str = Field(
        min_length=1,
        description="Address of the standby, or a reference to a secret.",
        json_schema_extra={"secret": True},
    )

    @staticmethod
    def not_streaming(recovering: object, status: object) -> Observation | None:
        """Say no of a server that follows nobody, by ``pg_is_in_recovery()`` and its receiver's status."""
        if not recovering:
            return Observation(ok=False, detail="the server is no standby: it is out of recovery")
        if status != "streaming":
            return Observation(ok=False, detail=f"the standby receives nothing ({status or 'no receiver'})")
        return None


class AcceptsWrites(OfServer):
    """Say whether a server takes writes: a row is really inserted, then rolled back.

    The row goes into ``drills_probe``, created within the same transaction where it is not there and the user may.
    A user who may not is asked for a transaction id instead, which a server in recovery or read-only refuses.

    .. code-block:: yaml

        probe: sql.accepts_writes
        with:
          dsn: secretsmanager:orders/dsn
    """

    name: ClassVar[str] = "sql.accepts_writes"

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
                return Observation(ok=False, detail=f"no write: {first_line(error)}", value=state_of(error))
        return Observation(ok=True, detail=f"writes are taken ({how})")


class WritesRefused(OfServer):
    """Say whether a server takes no writes: refused, silent, starting, or read-only. The proof of a fence.

    A server that answers but cannot be asked (a wrong password, no free connection) is no answer, and neither is a
    name that does not resolve: whoever knows the address might still write.

    .. code-block:: yaml

        probe: sql.writes_refused
        with:
          dsn: secretsmanager:orders/dsn
    """

    name: ClassVar[str] = "sql.writes_refused"

    def observe(self, aws: Aws) -> Observation:
        """Connect and try to write once."""
        import psycopg

        reached = connect(aws, self.dsn)
        if isinstance(reached, Silent):
            dead = not reached.unresolved and reached.sqlstate in ("", STARTING)
            return Observation(ok=True if dead else None, detail=f"no connection: {reached.why}")
        with closing(reached) as connection:
            try:
                how = write_and_roll_back(connection)
            except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.ObjectNotInPrerequisiteState) as error:
                return Observation(ok=True, detail=f"read-only: {first_line(error)}", value=state_of(error))
            except psycopg.Error as error:
                refused = error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
                ok = True if refused and error.sqlstate != _WAIT_STATEMENT else None
                return Observation(ok=ok, detail=f"no write: {first_line(error)}", value=state_of(error))
        return Observation(ok=False, detail=f"writes are still taken ({how})")


class Replicating(OfStandby):
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
    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.LAG})

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
        recovering, status, replay_s, wire_s = row
        if no := self.not_streaming(recovering, status):
            return no
        if replay_s is None or wire_s is None:
            return Observation(ok=None, detail="the standby streams, but does not say how far behind it is")
        lag_s = max(float(replay_s), float(wire_s), 0.0)
        limit_s = self.at_most.total_seconds()
        detail = f"the standby streams, {show(lag_s)} behind; {show(limit_s)} is accepted"
        return Observation(ok=lag_s <= limit_s, detail=detail, value=Facts(lag_s=lag_s))


class Query(OfServer):
    """Say whether one query gives what it should: the proof that a restored copy holds the data.

    The query is one statement that gives one value; it runs in a transaction that may only read. Without ``equals``
    and ``at_least`` the value must be true.

    .. code-block:: yaml

        probe: sql.query
        with:
          dsn: secretsmanager:orders/dsn
          query: SELECT count(*) FROM orders
          at_least: 1
    """

    name: ClassVar[str] = "sql.query"
    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.CONTENT_CHECKED})

    query: str = Field(min_length=1, max_length=10_000, description="One reading statement that gives one value.")
    equals: str | int | float | bool | None = Field(default=None, description="What the value must be.")
    at_least: float | None = Field(default=None, description="How large the value must be; instead of `equals`.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.equals is not None and self.at_least is not None:
            refuse(self.name, [Wrong(("at_least",), "`equals` and `at_least` exclude each other; leave one out")])
        return self

    def observe(self, aws: Aws) -> Observation:
        """Run the query once."""
        row = ask_only(aws, self.dsn, self.query)
        if isinstance(row, Observation):
            return row
        if len(row) != 1:
            return Observation(ok=None, detail=f"the query gives {len(row)} columns, and must give one value")
        value = row[0]
        shown = str(value)[:MOST_SHOWN]
        if self.at_least is not None:
            try:
                ok = float(value) >= self.at_least
            except (TypeError, ValueError):
                return Observation(ok=None, detail=f"the query gives {shown!r}, which is no number")
            return Observation(ok=ok, detail=f"the query gives {shown}; at least {self.at_least:g} is wanted")
        if self.equals is None:
            return Observation(ok=value is True, detail=f"the query gives {shown}; true is wanted")
        same = value == self.equals if isinstance(self.equals, bool | int | float) else str(value) == self.equals
        return Observation(ok=same, detail=f"the query gives {shown}; {self.equals} is wanted")


class ReceiverStopped(OfStandby):
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
