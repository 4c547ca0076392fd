"""The application of a site: one small HTTP process an instance.

``GET /capacity`` answers 200 with how many instances of the site committed a write within the last second
(``healthy``): each writes by itself four times in that time.

``GET /healthz`` and ``GET /`` answer 200 only after a write to the site's database that began after the request came
in; otherwise 503 with the reason. ``POST /orders`` inserts an order and answers 201 with its id. Each answer names site
and instance in ``X-Drills-Site`` and ``X-Drills-Instance``. SIGTERM lets requests in flight end, then exits.
"""

from __future__ import annotations

import select
import signal
import socket
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import asyncio

    from aiohttp.web import Application, Request, Response
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow

_ANSWER_S = 0.75  # within this a request is answered, whatever the database does
_ORDERS_AT_ONCE = 4
_BODY_BYTES = 1 << 16
_DRAIN_S = 2.0
_BEAT = """
INSERT INTO heartbeats (site, instance, beats, at) VALUES (%s, %s, 1, clock_timestamp())
ON CONFLICT (site, instance) DO UPDATE SET beats = heartbeats.beats + 1, at = excluded.at
RETURNING beats
"""
_HEALTHY = "SELECT count(*) FROM heartbeats WHERE site = %s AND at > clock_timestamp() - interval '1 second'"
_BEAT_EVERY_S = 0.25
_ORDER = "INSERT INTO orders (item, quantity, site, instance) VALUES (%s, %s, %s, %s) RETURNING id"


