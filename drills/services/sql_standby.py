"""Ask PostgreSQL what a planned switchover stands on: a standby that holds everything, and a primary that has one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from drills.durations import show
from drills.services.postgres import ask
from drills.services.spec import Duration
from drills.services.sql import OfServer, OfStandby
from drills.timeline.facts import Facts
from drills.work import Observation

if TYPE_CHECKING:
    from drills.work import Aws

_ASK = """
SELECT pg_is_in_recovery(), receiver.status,
       coalesce(pg_last_wal_replay_lsn() >= receiver.latest_end_lsn, false),
       extract(epoch FROM receiver.last_msg_send_time - receiver.latest_end_time)::float8
  FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver AS receiver ON true
"""


_STANDBYS = """
SELECT pg_is_in_recovery(), count(sender.pid),
       min(extract(epoch FROM coalesce(sender.replay_lag, interval '0')))::float8
  FROM (SELECT 1) AS one LEFT JOIN pg_stat_replication AS sender
    ON sender.state = 'streaming' AND sender.replay_lsn IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM pg_replication_slots AS slot
                    WHERE slot.active_pid = sender.pid AND slot.slot_type = 'logical')
"""


class CaughtUp(OfStandby):
    """Say whether a standby has replayed all that a primary without new writes has written.

    It belongs behind the fence and ``sql.writes_refused``. The primary must have said, ``quiet_for`` after its log last
    grew, that there is nothing more: one that goes on writing never lets this say yes. Both moments are by its own
    clock, so the servers' clocks need not agree. An idle primary says so each ``wal_sender_timeout / 2`` or
    ``wal_receiver_timeout / 2``, whichever is shorter. ``quiet_for`` must be longer than the longest pause between two
    writes while writes were taken; the markers of the drill keep that pause short.

    .. code-block:: yaml

        probe: sql.caught_up
        with:
          dsn: secretsmanager:orders/standby-dsn
          quiet_for: 500ms
    """

    name: ClassVar[str] = "sql.caught_up"

    quiet_for: Duration = Field(default=timedelta(seconds=1), description="Silence of the log that counts as its end.")

    def observe(self, aws: Aws) -> Observation:
        """Ask the standby once."""
        row = ask(aws, self.dsn, _ASK)
        if isinstance(row, Observation):
            return row
        recovering, status, replayed, quiet_s = row
        if no := self.not_streaming(recovering, status):
            return no
        if quiet_s is None:
            return Observation(ok=None, detail="the standby streams, but does not say what it was last told")
        if not replayed:
            return Observation(ok=False, detail="the standby has not replayed all that it was told of")
        quiet, limit_s = max(float(quiet_s), 0.0), self.quiet_for.total_seconds()
        told = f"all is replayed, and the primary's log has been quiet for {show(quiet)}; {show(limit_s)} is asked for"
        return Observation(ok=quiet >= limit_s, detail=told, value=Facts(quiet_s=quiet))


class HasStandby(OfServer):
    """Say whether a primary has a standby that follows it, at most ``at_most`` behind: whether it is redundant.

    Asked of the primary, which always knows: a backup under way and a logical subscriber are no standby. The user
    must be allowed to see ``pg_stat_replication`` (``pg_monitor``).

    .. code-block:: yaml

        probe: sql.has_standby
        with:
          dsn: secretsmanager:orders/dsn
          at_most: 5s
    """

    name: ClassVar[str] = "sql.has_standby"

    dsn: str = Field(
        min_length=1,
        description="Address of the primary, or a reference to a secret.",
        json_schema_extra={"secret": True},
    )
    at_most: Duration = Field(description="The largest lag that is accepted.")

    def observe(self, aws: Aws) -> Observation:
        """Ask the primary once."""
        row = ask(aws, self.dsn, _STANDBYS)
        if isinstance(row, Observation):
            return row
        recovering, count, lag = row
        if recovering:
            return Observation(ok=False, detail="the server is in recovery: it is no primary")
        if not count:
            return Observation(ok=False, detail="no standby follows the primary")
        lag_s, limit_s = float(lag), self.at_most.total_seconds()
        told = f"{count} {'standby follows' if count == 1 else 'standbys follow'} the primary, {show(lag_s)} behind"
        detail = f"{told}; {show(limit_s)} is accepted"
        return Observation(ok=lag_s <= limit_s, detail=detail, value=Facts(standbys=count, lag_s=lag_s))
