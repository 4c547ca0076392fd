"""The least that a durable run of many reads can cost in Python: what ``ours.py`` rests on, and nothing of drills.

The libraries are loaded, the YAML is parsed into events, a worker thread makes the calls with one boto3 client, and
before each of them syncs two rows to disk in SQLite's write-ahead log. Nothing is checked, decided, judged or
chained. What ``ours.py`` costs above this is drills; what this costs above ``bare.py`` nobody can spare.

Usage: least.py RUNBOOK ENDPOINT COUNT FOLDER
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pydantic
import yaml

from drills.cli import frugal

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


LOG_PAGES = 64
"""As the journal of a drill keeps its log."""


class Step(pydantic.BaseModel):
    """One model, so that the machinery of all is loaded."""

    name: str


def main(runbook: str, endpoint: str, count: int, folder: Path) -> None:
    """Ask ``count`` times what ``inputs.READ`` asks, each time after two rows are on disk."""
    text = Path(runbook).read_text(encoding="utf-8")
    events = sum(1 for _ in yaml.parse(text, Loader=yaml.CSafeLoader))
    row = msgspec.json.encode({"step": Step(name="read").name, "events": events}).decode().ljust(300)
    folder.mkdir(parents=True)
    worker = threading.Thread(target=_work, args=(endpoint, count, row, folder / "journal.sqlite"))
    worker.start()
    worker.join()


def _work(endpoint: str, count: int, row: str, file: Path) -> None:
    import boto3

    db = sqlite3.connect(file, isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute(f"pragma wal_autocheckpoint={LOG_PAGES}")
    db.execute("create table events(seq integer primary key, line text not null, link text not null) strict")
    client: EC2Client = boto3.client("ec2", region_name="us-west-2", endpoint_url=endpoint)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAssignmentType] - boto3 itself has no types
    for number in range(count):
        db.execute("begin immediate")
        rows = [(2 * number + one, row, "0" * 64) for one in (1, 2)]
        db.executemany("insert into events values(?, ?, ?)", rows)
        db.execute("commit")
        found = client.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        if found["Reservations"]:
            raise SystemExit("moto has instances that nobody made")


if __name__ == "__main__":
    frugal.begin()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
