"""One pinned connection to one server, over which numbered writes go out without waiting for answers.

libpq's pipeline mode with a Sync after each write: every write is a transaction of its own, they are executed in
the order of their numbers, and the Sync's answer comes after the commit. Nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, LiteralString

from drills.observe.process import now
from drills.timeline.samples import Marker

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg.pq.abc import PGconn, PGresult

_STATEMENT: LiteralString = "drills_marker"
_MAY_HAVE_HAPPENED = ("08", "57P", "58", "XX", "F0", "40003")
"""SQLSTATEs after which a write may have happened: connection, shutdown or crash, system, statement unknown."""


class Pipeline:
    """Sends markers and tells ``keep`` of each one once: acked, refused, or (``lost``) without an answer."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        keep: Callable[[Marker], None],
        lost: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._pg: PGconn = connection.pgconn
        self._keep = keep
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._socket = self._pg.socket
        self._open: deque[Marker] = deque()
        self._answer: tuple[bool | None, str] = (None, "")
        self._writing = False
        self.drained = asyncio.Event()
        """Set while no marker is without an answer."""
        self.drained.set()

    async def begin(self, statement: LiteralString) -> None:
        """Prepare the statement and take over the connection's socket."""
        await self._connection.execute(f"PREPARE {_STATEMENT} (text, text, text, bigint, bigint) AS " + statement)
        pg = self._pg
        pg.nonblocking = 1
        pg.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)

    @property
    def unanswered(self) -> tuple[Marker, ...]:
        """The markers that were sent and have no answer yet, oldest first."""
        return tuple(self._open)

    @property
    def oldest_sent(self) -> int | None:
        """When the oldest marker without an answer was sent."""
        return self._open[0].sent if self._open else None

    def __len__(self) -> int:
        return len(self._open)

    def send(self, marker: Marker, parameters: list[bytes]) -> None:
        """Send one marker; from here on it may happen, whatever this call meets."""
        import psycopg

        self._open.append(marker)
        self.drained.clear()
        try:
            self._pg.send_query_prepared(_STATEMENT.encode(), parameters)
            self._pg.pipeline_sync()
            self._flush()
        except psycopg.Error as error:
            self._lost(f"could not send: {error}")

    def _flush(self) -> None:
        more = self._pg.flush() == 1
        if more and not self._writing:
            self._loop.add_writer(self._socket, self._writable)
        elif self._writing and not more:
            self._loop.remove_writer(self._socket)
        self._writing = more

    def _writable(self) -> None:
        import psycopg

        try:
            self._flush()
        except psycopg.Error as error:
            self._lost(f"could not send: {error}")

    def _readable(self) -> None:
        import psycopg

        try:
            self._pg.consume_input()
            self._flush()
            self._take_answers()
        except psycopg.Error as error:
            self._lost(f"the connection broke: {error}")

    def _take_answers(self) -> None:
        """Take what has arrived; a marker is answered by its Sync, after the commit."""
        from psycopg.pq import ConnStatus, ExecStatus

        nothing = 0
        while nothing < 2 and self._open and not self._pg.is_busy():  # noqa: PLR2004 - one None ends a command, two the input
            result = self._pg.get_result()
            if result is None:
                nothing += 1
                continue
            nothing = 0
            if result.status == ExecStatus.PIPELINE_SYNC:
                acked, primary = self._answer
                self._answer = (None, "")
                self._finish(acked=acked, primary=primary)
            elif result.status == ExecStatus.TUPLES_OK:
                self._answer = (True, (result.get_value(0, 0) or b"").decode())
            elif result.status == ExecStatus.FATAL_ERROR:
                self._answer = (_refusal(result), "")
        if self._pg.status != ConnStatus.OK:
            self._lost("the server closed the connection")

    def _finish(self, *, acked: bool | None, primary: str) -> None:
        marker = self._open.popleft()
        if not self._open:
            self.drained.set()
        self._keep(Marker(marker.writer, marker.seq, marker.sent, now(), acked, primary))

    async def close(self) -> None:
        """Drop the connection at once; every marker still open is indeterminate."""
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        while self._open:
            self._finish(acked=None, primary="")
        self._pg.finish()
        await self._connection.close()


def _refusal(result: PGresult) -> bool | None:
    """Read an error: False, the write did not happen; None, it may have."""
    from psycopg.pq import DiagnosticField

    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
    return None if not state or state.startswith(_MAY_HAVE_HAPPENED) else False
