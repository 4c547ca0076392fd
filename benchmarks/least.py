"""The least that a durable run of many reads can cost in Python: what ``ours.py`` rests on, and nothing of drills.

The libraries are loaded, the YAML is parsed into events, a worker thread makes the calls with one boto3 client, and
before each of them two rows are synced to disk in SQLite's write-ahead log. Nothing is checked, decided, judged or
chained. What ``ours.py`` costs above this is drills; what this costs above ``bare.py`` nobody can spare.

Usage: least.py RUNBOOK ENDPOINT COUNT FOLDER
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec
import pydantic
import yaml

from drills.cli import frugal

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

LIMIT_S = 60


class Step(pydantic.BaseModel):
    """One model, so that the machinery of all is loaded."""

    name: str


def main(runbook: str, endpoint: str, count: int, folder: Path) -> None:
    """Ask ``count`` times what ``inputs.READ`` asks, each time after two rows are on disk."""
    text = Path(runbook).read_text(encoding="utf-8")
    events = sum(1 for _ in yaml.parse(text, Loader=yaml.CSafeLoader))
    row = msgspec.json.encode({"step": Step(name="read").name, "events": events}).decode().ljust(300)
    folder.mkdir(parents=True)
    db = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute("create table events(seq integer primary key, line text not null, link text not null) strict")
    calls: SimpleQueue[int] = SimpleQueue()
    answers: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_work, args=(endpoint, calls, answers), daemon=True).start()
    for number in range(count):
        db.execute("begin immediate")
        rows = [(2 * number + one, row, "0" * 64) for one in (1, 2)]
        db.executemany("insert into events values(?, ?, ?)", rows)
        db.execute("commit")
        calls.put(number)
        if answers.get(timeout=LIMIT_S)["Reservations"]:
            raise SystemExit("moto has instances that nobody made")


def _work(endpoint: str, calls: SimpleQueue[int], answers: SimpleQueue[Any]) -> None:
    import boto3

    client: EC2Client = boto3.client("ec2", region_name="us-west-2", endpoint_url=endpoint)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAssignmentType] - boto3 itself has no types
    while True:
        calls.get()
        answers.put(client.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}]))


if __name__ == "__main__":
    frugal.begin()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
