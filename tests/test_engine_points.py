"""Recovery points as a drill asks for them, with bounds on the clock of a real server that is known to be wrong."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from aws_answers import Answers, answering
from aws_world import moto_server
from msgspec import structs
from msgspec.structs import replace as altered

from drills import catalog
from drills.aws.retry import Retry
from drills.aws.sessions import Accounts
from drills.cli import compose
from drills.cli.main import main
from drills.clock import NS, SystemClock
from drills.engine.compile import compile_plan
from drills.engine.crew import Token
from drills.engine.permissions import needed
from drills.engine.plan import Mode, Plan, Step
from drills.engine.points import Points
from drills.engine.state import fold
from drills.errors import Invalid
from drills.measure.judge import judge
from drills.report.judging import question
from drills.runbook.load import load_environment, load_runbook
from drills.runbook.world import SandboxValues
from drills.runtime.journal import read_drill
from drills.testing import plan
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.timeline.marks import Basis
from drills.work import Evidence, Kind, Place

SERVER = "s-0123456789abcdef0"
TAKEN = "2026-09-21T12:00:00Z"
SNAPSHOT = {
    "/DescribeRecoverySnapshots": {"items": [{"snapshotID": "pit-1", "sourceServerID": SERVER, "timestamp": TAKEN}]}
}
TAKEN_NS = 1_789_992_000 * NS
CLOCK = SystemClock()


@pytest.fixture
def answers() -> Generator[Answers]:
    with answering(Answers(dict(SNAPSHOT))) as served:
        yield served


def asking(*served: Answers, mode: Mode = Mode.RUN, timeout_s: float = 20.0) -> Plan:
    """Make a plan that asks each server for a recovery point: p0, p1 ..."""
    fields = Facts(server=SERVER)
    places = tuple(
        Place(f"at{number}", "111122223333", "us-east-1", None, one.address, None, "111122223333")
        for number, one in enumerate(served)
    )
    points = tuple(
        Step(f"p{n}", 0, Kind.PROBE, "drs.latest_snapshot", one.name, params=fields, timeout_s=timeout_s)
        for n, one in enumerate(places)
    )
    return replace(plan(), places=places, recovery_points=points, mode=mode)


def ask(pinned: Plan, *, after: bool = False) -> list[ev.PointTold]:
    return list(Points(Accounts(), Retry(CLOCK), CLOCK, catalog.load).ask(pinned, Token(), after=after))


def test_the_known_skew_of_each_real_server_lies_within_its_bounds() -> None:
    skews = (0.0, 1234.567, -86_400.25)
    with ExitStack() as stack:
        served = [stack.enter_context(answering(Answers(SNAPSHOT, skew_s=skew_s))) for skew_s in skews]
        found = ask(asking(*served), after=True)
    for skew_s, one, told in zip(skews, served, found, strict=True):
        assert (told.after, told.at_ns, told.source) == (True, TAKEN_NS, "DRS recovery snapshot time")
        assert told.skew_low_ns is not None
        assert told.skew_high_ns is not None
        assert told.skew_low_ns <= round(skew_s * NS) <= told.skew_high_ns
        assert told.skew_detail == f"from {len(one.asked)} Date headers"
        assert len(one.asked) <= 40
    assert [told.point for told in found] == ["p0", "p1", "p2"]


def test_answers_without_a_date_give_no_bound_and_are_not_asked_for_again(answers: Answers) -> None:
    answers.dated = False
    (told,) = ask(asking(answers))
    assert (told.at_ns, told.skew_low_ns, told.skew_detail) == (TAKEN_NS, None, "no answer carried a Date")
    assert len(answers.asked) == 1


def test_a_point_that_is_not_there_or_gives_no_answer_is_told_with_the_reason(answers: Answers) -> None:
    answers.bodies["/DescribeRecoverySnapshots"] = {"items": []}
    (none,) = ask(asking(answers))
    assert (none.at_ns, none.detail) == (None, f"{SERVER} has no recovery snapshot that was taken")
    answers.bodies.clear()
    (refused,) = ask(asking(answers))
    assert (refused.at_ns, "404" in refused.detail) == (None, True)
    gone = replace(answers, address="http://127.0.0.1:9")
    assert [(one.point, one.at_ns, one.detail[:9]) for one in ask(asking(gone, gone, timeout_s=0.5))] == [
        ("p0", None, "no answer"),
        ("p1", None, "no answer"),
    ]


# -- whole drills ------------------------------------------------------------------------------------------

BOOK = """
runbook: orders-restore
title: Restore the orders table to a moment before its loss
objectives:
  rpo: {from: recovery_point, to: disaster, within: 1h, basis: BASIS}
