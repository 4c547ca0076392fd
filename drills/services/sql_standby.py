"""Ask a PostgreSQL standby whether a planned switchover may take place: whether it holds all that its primary wrote."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from drills.durations import show
from drills.services.postgres import ask
from drills.services.spec import Duration
from drills.services.sql import OfServer
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


class CaughtUp(OfServer):
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

    dsn: str = Field(
        min_length=1,
        description="Address of the standby, or a reference to a secret.",
        json_schema_extra={"secret": True},
    )
    quiet_for: Duration = Field(default=timedelta(seconds=1), description="Silence of the log that counts as its end.")

    def observe(self, aws: Aws) -> Observation:
        """Ask the standby once."""
        row = ask(aws, self.dsn, _ASK)
        if isinstance(row, Observation):
            return row
        standby, status, replayed, quiet_s = row
        if not standby:
            return Observation(ok=False, detail="the server is no standby: it is out of recovery")
        if status != "streaming":
            return Observation(ok=False, detail=f"the standby receives nothing ({status or 'no receiver'})")
        if quiet_s is None:
            return Observation(ok=None, detail="the standby streams, but does not say what it was last told")
        if not replayed:
            return Observation(ok=False, detail="the standby has not replayed all that it was told of")
        quiet, limit_s = max(float(quiet_s), 0.0), self.quiet_for.total_seconds()
        told = f"all is replayed, and the primary's log has been quiet for {show(quiet)}; {show(limit_s)} is asked for"
        return Observation(ok=quiet >= limit_s, detail=told, value=Facts(quiet_s=quiet))
