"""Markers in SQS: a message for each, sent to one queue and taken from the survivor's (often the same, or fed by it).

Reading a queue is taking from it: each batch is on disk before it is deleted, and later readings add to earlier
ones. Messages of others go back. The queue must have no other consumer: what that one takes counts as lost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

from drills.aws.classify import mapped
from drills.aws.sessions import Accounts
from drills.errors import Refused, Unanswered, WorkError
from drills.observe.aws_writes import outcome
from drills.observe.ledger import SEPARATOR, Answer, Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from drills.aws.place import Place
    from drills.observe.ledger import Ask, Row, Spot

_FIFO = ".fifo"
_A_BATCH = 10
_MOST_RECEIVES = 50_000
_EMPTY_IN_A_ROW = 2
"""Long polls that found nothing, after which a queue is taken as empty if its own count agrees."""
_LONG_POLL_S = 1
_HELD_S = 120
"""How long what was received stays hidden from others; what is not ours is given back at the end."""
_COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def identity(place: Place, queue: str) -> str:
    """Name a queue in its region."""
    return f"sqs/{place.account}/{place.region}/{queue.rpartition('/')[2]}"


def writer(spot: Spot, timeout_s: float, lanes: int) -> SqsWriter:
    """Open the queue that is written."""
    return SqsWriter(spot, Accounts().write(spot.site()).pinned("sqs", timeout_s, lanes))


def reader(spot: Spot, accounts: Accounts) -> SqsReader:
    """Open the survivor's queue; taking from it is a write."""
    return SqsReader(spot, accounts.write(spot.site()).client("sqs"))


class SqsWriter:
    """The queue that is written; its client serves all lanes."""

    def __init__(self, spot: Spot, client: SQSClient) -> None:
        self._primary = self.shown = identity(spot.site(), spot.address)
        self._queue = spot.address
        self._url = ""
        self._client = client

    def prepare(self) -> None:
        """Find the queue; ``Refused`` when there is none of that name."""
        try:
            self._url = url_of(self._client, self._queue)
        except WorkError as error:
            raise Refused(f"markers cannot be sent to {self.shown}: {error}") from error

    def lane(self) -> SqsWriter:
        """Give itself: the client is made for many threads."""
        return self

    def write(self, row: Row) -> Answer:
        """Send one message."""
        fifo: dict[str, Any] = {}
        if self._url.endswith(_FIFO):
            fifo = {"MessageGroupId": _group(row.drill, row.store), "MessageDeduplicationId": row.id}
        body = json.dumps({"drills": row.id, "primary": self._primary, "sent_ns": row.sent})
        return outcome(lambda: self._client.send_message(QueueUrl=self._url, MessageBody=body, **fifo), self._primary)

    def close(self) -> None:
        """Leave the client to the other lanes."""


class SqsReader:
    """The survivor's queue."""

    consumes: ClassVar[bool] = True

    def __init__(self, spot: Spot, client: SQSClient) -> None:
        self.server = identity(spot.site(), spot.address)
        self._client = client
        self._url = url_of(client, spot.address)
        self._strangers: dict[str, str] = {}

    def batches(self, ask: Ask) -> Iterator[list[Found]]:
        """Take this ledger's messages out until the queue has no more; delete each batch once it is kept."""
        empty = 0
        with mapped(writes=False):
            try:
                for _ in range(_MOST_RECEIVES):
                    messages = self._receive()
                    found, ours = self._ours(messages, ask)
                    yield found
                    self._delete(ours)
                    empty = 0 if messages else empty + 1
                    if empty >= _EMPTY_IN_A_ROW:
                        self._require_empty()
                        return
            finally:
                self._give_back()
        raise Unanswered(f"more than {_MOST_RECEIVES} batches of messages")

    def _receive(self) -> list[MessageTypeDef]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=_A_BATCH,
            VisibilityTimeout=_HELD_S,
            WaitTimeSeconds=_LONG_POLL_S,
        )
        return answer.get("Messages", [])

    def _ours(self, messages: list[MessageTypeDef], ask: Ask) -> tuple[list[Found], list[str]]:
        """Tell this ledger's messages from others; give what they say, and the handles to delete them by."""
        found: list[Found] = []
        handles: list[str] = []
        for message in messages:
            handle = message.get("ReceiptHandle", "")
            one = _found(message.get("Body", ""), ask)
            if one is None:
                self._strangers[message.get("MessageId", handle)] = handle
            else:
                found.append(one)
                handles.append(handle)
        return found, handles

    def _delete(self, handles: list[str]) -> None:
        if handles:
            self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(number), "ReceiptHandle": one} for number, one in enumerate(handles)],
            )

    def _give_back(self) -> None:
        """Show the messages of others again at once, and not only when their time has passed."""
        handles = list(self._strangers.values())
        for first in range(0, len(handles), _A_BATCH):
            self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": one, "VisibilityTimeout": 0}
                    for number, one in enumerate(handles[first : first + _A_BATCH])
                ],
            )
        self._strangers.clear()

    def _require_empty(self) -> None:
        """Ask the queue for its own counts: what is on its way or in other hands was not read."""
        told = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=list(_COUNTS))["Attributes"]
        visible, hidden, delayed = (int(told.get(name, "0")) for name in _COUNTS)
        others = max(0, hidden - len(self._strangers))
        if visible or delayed or others:
            raise Unanswered(
                f"the queue counts {visible} messages more, {delayed} delayed and {others} in other hands: "
                "not all of it was read"
            )

    def close(self) -> None:
        """Leave the client to its session."""


def url_of(client: SQSClient, queue: str) -> str:
    """Give the URL of a queue named by its name or its URL."""
    if queue.startswith(("http://", "https://")):
        return queue
    with mapped(writes=False):
        return client.get_queue_url(QueueName=queue)["QueueUrl"]


def _group(drill: str, store: str) -> str:
    return f"{drill}{SEPARATOR}{store}"


def _found(body: str, ask: Ask) -> Found | None:
    try:
        told: Any = json.loads(body)
        key = ask.key(str(told["drills"]))
        return Found(*key, str(told["primary"])) if key else None
    except (ValueError, TypeError, KeyError):  # somebody else's message
        return None
