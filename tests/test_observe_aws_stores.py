"""Marker ledgers in DynamoDB, S3 and SQS, against moto as a server: two regions between which the test replicates."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from observe_world import wait_until
from stores_world import Aws, Drill, Key, drilling, moment, moto_process

from drills.errors import Refused
from drills.observe.ledger import Spot
from drills.timeline.stores import StoreKind

EAST, WEST = "us-east-1", "us-west-2"
Keep = Callable[[Key], bool]


@pytest.fixture(scope="module")
def aws() -> Generator[Aws]:
    with moto_process() as endpoint:
        yield Aws(endpoint)


@dataclass
class Store:
    """One kind of store in two regions, and how the test itself looks into it and replicates it."""

    write: Spot
    read: Spot
    keys: Callable[[str], set[Key]]
    """What a region has, read by none of the project's code."""
    copy: Callable[[Keep], None]
    """Replicate from east to west what is let through."""


def dynamodb(aws: Aws, sort: str = "") -> Store:
    name = f"orders-{uuid4().hex[:8]}"
    keys = [("pk", "HASH", "S")] + ([("sk", "RANGE", sort)] if sort else [])
    for region in (EAST, WEST):
        aws.client("dynamodb", region).create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind, _ in keys],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": one} for key, _, one in keys],
            BillingMode="PAY_PER_REQUEST",
        )

    def items(region: str) -> list[Any]:
        pages = aws.client("dynamodb", region).get_paginator("scan").paginate(TableName=name)
        return [item for page in pages for item in page["Items"]]

    def key(item: Any) -> Key:
        return item["drills_writer"]["S"], int(item["drills_seq"]["N"])

    def copy(keep: Keep) -> None:
        west = aws.client("dynamodb", WEST)
        for item in items(EAST):
            if keep(key(item)):
                west.put_item(TableName=name, Item=item)

    write, read = aws.spots(StoreKind.DYNAMODB, name, name)
    return Store(write, read, lambda region: {key(item) for item in items(region)}, copy)


def s3(aws: Aws) -> Store:
    names = {region: f"orders-{region}-{uuid4().hex[:8]}" for region in (EAST, WEST)}
    aws.client("s3", EAST).create_bucket(Bucket=names[EAST])
    aws.client("s3", WEST).create_bucket(Bucket=names[WEST], CreateBucketConfiguration={"LocationConstraint": WEST})

    def objects(region: str) -> list[str]:
        pages = aws.client("s3", region).get_paginator("list_objects_v2").paginate(Bucket=names[region])
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def key(name: str) -> Key:
        who, _, seq = name.rpartition("/")[2].rpartition("~")
        return who, int(seq)

    def copy(keep: Keep) -> None:
        for name in objects(EAST):
            if keep(key(name)):
                source = {"Bucket": names[EAST], "Key": name}
                aws.client("s3", WEST).copy_object(Bucket=names[WEST], Key=name, CopySource=source)

    write, read = aws.spots(StoreKind.S3, names[EAST], names[WEST])
    return Store(write, read, lambda region: {key(name) for name in objects(region)}, copy)


def sqs(aws: Aws, fifo: str = "") -> Store:
    name = f"orders-{uuid4().hex[:8]}{fifo}"
    attributes = {"FifoQueue": "true"} if fifo else {}
    urls = {
        region: aws.client("sqs", region).create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        for region in (EAST, WEST)
    }
    sent: dict[str, set[Key]] = {EAST: set(), WEST: set()}

    def key(body: str) -> Key:
        _, _, who, lane, seq = body.partition('"drills": "')[2].partition('"')[0].split("~")
        return f"{who}~{lane}", int(seq)

    def copy(keep: Keep) -> None:
        east, west = aws.client("sqs", EAST), aws.client("sqs", WEST)
        while got := east.receive_message(QueueUrl=urls[EAST], MaxNumberOfMessages=10).get("Messages"):
            for one in got:
                sent[EAST].add(key(one["Body"]))
                if keep(key(one["Body"])):
                    more = {"MessageGroupId": "g", "MessageDeduplicationId": one["MessageId"]} if fifo else {}
                    west.send_message(QueueUrl=urls[WEST], MessageBody=one["Body"], **more)
                    sent[WEST].add(key(one["Body"]))
                east.delete_message(QueueUrl=urls[EAST], ReceiptHandle=one["ReceiptHandle"])

    write, read = aws.spots(StoreKind.SQS, name, name)
    return Store(write, read, sent.__getitem__, copy)


STORES: dict[str, Callable[[Aws], Store]] = {
    "dynamodb": dynamodb,
    "dynamodb-sorted": lambda aws: dynamodb(aws, "S"),
    "dynamodb-numbered": lambda aws: dynamodb(aws, "N"),
    "s3": s3,
    "sqs": sqs,
    "sqs-fifo": lambda aws: sqs(aws, ".fifo"),
}
LONG = ("dynamodb-numbered", "sqs-fifo")
EACH = [pytest.param(kind, marks=pytest.mark.prove) if kind in LONG else kind for kind in STORES]


