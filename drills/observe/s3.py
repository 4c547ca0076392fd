"""Markers in S3: an object for each, written to one bucket, listed in the other (its replica, in another region).

The key says everything, so that a listing suffices: PREFIX DRILL/STORE/EXECUTOR/WRITER~NUMBER. Replication between
buckets keeps no order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drills.aws.classify import mapped
from drills.aws.sessions import Accounts
from drills.errors import Refused, Unanswered, WorkError
from drills.observe.aws_writes import outcome
from drills.observe.ledger import SEPARATOR, Answer, Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from drills.aws.place import Place
    from drills.observe.ledger import Ask, Row, Spot

PREFIX = "drills-markers/"
_MOST_PAGES = 20_000


def identity(place: Place, bucket: str) -> str:
    """Name a bucket where it was written to; without a slash, for it is a part of the key."""
    return f"s3:{place.region}:{bucket}"


def writer(spot: Spot, timeout_s: float, lanes: int) -> S3Writer:
    """Open the bucket that is written."""
    return S3Writer(spot, Accounts().write(spot.site()).pinned("s3", timeout_s, lanes))


def reader(spot: Spot, accounts: Accounts) -> S3Reader:
    """Open the survivor's bucket."""
    return S3Reader(spot, accounts.read(spot.site()).client("s3"))


class S3Writer:
    """The bucket that is written; its client serves all lanes."""

    def __init__(self, spot: Spot, client: S3Client) -> None:
        self.shown = f"s3://{spot.address} in {spot.site().region}"
        self._bucket = spot.address
        self._prefix = spot.options.prefix or PREFIX
        self._primary = identity(spot.site(), spot.address)
        self._client = client

    def prepare(self) -> None:
        """See that the bucket is there, and in this region; ``Refused`` when not."""
        try:
            _look(self._client, self._bucket)
        except WorkError as error:
            raise Refused(f"markers cannot be written to {self.shown}: {error}") from error

    def lane(self) -> S3Writer:
        """Give itself: the client is made for many threads."""
        return self

    def write(self, row: Row) -> Answer:
        """Put one object."""
        key = f"{self._prefix}{row.drill}/{row.store}/{self._primary}/{row.writer}{SEPARATOR}{row.seq}"
        body = str(row.sent).encode()
        return outcome(lambda: self._client.put_object(Bucket=self._bucket, Key=key, Body=body), self._primary)

    def close(self) -> None:
        """Leave the client to the other lanes."""


class S3Reader:
    """The survivor's bucket: a listing is strongly consistent."""

    consumes: ClassVar[bool] = False

    def __init__(self, spot: Spot, client: S3Client) -> None:
        self.server = identity(spot.site(), spot.address)
        self._bucket = spot.address
        self._prefix = spot.options.prefix or PREFIX
        self._client = client
        _look(client, self._bucket)

    def batches(self, ask: Ask) -> Iterator[list[Found]]:
        """List all keys of the ledger, a thousand a page."""
        prefix = f"{self._prefix}{ask.drill}/{ask.store}/"
        further: dict[str, Any] = {}
        with mapped(writes=False):
            for _ in range(_MOST_PAGES):
                page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **further)
                yield [_found(one.get("Key", "").removeprefix(prefix)) for one in page.get("Contents", [])]
                if not page.get("NextContinuationToken"):
                    return
                further = {"ContinuationToken": page["NextContinuationToken"]}
        raise Unanswered(f"more than {_MOST_PAGES} pages of markers")

    def close(self) -> None:
        """Leave the client to its session."""


def _look(client: S3Client, bucket: str) -> None:
    with mapped(writes=False):
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)


def _found(name: str) -> Found:
    executor, _, marker = name.partition("/")
    who, _, seq = marker.rpartition(SEPARATOR)
    return Found(who, int(seq), executor)
