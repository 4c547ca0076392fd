"""Which file keeps markers in which store, loaded when a drill writes there: each one's driver is its own affair."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol, cast

from drills.errors import Refused
from drills.timeline.stores import StoreKind

if TYPE_CHECKING:
    from drills.aws.sessions import Accounts
    from drills.observe.ledger import ReaderSide, Spot, WriterSide

MYSQL: Final = ("mysql", "mariadb")
POSTGRES: Final = ("postgresql", "postgres")
_MODULES: Final = {
    StoreKind.SQL: "mysql",  # PostgreSQL has a writer and a reader of its own
    StoreKind.DYNAMODB: "dynamodb",
    StoreKind.S3: "s3",
    StoreKind.SQS: "sqs",
    StoreKind.REDIS: "redis",
    StoreKind.HTTP: "http_pair",
}
_DRIVERS: Final = {StoreKind.SQL: ("pymysql", "mysql"), StoreKind.REDIS: ("redis", "redis")}
"""The optional drivers, each with the extra that installs it."""


class _Store(Protocol):
    def writer(self, spot: Spot, timeout_s: float, lanes: int) -> WriterSide: ...

    def reader(self, spot: Spot, accounts: Accounts) -> ReaderSide: ...


def is_postgres(spot: Spot) -> bool:
    """Say whether PostgreSQL's own writer and reader are meant; ``spot`` has its secrets revealed."""
    return spot.kind is StoreKind.SQL and spot.address.partition("://")[0] not in MYSQL


def check_address(spot: Spot) -> None:
    """Refuse an address that is not one of its store; ``spot`` has its secrets revealed."""
    scheme, separator, _ = spot.address.partition("://")
    wanted = {
        StoreKind.SQL: (*POSTGRES, *MYSQL),
        StoreKind.REDIS: ("redis", "rediss", "unix"),
        StoreKind.HTTP: ("http", "https"),
    }.get(spot.kind, ())
    if wanted and separator and scheme not in wanted:
        raise Refused(
            f"{spot.kind} markers cannot be kept at {scheme}://; write {', '.join(wanted[:-1])} or {wanted[-1]}"
        )
    if wanted and not separator and spot.kind is not StoreKind.SQL:
        raise Refused(f"{spot.kind} markers need a URL, as in {wanted[0]}://host")


def open_writer(spot: Spot, timeout_s: float, lanes: int) -> WriterSide:
    """Open the writer's side of a store, with room for ``lanes`` writes at once; ``Refused`` without its driver."""
    return _store(spot).writer(spot, timeout_s, lanes)


def open_reader(spot: Spot, accounts: Accounts) -> ReaderSide:
    """Open the survivor's side of a store; ``Refused`` without its driver, or a ``WorkError``."""
    return _store(spot).reader(spot, accounts)


def _store(spot: Spot) -> _Store:
    driver, extra = _DRIVERS.get(spot.kind, ("", ""))
    if driver and find_spec(driver) is None:
        raise Refused(f"markers in {extra} need a driver: pip install 'drills[{extra}]'")
    return cast("_Store", import_module(f"drills.observe.{_MODULES[spot.kind]}"))