measure:
  baseline: 100ms
  recovery_points:
    - {id: pitr, probe: dynamodb.pitr, at: to, timeout: 10s, with: {table: orders}}
    - {id: snapshot, probe: rds.latest_snapshot, at: to, with: {db: nobody}}
steps:
  - id: lose
    action: aws.call
    at: to
    mark: disaster
    with:
      service: dynamodb
      operation: CreateTable
      parameters:
        TableName: lost
        KeySchema: [{AttributeName: id, KeyType: HASH}]
        AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
        BillingMode: PAY_PER_REQUEST
      one_way: stands for a loss
  - id: restore
    action: aws.call
    at: to
    with:
      service: dynamodb
      operation: RestoreTableToPointInTime
      parameters: {SourceTableName: orders, TargetTableName: restored, UseLatestRestorableTime: true}
      one_way: delete the copy
  - id: rows
    probe: aws.read
    at: to
    timeout: 60s
    on_failure: continue
    with: {service: dynamodb, operation: Scan, parameters: {TableName: restored}, expect: "Count == `1`"}
no_fence: a restore into a table of its own
"""
PLACE = """
environment: sandbox
kind: sandbox
home: us-east-2
sites:
  east: {account: "111122223333", region: us-east-1}
  west: {account: "111122223333", region: us-west-2}
