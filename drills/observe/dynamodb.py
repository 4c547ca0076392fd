"""Markers in DynamoDB: one table, or a global table written in one region and read, consistently, in the other.

A table whose key is one string is asked for each marker by its id; one with a sort key holds a ledger under one key
and is read by a query. Neither scans the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from drills.aws.classify import mapped
from drills.aws.sessions import Accounts
from drills.errors import Refused, Rejected, Unanswered, WorkError
from drills.observe.aws_writes import outcome
from drills.observe.ledger import SEPARATOR, Answer, Found, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from drills.aws.place import Place
    from drills.observe.ledger import Ask, Spot

_IDS_A_CALL = 100
"""What BatchGetItem takes at most."""
_MOST_PAGES = 100_000
_MOST_LEFT = 50
"""Times that BatchGetItem may leave keys unanswered in a row."""
_WRITER, _SEQ, _PRIMARY, _SENT = "drills_writer", "drills_seq", "drills_primary", "drills_sent_ns"


@dataclass(frozen=True, slots=True)
class Shape:
    """The key of a table: its partition key, a string, and perhaps its sort key, a string or a number."""

    table: str
    partition: str
    sort: str = ""
    number: bool = False

    def key(self, row: Row) -> dict[str, Any]:
        """Give the key under which a marker stands."""
        if not self.sort:
            return {self.partition: {"S": row.id}}
        name = f"{row.writer}{SEPARATOR}{row.seq}"
        sort = {"N": str(row.sent)} if self.number else {"S": name}
        return {self.partition: {"S": _ledger(row.drill, row.store)}, self.sort: sort}


def _ledger(drill: str, store: str) -> str:
    return SEPARATOR.join(("drills", drill, store))


def identity(place: Place, table: str) -> str:
    """Name the replica of a table that executes what is sent to a region."""
    return f"dynamodb/{place.account}/{place.region}/{table}"


def writer(spot: Spot, timeout_s: float, lanes: int) -> DynamoWriter:
    """Open the side that is written."""
    client = Accounts().write(spot.site()).pinned("dynamodb", timeout_s, lanes)
    return DynamoWriter(spot, client)


def reader(spot: Spot, accounts: Accounts) -> DynamoReader:
    """Open the survivor's side."""
    return DynamoReader(spot, accounts.read(spot.site()).client("dynamodb"))


class DynamoWriter:
    """A table in the region that is written; its client serves all lanes."""

    def __init__(self, spot: Spot, client: DynamoDBClient) -> None:
        self._primary = self.shown = identity(spot.site(), spot.address)
        self._table = spot.address
        self._client = client
        self._shape = Shape(spot.address, "")

    def prepare(self) -> None:
        """Learn the table's key; ``Refused`` when there is no such table or markers do not fit it."""
        try:
            self._shape = shape(self._client, self._table)
        except WorkError as error:
            raise Refused(f"markers cannot be written to {self.shown}: {error}") from error

    def lane(self) -> DynamoWriter:
        """Give itself: the client is made for many threads."""
        return self

    def write(self, row: Row) -> Answer:
        """Put one item."""
        item: dict[str, Any] = {
            **self._shape.key(row),
            _WRITER: {"S": row.writer},
            _SEQ: {"N": str(row.seq)},
            _PRIMARY: {"S": self._primary},
            _SENT: {"N": str(row.sent)},
        }
        return outcome(lambda: self._client.put_item(TableName=self._table, Item=item), self._primary)

    def close(self) -> None:
        """Leave the client to the other lanes."""


class DynamoReader:
    """The table in the region that took over."""

    consumes: ClassVar[bool] = False

    def __init__(self, spot: Spot, client: DynamoDBClient) -> None:
        self.server = identity(spot.site(), spot.address)
        self._client = client
        self._shape = shape(client, spot.address)

    def batches(self, ask: Ask) -> Iterator[list[Found]]:
        """Read each marker by its key, or the ledger's partition page by page; both with ``ConsistentRead``."""
        with mapped(writes=False):
            yield from self._query(ask) if self._shape.sort else self._each(ask)

    def _query(self, ask: Ask) -> Iterator[list[Found]]:
        further: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            page = self._client.query(
                TableName=self._shape.table,
                ConsistentRead=True,
                KeyConditionExpression="#p = :ledger",
                ExpressionAttributeNames={"#p": self._shape.partition},
                ExpressionAttributeValues={":ledger": {"S": _ledger(ask.drill, ask.store)}},
                **further,
            )
            yield [_found(item) for item in page["Items"]]
            last = page.get("LastEvaluatedKey")
            if not last:
                return
            further = {"ExclusiveStartKey": last}
        raise Unanswered(f"more than {_MOST_PAGES} pages of markers")

    def _each(self, ask: Ask) -> Iterator[list[Found]]:
        keys = [self._shape.key(Row(ask.drill, ask.store, one.writer, one.seq, one.sent)) for one in ask.known]
        for first in range(0, len(keys), _IDS_A_CALL):
            yield self._get(keys[first : first + _IDS_A_CALL])

    def _get(self, keys: list[dict[str, Any]]) -> list[Found]:
        """Read up to 100 items; what a call leaves unanswered is asked for again."""
        found: list[Found] = []
        for _ in range(_MOST_LEFT):
            wanted: dict[str, Any] = {self._shape.table: {"Keys": keys, "ConsistentRead": True}}
            answer = self._client.batch_get_item(RequestItems=wanted)
            found += [_found(item) for item in answer["Responses"].get(self._shape.table, [])]
            left: Any = answer.get("UnprocessedKeys", {}).get(self._shape.table)
            if not left:
                return found
            keys = left["Keys"]
        raise Unanswered(f"BatchGetItem left keys unanswered {_MOST_LEFT} times in a row")

    def close(self) -> None:
        """Leave the client to its session."""


def shape(client: DynamoDBClient, table: str) -> Shape:
    """Ask for a table's key; ``Rejected`` when there is none, or its partition key is no string."""
    with mapped(writes=False):
        told = client.describe_table(TableName=table)["Table"]
    types = {one["AttributeName"]: one["AttributeType"] for one in told.get("AttributeDefinitions", [])}
    names = {one["KeyType"]: one["AttributeName"] for one in told.get("KeySchema", [])}
    partition, sort = names.get("HASH", ""), names.get("RANGE", "")
    if types.get(partition) != "S" or (sort and types.get(sort) not in ("S", "N")):
        raise Rejected(
            f"the key of table {table} takes no marker: its partition key must be a string, "
            "its sort key none, a string or a number"
        )
    return Shape(table, partition, sort, types.get(sort) == "N")


def _found(item: dict[str, Any]) -> Found:
    return Found(str(item[_WRITER]["S"]), int(item[_SEQ]["N"]), str(item[_PRIMARY]["S"]))