class Config(msgspec.Struct, frozen=True):
    """Which instance this is, the address it listens on (any free port) and its database."""

    site: str
    instance: str
    host: str
    dsn: str


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a customer sends."""

    item: str = "book"
    quantity: int = 1


class _NoDatabase(Exception):
    """The database did not do it in time, or said no; the text is the reason."""


class _Session:
    """One database connection, opened when it is needed and again after it broke."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: AsyncConnection[TupleRow] | None = None

    async def number(self, statement: str, values: tuple[object, ...], until: float) -> int:
        """Run one statement of one number and commit it; ``_NoDatabase`` when that is not sure by ``until``.

        A statement that is not answered in time is not cancelled at the server: cancelling a commit that waits for a
        synchronous standby would make PostgreSQL report it as done. The connection is cut instead.
        """
        import asyncio

        import psycopg

        try:
            connection = await asyncio.wait_for(self._open(), max(0.0, until - time.monotonic()))
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise _NoDatabase(f"no connection: {_sentence(error)}") from error
        work = asyncio.ensure_future(_one(connection, statement, values))
        await asyncio.wait({work}, timeout=max(0.0, until - time.monotonic()))
        in_time = work.done()
        if not in_time:
            _cut(connection)
        try:
            found = await work
        except (psycopg.Error, OSError) as error:
            if connection.closed or connection.broken or not in_time:
                await self._drop()
            reason = _sentence(error) if in_time else "the database did not answer in time"
            raise _NoDatabase(reason) from error
        return found

    async def _open(self) -> AsyncConnection[TupleRow]:
        import psycopg

        if self._connection is not None and _hung_up(self._connection):
            await self._drop()
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True, prepare_threshold=1)
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _one(connection: AsyncConnection[TupleRow], statement: str, values: tuple[object, ...]) -> int:
    cursor = await connection.execute(statement, values)  # pyright: ignore[reportArgumentType] - a constant above
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def _hung_up(connection: AsyncConnection[TupleRow]) -> bool:
    """Whether the server closed an idle connection: only its end (or its farewell) makes it readable."""
    if connection.closed or connection.broken:
        return True
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def _cut(connection: AsyncConnection[TupleRow]) -> None:
    """Shut the socket under a statement that does not end; the waiting task then fails at once."""
    if not connection.closed:
        with socket.socket(fileno=socket.dup(connection.fileno())) as held:
            held.shutdown(socket.SHUT_RDWR)


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class _Heart:
    """The write behind ``/healthz``: one at a time, and each answers all requests that came before it began."""

    def __init__(self, config: Config) -> None:
        import asyncio

        self._config = config
        self._session = _Session(config.dsn)
        self._looks = _Session(config.dsn)
        self._waiting: list[asyncio.Future[str]] = []
        self._wanted = asyncio.Event()

    async def beat(self) -> str:
        """Wait for a write that begins now or later; return why not, or nothing when it was committed."""
        import asyncio

        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._wanted.set()
        try:
            return await asyncio.wait_for(answer, _ANSWER_S)
        except TimeoutError:
            return f"the database did not commit a write within {_ANSWER_S:g} s"

    async def run(self) -> None:
        """Write as long as somebody asks."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            reason = await self._write()
            for answer in waiting:
                if not answer.done():
                    answer.set_result(reason)

    async def _write(self) -> str:
        until = time.monotonic() + _ANSWER_S
        try:
            await self._session.number(_BEAT, (self._config.site, self._config.instance), until)
        except _NoDatabase as error:
            return str(error)
        return ""

    async def keep_beating(self) -> None:
        """Write four times a second, so that the site knows how many of its instances can."""
        import asyncio

        while True:
            await self.beat()
            await asyncio.sleep(_BEAT_EVERY_S)

    async def healthy(self) -> int:
        """Count the instances of this site that committed a write within the last second."""
        return await self._looks.number(_HEALTHY, (self._config.site,), time.monotonic() + _ANSWER_S)


class _Shop:
    """The orders; at most four at once, each on a connection of its own."""

    def __init__(self, config: Config) -> None:
        import asyncio

        self._config = config
        self._idle = [_Session(config.dsn) for _ in range(_ORDERS_AT_ONCE)]
        self._free = asyncio.Semaphore(_ORDERS_AT_ONCE)

    async def order(self, order: Order) -> int:
        """Insert an order and return its id; ``_NoDatabase`` when it is not known to be there."""
        import asyncio

        until = time.monotonic() + _ANSWER_S
        try:
            await asyncio.wait_for(self._free.acquire(), _ANSWER_S)
        except TimeoutError as error:
            raise _NoDatabase("too many orders wait for the database") from error
        session = self._idle.pop()
        try:
            values = (order.item, order.quantity, self._config.site, self._config.instance)
            return await session.number(_ORDER, values, until)
        finally:
            self._idle.append(session)
            self._free.release()


def _routes(config: Config, heart: _Heart, shop: _Shop) -> Application:
    import asyncio

    from aiohttp import web

    looking = asyncio.Lock()

    def answer(status: int, **told: str | int) -> Response:
        head = {"X-Drills-Site": config.site, "X-Drills-Instance": config.instance, "Cache-Control": "no-store"}
        return web.json_response(
            {"site": config.site, "instance": config.instance, **told}, status=status, headers=head
        )

    async def health(_: Request) -> Response:
        reason = await heart.beat()
        return answer(503, reason=reason) if reason else answer(200)

    async def capacity(_: Request) -> Response:
        async with looking:
            try:
                return answer(200, healthy=await heart.healthy())
            except _NoDatabase as error:
                return answer(503, reason=str(error))

    async def order(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.read() or b"{}", type=Order)
        except msgspec.MsgspecError as error:
            return answer(400, reason=f"not an order: {error}")
        try:
            return answer(201, id=await shop.order(wanted))
        except _NoDatabase as error:
            return answer(503, reason=str(error))

    found = web.Application(client_max_size=_BODY_BYTES)
    found.router.add_get("/", health)
    found.router.add_get("/healthz", health)
    found.router.add_get("/capacity", capacity)
    found.router.add_post("/orders", order)
    return found


def main(config: Config, control: socket.socket) -> None:
    """Run the instance until SIGTERM, or until its line ends."""
    import asyncio

    asyncio.run(_run(config, control))


async def _run(config: Config, control: socket.socket) -> None:
    import asyncio

    from aiohttp import web

    from drills.sandbox.line import Answer, Ready, encode

    loop = asyncio.get_running_loop()
    leave = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, leave.set)
    heart, shop = _Heart(config), _Shop(config)
    beating = [asyncio.create_task(heart.run()), asyncio.create_task(heart.keep_beating())]
    runner = web.AppRunner(_routes(config, heart, shop), access_log=None, shutdown_timeout=_DRAIN_S)
    await runner.setup()
    listening = socket.create_server((config.host, 0), backlog=128)
    await web.SockSite(runner, listening).start()
    control.settimeout(0)
    await loop.sock_sendall(control, msgspec.json.encode(Answer(0, "", encode(Ready(listening.getsockname()[1])))))
    loop.add_reader(control, leave.set)  # the world says nothing more to an instance: readable is its end
    await leave.wait()
    await runner.cleanup()
    for task in beating:
        task.cancel()