world: {primary: east, record: orders.drills.test}
"""


def compiled(folder: Path, address: str, basis: str) -> Plan:
    (folder / "book.yaml").write_text(BOOK.replace("BASIS", basis), encoding="utf-8")
    (folder / "place.yaml").write_text(PLACE, encoding="utf-8")
    world = SandboxValues(address, "127.0.0.1:53", str(folder), private=False, values={}, sites={})
    return compile_plan(
        load_runbook(folder / "book.yaml"),
        load_environment(folder / "place.yaml"),
        mode=Mode.REHEARSE,
        from_site="east",
        to_site="west",
        parameters={},
        ask=False,
        world=world,
    )


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Say a command as a user would; gives its exit code and what it wrote."""
    code = main(words)
    return code, capsys.readouterr().out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a drill that restored a table with point-in-time recovery, in a moto server."""
    base = tmp_path_factory.mktemp("restored")
    with moto_server() as address:
        place = Place("west", "111122223333", "us-west-2", None, address, None, "111122223333")
        dynamodb = Accounts().write(place).client("dynamodb")
        dynamodb.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.put_item(TableName="orders", Item={"id": {"S": "first"}})
        on = {"PointInTimeRecoveryEnabled": True}
        dynamodb.update_continuous_backups(TableName="orders", PointInTimeRecoverySpecification=on)
        show = compose.Show(lambda _events, _state: None, lambda _: None, lambda: None)
        pinned = compiled(base, address, "restored_point, seen_by: [pitr]")
        compose.open_drill(base / "drills" / "d1", pinned, compose.recorded_accounts(base, pinned), show, outside=None)
    return base / "drills" / "d1"


def test_a_restore_is_judged_by_its_point_and_report_verify_and_json_agree(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(said(capsys, "report", str(folder), "--output", "json")[1])
    (rpo,) = told["objectives"]
    assert (rpo["verdict"], told["status"]) == ("MET", "met"), told
    assert rpo["why"].startswith(
        "basis: restored_point, by DynamoDB LatestRestorableDateTime (content checked by rows); at most "
    )
    points = {(one["name"], one["asked"]): one for one in told["recovery_points"]}
    assert len(points) == 4
    before = points["pitr", "at the start"]
    assert before["low_s"] < before["high_s"]
    assert before["skew_low_s"] <= 0.0 <= before["skew_high_s"]
    assert "nobody has no snapshot that is available" in points["snapshot", "after the recovery"]["told"]
    code, verified = said(capsys, "verify", str(folder))
    assert (code, "recovery_points" in verified) == (0, True), verified
    page = said(capsys, "report", str(folder), "--format", "md")[1]
    assert "## Recovery points" in page, page
    assert "before the disaster, by DynamoDB LatestRestorableDateTime (evidence)" in page
    assert "the service's clock minus ours is in" in page


def test_without_the_check_of_the_content_or_without_the_basis_the_same_drill_proves_nothing(folder: Path) -> None:
    events, state = read_drill(folder)
    failed = [
        altered(one, body=altered(one.body, outcome=ev.Outcome.FAILED))
        if isinstance(one.body, ev.Ended) and one.body.step == "rows"
        else one
        for one in events
    ]
    assert isinstance(events[0].body, ev.Opened)
    pinned = codec.load(Plan, events[0].body.plan)
    by_markers = replace(pinned, objectives=(structs.replace(pinned.objectives[0], basis=Basis.MARKERS, seen_by=()),))
    for told, whole, verdict, why in (
        (events, pinned, "MET", "content checked by rows"),
        (failed, pinned, "UNPROVEN", "the content of the restored copy was never checked"),
        (events, by_markers, "UNPROVEN", "a recovery point is evidence only"),
    ):
        (found,) = judge(question(told, fold(whole, told))).objectives
        assert (found.verdict, why in found.why) == (verdict, True), found
    assert state.finished is not None


# -- what a runbook may say --------------------------------------------------------------------------------


def _wrong(tmp_path: Path, old: str, new: str) -> str:
    path = tmp_path / "book.yaml"
    text = BOOK.replace("BASIS", "restored_point")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(Invalid) as refused:
        load_runbook(path)
    return str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("dynamodb.pitr", "dynamodb.pitt", 9, "there is no probe 'dynamodb.pitt'; did you mean 'dynamodb.pitr'?"),
        ("dynamodb.pitr", "rds.available", 9, "rds.available does not say when a recovery point is"),
        ("dynamodb.pitr", "rds.replica_lag", 9, "tells a lag: a prediction, which proves no recovery point"),
        ("{table: orders}", "{tabel: orders}", 9, "dynamodb.pitr has no field 'tabel'; did you mean 'table'?"),
        ("id: snapshot", "id: pitr", 10, "the id 'pitr' stands already on line 9"),
        ("restored_point}", "restored_point, seen_by: [pitrr]}", 5, "'pitrr'"),
        ("restored_point}", "guess}", 5, "basis"),
        ("basis: restored_point", "seen_by: [pitr]", 5, "'pitr' is a recovery point: evidence"),
        ("from: recovery_point, to: disaster", "from: disaster, to: service_restored", 5, "has a basis; remove it"),
        ("operation: Scan,", "operation: DescribeTable,", 5, "only after the content of the copy was checked"),
        ("{db: nobody}", "{db: '${steps.rows.output.x}'}", 10, "knows no output"),
    ],
)
def test_a_wrong_recovery_point_is_refused_with_line_thing_and_repair(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    told = _wrong(tmp_path, old, new)
    assert words in told
    assert f"book.yaml:{line}:" in told


def test_a_runbook_with_a_basis_and_no_point_is_told_where_to_add_one(tmp_path: Path) -> None:
    block = BOOK[BOOK.index("  recovery_points:") : BOOK.index("steps:")]
    assert "add a probe under 'measure: recovery_points:'" in _wrong(tmp_path, block, "")


def test_the_plan_names_the_points_and_what_they_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pinned = compiled(tmp_path, "http://127.0.0.1:9", "markers")
    assert [(one.id, one.permissions, one.evidence) for one in pinned.recovery_points] == [
        ("pitr", ("dynamodb:DescribeContinuousBackups",), (Evidence.RECOVERY_POINT,)),
        ("snapshot", ("rds:DescribeDBSnapshots",), (Evidence.RECOVERY_POINT,)),
    ]
    assert "dynamodb:DescribeContinuousBackups" in needed(pinned)["west"].actions
    words = ["plan", str(tmp_path / "book.yaml"), "--env", str(tmp_path / "place.yaml")]
    _, shown = said(capsys, *words)
    assert "pitr: dynamodb.pitr at west (us-west-2, 111122223333)" in shown, shown
    assert "dynamodb:DescribeContinuousBackups" in shown
    told = json.loads(said(capsys, *words, "--output", "json")[1])
    assert "dynamodb:DescribeContinuousBackups" in told["permissions"]["west"]
    assert [one["id"] for one in told["recovery_points"]] == ["pitr", "snapshot"]
