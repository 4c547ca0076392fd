"""Ledgers of markers as a person writes them: one store each, where it is written, and where its survivor is read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, TypeAlias

import msgspec
from pydantic import ConfigDict, Field, model_validator

from drills.runbook.availability import ServedBy
from drills.runbook.fields import Name, Span, Text, Written
from drills.timeline.stores import ORDERED, StoreKind


class Sql(Written):
    """PostgreSQL (``postgresql://`` or a DSN) or MySQL (``mysql://``): the old primary, and the survivor."""

    write: Text
    read: Text


class Redis(Written):
    """Redis or Valkey by URL; with ``replicas`` a marker is acknowledged when so many replicas have confirmed it."""

    write: Text
    read: Text
    replicas: int = Field(default=0, ge=0, le=10)


class Http(Written):
    """Any two addresses: markers go to ``write`` as JSON; ``read`` gives the list, or each where it has ``{id}``."""

    write: Text
    read: Text
    method: Literal["POST", "PUT"] | None = None
    headers: dict[Name, Text] = Field(default_factory=dict)
    served_by: ServedBy | None = None


class InAws(Written):
    """A store in AWS: ``from``, ``to`` or a place of the environment, for the side that is written and the other."""

    write_at: Name = "from"
    read_at: Name = "to"


class Dynamodb(InAws):
    """A table; a global table has one name in both regions, a copy has its own: ``read_table``."""

    table: Text
    read_table: Text | None = None


class S3(InAws):
    """A bucket, and the one it is replicated to."""

    bucket: Text
    read_bucket: Text | None = None
    prefix: Text = "drills-markers/"


class Sqs(InAws):
    """A queue by name or URL, and the survivor's if that is another; nothing else may take messages from them."""

    queue: Text
    read_queue: Text | None = None


Store: TypeAlias = Sql | Redis | Http | Dynamodb | S3 | Sqs


def _one_store(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": [kind.value]} for kind in StoreKind]


class Side(msgspec.Struct, frozen=True):
    """One text of a ledger that may hold names: where it stands in the ledger, and whether it may be a secret."""

    where: tuple[str, ...]
    text: str
    secret: bool


class Sides(msgspec.Struct, frozen=True):
    """The two sides of a ledger, and where the text of each stands."""

    write: Side
    read: Side


class Data(Written):
    """One ledger of markers, in exactly one store.

    ``ordered``: the store keeps one ordered log, so that what is present bounds what is lost; true of SQL and Redis,
    and of others only if you say so. ``every_write``: nothing but the markers is written to it, so that each
    acknowledged write is compared. ``peak_per_s``: the writes a second that the real service makes at its peak,
    printed beside the rate that the drill exercised.
    """

    model_config = ConfigDict(json_schema_extra=_one_store)

    id: Name
    sql: Sql | None = None
    dynamodb: Dynamodb | None = None
    s3: S3 | None = None
    sqs: Sqs | None = None
    redis: Redis | None = None
    http: Http | None = None
    every: Span = timedelta(milliseconds=50)
    timeout: Span = timedelta(seconds=1)
    ordered: bool | None = None
    every_write: bool = False
    peak_per_s: float | None = Field(default=None, gt=0, le=1e9)

    @model_validator(mode="after")
    def _exactly_one_store(self) -> Data:
        given = [kind.value for kind in StoreKind if getattr(self, kind) is not None]
        if len(given) != 1:
            told = f"has {' and '.join(given)}" if given else "names no store"
            raise ValueError(f"{told}; write exactly one of {', '.join(StoreKind)}")
        return self

    @property
    def kind(self) -> StoreKind:
        """The kind of its store."""
        return next(kind for kind in StoreKind if getattr(self, kind) is not None)

    @property
    def is_ordered(self) -> bool:
        """Whether it is one ordered log: as declared, else as such a store is."""
        return self.kind in ORDERED if self.ordered is None else self.ordered

    def sides(self) -> Sides:
        """Give both addresses."""
        store: Store = getattr(self, self.kind)
        match store:
            case Sql() | Redis() | Http():
                return Sides(self._side("write", store.write), self._side("read", store.read))
            case Dynamodb():
                return self._named("table", store.table, store.read_table)
            case S3():
                return self._named("bucket", store.bucket, store.read_bucket)
            case Sqs():
                return self._named("queue", store.queue, store.read_queue)

    def headers(self) -> tuple[tuple[str, Side], ...]:
        """Give the HTTP headers of a marker, by name."""
        if self.http is None:
            return ()
        return tuple(
            (name, Side(("http", "headers", name), text, secret=True)) for name, text in self.http.headers.items()
        )

    def _side(self, field: str, text: str) -> Side:
        return Side((self.kind.value, field), text, secret=True)

    def _named(self, field: str, write: str, read: str | None) -> Sides:
        """Give the sides of a store in AWS; without a name of its own the survivor bears the same."""
        own = (self.kind.value, field if read is None else f"read_{field}")
        return Sides(
            Side((self.kind.value, field), write, secret=False),
            Side(own, write if read is None else read, secret=False),
        )
