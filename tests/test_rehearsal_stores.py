"""Several stores of different kinds in one drill: PostgreSQL, DynamoDB, S3 and SQS through a standing sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
import yaml

pytestmark = [pytest.mark.sandbox, pytest.mark.prove, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parent.parent
EAST, WEST = "us-east-1", "us-west-2"
ACCOUNT = "111122223333"


def drills(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drills", *words], check=False, capture_output=True, text=True, cwd=ROOT, timeout=200,
        env=os.environ | {"DRILLS_HOME": str(home)},
    )  # fmt: skip


@pytest.fixture
def endpoint(tmp_path: Path) -> Generator[str]:
    up = drills(tmp_path, "sandbox", "up", "--output", "json")
    assert up.returncode == 0, up.stderr
    try:
        yield str(json.loads(up.stdout)["endpoint_url"])
    finally:
        assert drills(tmp_path, "sandbox", "down").returncode == 0


def client(endpoint: str, service: str, region: str) -> Any:
    make = cast("Any", boto3).client
    return make(
        service, region_name=region, endpoint_url=endpoint, aws_access_key_id=ACCOUNT,
        aws_secret_access_key="any",  # noqa: S106 - never checked
    )  # fmt: skip


def seed(endpoint: str) -> None:
    for region in (EAST, WEST):
        client(endpoint, "dynamodb", region).create_table(
            TableName="carts",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client(endpoint, "sqs", region).create_queue(QueueName="jobs")
    client(endpoint, "s3", EAST).create_bucket(Bucket="invoices-east")
    client(endpoint, "s3", WEST).create_bucket(
        Bucket="invoices-west", CreateBucketConfiguration={"LocationConstraint": WEST}
    )


def test_what_nobody_replicates_is_lost_and_the_replicated_store_is_judged_beside_it(
    tmp_path: Path, endpoint: str
) -> None:
    seed(endpoint)
    book: dict[str, Any] = yaml.safe_load((ROOT / "runbooks" / "warm-standby.yaml").read_text(encoding="utf-8"))
    book["measure"]["data"] += [
        {"id": "carts", "dynamodb": {"table": "carts"}, "every": "100ms"},
        {"id": "invoices", "s3": {"bucket": "invoices-east", "read_bucket": "invoices-west"}, "every": "200ms"},
        {"id": "jobs", "sqs": {"queue": "jobs"}, "every": "200ms"},
    ]
    copy = tmp_path / "copy.yaml"
    copy.write_text(yaml.safe_dump(book, sort_keys=False), encoding="utf-8")
    ran = drills(tmp_path, "rehearse", str(copy), "--in", "default", "--output", "json")
    assert ran.returncode == 3, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    verdicts = {one["name"]: one for one in told["objectives"]}
    assert (verdicts["rto"]["verdict"], verdicts["rpo"]["verdict"]) == ("MET", "UNPROVEN")
    assert all(name in verdicts["rpo"]["why"] for name in ("carts", "invoices", "jobs"))
    assert "orders:" not in verdicts["rpo"]["why"]
    calls = [json.loads(line) for line in (tmp_path / told["drill"] / "calls.jsonl").read_text().splitlines()]
    asked = {one["operation"] for one in calls if one["region"] == WEST}
    assert {"BatchGetItem", "ListObjectsV2", "ReceiveMessage"} <= asked
    assert drills(tmp_path, "verify", told["drill"]).returncode == 0
