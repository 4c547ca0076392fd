"""Markers in Redis or Valkey: one hash for each ledger, a field for each marker, written on the primary only.

Replication is asynchronous: an acknowledged marker may die with the primary. With ``replicas: N`` a marker counts as
acknowledged only when WAIT has heard of it from N replicas; else it is indeterminate, because the primary has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drills.errors import Refused, Rejected, Unanswered
from drills.observe.ledger import SEPARATOR, Answer, Found, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.aws.sessions import Accounts
    from drills.observe.ledger import Ask, Row, Spot

CONNECT_S, READ_S = 5.0, 10.0
_PAGE = 2_000
_MOST_PAGES = 100_000
_WAIT_SHARE = 0.8
"""Of the timeout, so that WAIT answers before the client gives up."""


def hash_of(drill: str, store: str) -> str:
    """Name the hash in which a ledger is kept; in a cluster all of it lies in one slot."""
    return f"drills:{{{drill}{SEPARATOR}{store}}}"


def writer(spot: Spot, timeout_s: float, lanes: int) -> RedisWriter:
    """Open the primary's side."""
    del lanes
    return RedisWriter(spot, timeout_s)


def reader(spot: Spot, accounts: Accounts) -> RedisReader:
    """Open the survivor's side."""
    del accounts
    return RedisReader(spot)


class RedisWriter:
    """The primary."""

    def __init__(self, spot: Spot, timeout_s: float) -> None:
        self.shown = without_secrets(spot.address)
        self._spot = spot
        self._timeout_s = timeout_s

    def prepare(self) -> None:
        """See that a primary answers; ``Refused`` if it is a replica, or nobody does."""
        import redis

        try:
            connection = connected(self._spot.address, self._timeout_s)
            try:
                _require_primary(connection)
            finally:
                connection.close()
        except (redis.RedisError, OSError, ValueError, Rejected) as error:
            raise Refused(f"markers cannot be written to {self.shown}: {error}") from error

    def lane(self) -> RedisLane:
        """Give one more connection."""
        return RedisLane(self._spot, self._timeout_s)


class RedisLane:
    """One connection to the primary."""

    def __init__(self, spot: Spot, timeout_s: float) -> None:
        self._spot = spot
        self._timeout_s = timeout_s
        self._connection: Any = None
        self._identity = ""

    def write(self, row: Row) -> Answer:
        """Write one marker, and wait for its replicas where that was asked for."""
        import redis

        try:
            if self._connection is None:
                connection = connected(self._spot.address, self._timeout_s)
                self._identity = identity(connection, self._spot.address)
                self._connection = connection
        except (redis.RedisError, OSError) as error:
            return Answer(acked=False, why=f"cannot connect: {error}")
        try:
            key = hash_of(row.drill, row.store)
            self._connection.hset(key, f"{row.writer}{SEPARATOR}{row.seq}", self._identity)
            wanted = self._spot.options.replicas
            if wanted:
                heard = int(self._connection.wait(wanted, round(self._timeout_s * 1000 * _WAIT_SHARE)))
                if heard < wanted:
                    return Answer(None, why=f"{heard} of {wanted} replicas confirmed it")
        except redis.ResponseError as error:  # READONLY, NOREPLICAS, OOM, NOPERM: answered, and not done
            return Answer(acked=False, why=str(error))
        except (redis.RedisError, OSError) as error:
            self.close()
            return Answer(None, why=f"no answer: {error}")
        return Answer(acked=True, primary=self._identity)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class RedisReader:
    """The survivor: it must be a primary, for what a replica shows may grow."""

    consumes: ClassVar[bool] = False

    def __init__(self, spot: Spot) -> None:
        import redis

        try:
            self._connection = connected(spot.address, READ_S, CONNECT_S)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise Unanswered(f"the survivor gave no answer: {error}") from error
        except (redis.RedisError, ValueError) as error:
            raise Rejected(f"the survivor refused to be read: {error}") from error
        try:
            _require_primary(self._connection)
            self.server = identity(self._connection, spot.address)
        except BaseException:
            self._connection.close()
            raise

    def batches(self, ask: Ask) -> Iterator[list[Found]]:
        """Scan the ledger's hash; what is in it all the while is found."""
        import redis

        key, cursor = hash_of(ask.drill, ask.store), 0
        try:
            for _ in range(_MOST_PAGES):
                cursor, fields = self._connection.hscan(key, cursor, count=_PAGE)
                found: list[Found] = []
                for name, value in fields.items():
                    who, _, seq = name.rpartition(SEPARATOR)
                    found.append(Found(who, int(seq), value))
                yield found
                if cursor == 0:
                    return
        except (redis.RedisError, OSError) as error:
            raise Unanswered(f"the survivor stopped answering: {error}") from error
        raise Unanswered(f"more than {_MOST_PAGES} pages of markers")

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()


def connected(url: str, timeout_s: float, connect_s: float | None = None) -> Any:
    """Connect, and never send anything a second time: redis-py's own default would, three times."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    made: Any = redis.Redis
    client = made.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_s or timeout_s,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        single_connection_client=True,
    )
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    return client


def identity(connection: Any, url: str) -> str:
    """Name the server by its own address: it stays through a restart, and differs behind one name after a failover."""
    import redis

    try:
        address = str(connection.client_info().get("laddr", ""))
    except redis.ResponseError:  # before 6.2, or not permitted
        address = ""
    return f"redis/{address or without_secrets(url)}"


def _require_primary(connection: Any) -> None:
    info = connection.info("replication")
    if info.get("role") != "master":
        raise Rejected("the server is still a replica: it takes no markers, and what it shows may grow")