def written(store: Store, folder: Path, count: int = 12) -> tuple[Drill, tuple[int, int]]:
    """Write markers, and stop as if the region were lost; gives when."""
    with drilling(folder, store.write, every_s=0.03, timeout_s=2.0) as drill:
        drill.await_acks(count)
        at = moment(drill.end)
        return drill, at


@pytest.mark.parametrize("kind", EACH)
def test_lost_rows_are_the_set_difference_and_what_arrives_late_is_reconciled(
    tmp_path: Path, aws: Aws, kind: str
) -> None:
    store = STORES[kind](aws)
    drill, at = written(store, tmp_path)
    store.copy(lambda key: key[1] % 3 == 0)
    assert drill.read(store.read, 10).ok is True
    first = store.keys(WEST)
    assert drill.found(10) == first
    judged = drill.judge(at)
    assert judged.rows.lost == len(drill.acked() - first) > 0
    assert judged.high is None
    if not kind.startswith("sqs"):  # the forwarder took all messages there were
        store.copy(lambda key: key[1] % 3 == 1)
        assert drill.read(store.read, 11).ok is True
        second = store.keys(WEST)
        assert drill.found(11) == second > first
        later = drill.judge(at)
        assert later.rows.lost == len(drill.acked() - second) > 0
        assert later.rows.reconciled == len(second - first)
    else:
        assert drill.read(store.read, 11).ok is True
        assert drill.found(11) == first, "what was taken from a queue is not lost to the next reading"
    told = drill.judge(at, every_write=True)
    assert told.high is not None
    assert told.low <= told.high
    (identity,) = {one.primary for one in drill.ledger() if one.acked}
    assert EAST in identity
    if not kind.startswith("sqs"):
        assert drill.read(store.write, 12).ok is True
        assert drill.acked() <= drill.found(12) == store.keys(EAST), "read back where it was written"


@pytest.mark.parametrize("kind", ["dynamodb", "s3", pytest.param("sqs", marks=pytest.mark.prove)])
def test_a_store_that_nobody_replicates_loses_everything_and_says_so(tmp_path: Path, aws: Aws, kind: str) -> None:
    store = STORES[kind](aws)
    drill, at = written(store, tmp_path, 6)
    assert drill.read(store.read, 1).ok is True
    judged = drill.judge(at)
    assert judged.rows.lost == judged.rows.acked == len(drill.acked())
    assert (judged.high, drill.found(1)) == (None, set())
    # An unordered store cannot be met even if it is declared ordered: nothing of it was recovered.
    assert drill.judge(at, ordered=True).high is None


def test_a_queue_gives_back_what_is_not_ours(tmp_path: Path, aws: Aws) -> None:
    store = sqs(aws)
    drill, _ = written(store, tmp_path, 3)
    queue = aws.client("sqs", EAST)
    url = queue.get_queue_url(QueueName=store.write.address)["QueueUrl"]
    queue.send_message(QueueUrl=url, MessageBody="an order")
    assert drill.read(store.write, 1).ok is True
    assert [one["Body"] for one in queue.receive_message(QueueUrl=url)["Messages"]] == ["an order"]


@pytest.mark.prove
def test_a_queue_somebody_else_holds_messages_of_was_not_read_whole(tmp_path: Path, aws: Aws) -> None:
    store = sqs(aws)
    drill, at = written(store, tmp_path, 3)
    queue = aws.client("sqs", EAST)
    url = queue.get_queue_url(QueueName=store.write.address)["QueueUrl"]
    held = queue.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
    told = drill.read(store.write, 1)
    assert told.ok is False
    assert f"{len(held)} in other hands" in told.detail
    assert "no complete reading" in drill.judge(at).why


def test_a_region_that_is_gone_leaves_doubt_and_refusals_but_no_false_ack(tmp_path: Path) -> None:
    with moto_process() as endpoint:
        aws = Aws(endpoint)
        store = dynamodb(aws)
        drill = drilling(tmp_path, store.write, every_s=0.03, timeout_s=0.5)
        running = drill.__enter__()
        running.await_acks(5)
        before = store.keys(EAST)
    try:
        wait_until(lambda: any(one.acked is False for one in running.ledger()), "a marker that was never sent")
        running.end()
        assert before <= running.acked() | {(one.writer, one.seq) for one in running.ledger() if one.acked is None}
        told = running.read(store.read, 1)
        assert told.ok is None
        assert "no connection" in told.detail
    finally:
        drill.__exit__(None, None, None)


@pytest.mark.parametrize("kind", [StoreKind.DYNAMODB, StoreKind.S3, StoreKind.SQS])
def test_a_store_that_is_not_there_is_refused_with_its_name(tmp_path: Path, aws: Aws, kind: StoreKind) -> None:
    write, _ = aws.spots(kind, "no-such-store", "no-such-store")
    with pytest.raises(Refused, match=r"observer orders did not start: markers cannot be .* to .*no-such-store"):
        drilling(tmp_path, write).__enter__()


def test_a_table_whose_key_is_a_number_takes_no_marker(tmp_path: Path, aws: Aws) -> None:
    aws.client("dynamodb", EAST).create_table(
        TableName="numbers",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    write, _ = aws.spots(StoreKind.DYNAMODB, "numbers", "numbers")
    with pytest.raises(Refused, match="its partition key must be a string"):
        drilling(tmp_path, write).__enter__()
