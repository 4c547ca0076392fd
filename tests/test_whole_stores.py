"""A whole drill over every kind of store at once: what it lost is judged by the row, and the result can be verified.

PostgreSQL is the sandbox's own. MariaDB and Redis are real pairs, an HTTP service has two sites, and DynamoDB, S3 and
SQS are two regions of the sandbox. When the region is lost the test cuts what it replicates, and a moment later
the rest of the old site dies.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from observe_world import SECRET, clock, wait_until
from stores_world import HttpStore, Key, Maria, Redis, http_sites, maria_pair, redis_pair
from test_rehearsal_stores import EAST, ROOT, WEST, client, drills, endpoint, seed

from drills.errors import JournalError
from drills.observe.store import read_ledger
from drills.runtime.journal import read_drill
from drills.sandbox import lifecycle
from drills.sandbox.faults import FaultKind, FaultRule

assert endpoint
pytestmark = [pytest.mark.sandbox, pytest.mark.prove, pytest.mark.timeout(400)]
QUICK, SLOW = {"every": "40ms"}, {"every": "150ms", "every_write": True}
STORES: list[dict[str, Any]] = [
    {"id": "mysql", "sql": {"write": "env:MYSQL_EAST", "read": "env:MYSQL_WEST"}, **QUICK},
    {"id": "sessions", "redis": {"write": "env:REDIS_EAST", "read": "env:REDIS_WEST"}, **QUICK},
    {"id": "carts", "dynamodb": {"table": "carts"}, **SLOW},
    {"id": "invoices", "s3": {"bucket": "invoices-east", "read_bucket": "invoices-west"}, **SLOW},
    {"id": "jobs", "sqs": {"queue": "jobs"}, **SLOW},
]


@dataclass
class Aws:
    """Copies what is written in one region of the sandbox to the other, until it is cut."""

    address: str
    cut: threading.Event
    sent: set[Key] = field(default_factory=set[Key])

    def copy(self) -> None:
        east, west = client(self.address, "dynamodb", EAST), client(self.address, "dynamodb", WEST)
        for item in east.scan(TableName="carts")["Items"]:
            west.put_item(TableName="carts", Item=item)
        near, far = client(self.address, "s3", EAST), client(self.address, "s3", WEST)
        for name in self.objects(EAST) - self.objects(WEST):
            body = near.get_object(Bucket="invoices-east", Key=name)["Body"].read()
            far.put_object(Bucket="invoices-west", Key=name, Body=body)
        here, there = client(self.address, "sqs", EAST), client(self.address, "sqs", WEST)
        first, last = (one.get_queue_url(QueueName="jobs")["QueueUrl"] for one in (here, there))
        while not self.cut.is_set():
            got = here.receive_message(QueueUrl=first, MaxNumberOfMessages=10).get("Messages")
            if not got:
                return
            for one in got:
                there.send_message(QueueUrl=last, MessageBody=one["Body"])
                here.delete_message(QueueUrl=first, ReceiptHandle=one["ReceiptHandle"])
                *_, writer, lane, seq = json.loads(one["Body"])["drills"].split("~")
                self.sent.add((f"{writer}~{lane}", int(seq)))

    def objects(self, region: str) -> set[str]:
        side = "east" if region == EAST else "west"
        pages = client(self.address, "s3", region).get_paginator("list_objects_v2").paginate(Bucket=f"invoices-{side}")
        return {str(one["Key"]) for page in pages for one in page.get("Contents", [])}

    def carts(self) -> set[Key]:
        pages = client(self.address, "dynamodb", WEST).get_paginator("scan").paginate(TableName="carts")
        items = [item for page in pages for item in page["Items"]]
        return {(item["drills_writer"]["S"], int(item["drills_seq"]["N"])) for item in items}

    def invoices(self) -> set[Key]:
        names = [name.rpartition("/")[2].rpartition("~") for name in self.objects(WEST)]
        return {(writer, int(seq)) for writer, _, seq in names}


@dataclass
class Site:
    """All stores of both sites, and what replicates between them."""

    home: Path
    mysql: tuple[Maria, Maria]
    redis: tuple[Redis, Redis]
    http: tuple[HttpStore, HttpStore]
    aws: Aws

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._replicate, daemon=True)
        self._thread.start()

    def _replicate(self) -> None:
        while not self.aws.cut.wait(0.05):
            self.http[0].copy(self.http[1], lambda _: True)
            self.aws.copy()

    def lose(self) -> None:
        """Cut the replication of everything; then, when more has been acknowledged, let the old site die."""
        self.aws.cut.set()
        self.mysql[1].ask("STOP SLAVE IO_THREAD")
        self.redis[1].ask("REPLICAOF", "127.0.0.1", "1")
        self._thread.join(20)
        clock.sleep(0.3)
        world = lifecycle.find(lifecycle.standing_folder("default", self.home))
        for service in ("dynamodb", "s3", "sqs"):
            lifecycle.set_fault(world, FaultRule(service, FaultKind.OUTAGE, region=EAST, service=service))
        self.http[0].silent = True
        self.redis[0].kill()
        self.mysql[0].kill()
        self.redis[1].ask("REPLICAOF", "NO", "ONE")
        wait_until(lambda: self.mysql[1].ask("SHOW SLAVE STATUS"), "the replica")
        self.mysql[1].ask("STOP SLAVE")
        self.mysql[1].ask("RESET SLAVE ALL")
        self.mysql[1].ask("SET GLOBAL read_only = 0")

    def survived(self, drill: str) -> dict[str, set[Key]]:
        """Read the survivors without any code of the project."""
        return {
            "mysql": self.mysql[1].keys(),
            "sessions": {
                (name.rpartition("~")[0], int(name.rpartition("~")[2]))
                for name in self.redis[1].ask("HKEYS", f"drills:{{{drill}~sessions}}")
            },
            "api": self.http[1].keys(),
            "carts": self.aws.carts(),
            "invoices": self.aws.invoices(),
            "jobs": self.aws.sent,
        }


@pytest.fixture
def site(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    seed(endpoint)
    with ExitStack() as stack:
        mysql = stack.enter_context(maria_pair())
        redis = stack.enter_context(redis_pair(tmp_path / "redis"))
        http = stack.enter_context(http_sites())
        for name, pair in (("MYSQL", mysql), ("REDIS", redis)):
            monkeypatch.setenv(f"{name}_EAST", pair[0].url)
            monkeypatch.setenv(f"{name}_WEST", pair[1].url)
        monkeypatch.setenv("TOKEN", f"Bearer {SECRET}")
        yield Site(tmp_path, mysql, redis, http, Aws(endpoint, threading.Event()))


def written(home: Path, site: Site) -> Path:
    """Write the shipped runbook with all the stores in it."""
    book: dict[str, Any] = yaml.safe_load((ROOT / "runbooks" / "warm-standby.yaml").read_text(encoding="utf-8"))
    api = {"write": site.http[0].url, "read": site.http[1].url, "headers": {"Authorization": "env:TOKEN"}}
    book["measure"]["data"] += [*STORES, {"id": "api", "http": api, **SLOW}]
    copy = home / "copy.yaml"
    copy.write_text(yaml.safe_dump(book, sort_keys=False), encoding="utf-8")
    return copy


def lost_region(home: Path, act: Callable[[], None]) -> threading.Thread:
    """Act as soon as the drill that is about to be made has begun to lose its region."""

    def begun() -> bool:
        with suppress(JournalError, StopIteration):
            folder = next(one for one in home.iterdir() if (one / "journal.db").exists())
            return read_drill(folder)[1].progress["lose"].started is not None
        return False

    def wait() -> None:
        wait_until(begun, "the loss of the region", 120)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_every_kind_of_store_is_judged_by_the_row_in_one_drill_that_verifies(tmp_path: Path, site: Site) -> None:
    losing = lost_region(tmp_path, site.lose)
    ran = drills(tmp_path, "rehearse", str(written(tmp_path, site)), "--in", "default", "--output", "json")
    losing.join(30)
    assert not losing.is_alive()
    told = json.loads(ran.stdout)
    verdicts = {one["name"]: one for one in told["objectives"]}
    stores = {one["store"]: one for one in told["stores"]}
    assert stores.keys() == {"orders", "api", *(one["id"] for one in STORES)}
    there = site.survived(told["drill"])
    for name, survived in there.items():
        file = tmp_path / told["drill"] / "observers" / f"{name}.db"
        acked = {(one.writer, one.seq) for one in read_ledger(file) if one.acked}
        assert len(acked) > 10, name
        assert acked & survived, name
        rows = stores[name]["rows"]
        assert (rows["acked"], rows["lost"]) == (len(acked), len(acked - survived)), name
        assert rows["lost"] > 0, name
        assert stores[name]["high_s"] is not None, (name, stores[name]["why"])
        assert 0 < stores[name]["low_s"] <= stores[name]["high_s"], name
    worst = max(one["high_s"] for one in stores.values())
    assert (verdicts["rpo"]["verdict"], verdicts["rpo"]["high_s"]) == ("MET", worst), verdicts["rpo"]["why"]
    assert told["rows"]["lost"] == sum(one["rows"]["lost"] for one in stores.values())
    assert told["consistency"]["high"] < 1
    assert ran.returncode == 0, ran.stderr[-3000:]
    verified = drills(tmp_path, "verify", told["drill"])
    assert (verified.returncode, "VERIFIED" in verified.stdout) == (0, True), verified.stdout
    kept = [one.read_bytes() for one in (tmp_path / told["drill"]).rglob("*") if one.is_file()]
    assert all(SECRET.encode() not in one for one in kept)
