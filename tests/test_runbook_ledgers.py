"""Ledgers of markers as people write them: one store each, named wrongly in the ways that people do."""

from __future__ import annotations

from pathlib import Path

import fastjsonschema
import pytest

from drills.aws.narrow import is_read
from drills.engine.compile import compile_plan
from drills.engine.permissions import LEDGERS, needed
from drills.engine.plan import DataWatch, Mode, Plan
from drills.errors import Invalid
from drills.observe.ledger import Header, Options
from drills.runbook.load import load_environment, load_runbook
from drills.runbook.schema import runbook_schema
from drills.timeline.codec import dump
from drills.timeline.codec import load as read_back
from drills.timeline.stores import IN_AWS
from drills.yamldoc import load

BOOK = """\
runbook: ledgers
title: What was lost
objectives: {rpo: 30s}
measure:
  data:
{data}
steps:
  - {id: look, probe: sql.accepts_writes, at: to, with: {dsn: "${to.dsn}"}, mark: disaster}
"""
PLACE = """\
environment: staging
kind: staging
home: us-east-2
sites:
  east: {account: "111122223333", region: us-east-1, values: {dsn: "env:EAST", bucket: b-east}}
  west: {account: "111122223333", region: us-west-2, values: {dsn: "env:WEST", bucket: b-west}}
places: {spare: {account: "111122223333", region: eu-west-1}}
"""
ALL = """\
    - {id: orders, sql: {write: "${from.dsn}", read: "${to.dsn}"}, peak_per_s: 400}
    - {id: carts, dynamodb: {table: carts}, every_write: true}
    - {id: copies, dynamodb: {table: carts, read_table: carts-copy, write_at: to, read_at: spare}, ordered: true}
    - {id: invoices, s3: {bucket: "${from.bucket}", read_bucket: "${to.bucket}", prefix: m/}, every: 200ms}
    - {id: jobs, sqs: {queue: jobs}}
    - {id: sessions, redis: {write: "env:REDIS_EAST", read: "env:REDIS_WEST", replicas: 1}}
    - id: api
      http: {write: "https://e/markers/{id}", read: "https://w/markers", headers: {Authorization: "env:TOKEN"}}
"""


def book(folder: Path, data: str) -> Path:
    path = folder / "ledgers.yaml"
    path.write_text(BOOK.replace("{data}\n", data), encoding="utf-8")
    return path


def planned(folder: Path, data: str) -> Plan:
    place = folder / "staging.yaml"
    place.write_text(PLACE, encoding="utf-8")
    return compile_plan(
        load_runbook(book(folder, data)), load_environment(place), mode=Mode.RUN, from_site="east", to_site="west",
        parameters={}, ask=False, world=None,
    )  # fmt: skip


def problems(folder: Path, data: str) -> list[str]:
    with pytest.raises(Invalid) as told:
        planned(folder, data)
    return [str(one).removeprefix(f"{folder}/") for one in told.value.problems]


def test_every_store_is_bound_to_its_sites_and_secrets_stay_references(tmp_path: Path) -> None:
    plan = planned(tmp_path, ALL)
    api = Options(headers=(Header("Authorization", "env:TOKEN"),))
    assert plan.data == (
        DataWatch("orders", "sql", "env:EAST", "env:WEST", peak_per_s=400.0),
        DataWatch(
            "carts", "dynamodb", "carts", "carts", ordered=False, every_write=True, write_at="east", read_at="west"
        ),
        DataWatch("copies", "dynamodb", "carts", "carts-copy", write_at="west", read_at="spare"),
        DataWatch(
            "invoices", "s3", "b-east", "b-west", 0.2, ordered=False, write_at="east", read_at="west",
            options=Options(prefix="m/"),
        ),
        DataWatch("jobs", "sqs", "jobs", "jobs", ordered=False, write_at="east", read_at="west"),
        DataWatch("sessions", "redis", "env:REDIS_EAST", "env:REDIS_WEST", options=Options(replicas=1)),
        DataWatch("api", "http", "https://e/markers/{id}", "https://w/markers", ordered=False, options=api),
    )  # fmt: skip
    assert read_back(Plan, dump(plan)) == plan


def test_permissions_of_markers_stand_where_they_are_needed(tmp_path: Path) -> None:
    found = needed(planned(tmp_path, ALL))
    assert {"dynamodb:PutItem", "s3:PutObject", "sqs:SendMessage"} <= found["east"].actions
    assert {"dynamodb:Query", "s3:ListBucket", "sqs:ReceiveMessage"} <= found["west"].actions
    assert found["spare"].actions == {"dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Query"}
    assert set(LEDGERS) == IN_AWS
    assert all(is_read(one) for one in LEDGERS["dynamodb"][1]), "read back through a session that only reads"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{id: a}", "ledgers.yaml:6: data: names no store; write exactly one of sql, dynamodb, s3, sqs, redis, http"),
        ("{id: a, s3: {bucket: b}, sqs: {queue: q}}", "ledgers.yaml:6: data: has s3 and sqs; write exactly one of"),
        ("{id: a, s3: {buket: b}}", "did you mean 'bucket'?"),
        ("{id: a, redis: {write: x, read: y, replicas: 99}}", "ledgers.yaml:6: "),
        ("{id: a, dynamodb: {table: t, read_at: wets}}", "ledgers.yaml:6: read_at: environment staging has no place"),
        ("{id: a, dynamodb: {table: t, write_at: east}}", "write from or to: a runbook is written against directions"),
        ('{id: a, sqs: {queue: "${from.qeue}"}}', "ledgers.yaml:6: ${from.qeue}: site east of environment"),
        ("{id: a, http: {write: x, read: y, method: GET}}", "ledgers.yaml:6: "),
        ("{id: a, sqs: {queue: q}, peak_per_s: 0}", "ledgers.yaml:6: peak_per_s: "),
    ],
)  # fmt: skip
def test_what_is_written_wrongly_is_told_by_line_and_with_the_repair(tmp_path: Path, line: str, told: str) -> None:
    assert any(told in one for one in problems(tmp_path, f"    - {line}\n")), problems(tmp_path, f"    - {line}\n")


def test_an_unordered_store_is_told_to_prove_no_rpo(tmp_path: Path) -> None:
    def warned(data: str) -> list[str]:
        return [str(one) for one in load_runbook(book(tmp_path, data)).warnings if "keeps no order" in str(one)]

    (told,) = warned("    - {id: a, s3: {bucket: b}}\n")
    assert "ledgers.yaml:6: a: the rpo of s3 can be MISSED but never MET" in told
    assert warned("    - {id: a, s3: {bucket: b}, every_write: true}\n") == []
    assert warned('    - {id: a, redis: {write: "env:A", read: "env:B"}}\n') == []


def test_editors_know_every_store_and_that_it_is_one(tmp_path: Path) -> None:
    validate = fastjsonschema.compile(runbook_schema())
    validate(load(book(tmp_path, ALL)).data)
    for wrong in ("{id: a}", "{id: a, s3: {bucket: b}, sqs: {queue: q}}", "{id: a, s3: {bucket: b, nonsense: 1}}"):
        with pytest.raises(fastjsonschema.JsonSchemaValueException):
            validate(load(book(tmp_path, f"    - {wrong}\n")).data)
