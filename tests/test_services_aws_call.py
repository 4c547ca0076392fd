"""Runbooks that call any operation of AWS, from their YAML to the last undo, against a real moto server."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from aws_world import World, moto_server
from click.testing import CliRunner

from drills.aws.sessions import Accounts
from drills.cli.check import check
from drills.cli.compose import Show, open_drill
from drills.engine.compile import compile_plan
from drills.engine.plan import Mode
from drills.engine.progress import Status
from drills.errors import Invalid
from drills.runbook.load import load_environment, load_runbook
from drills.runbook.world import SandboxValues
from drills.timeline import events as ev
from drills.work import Kind

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from drills.engine.plan import Plan
    from drills.engine.state import State

ENVIRONMENT = """\
environment: place
kind: sandbox
home: us-east-2
sites:
  east: {account: "123456789012", region: us-east-1, values: {table: orders-east}}
  west: {account: "123456789012", region: us-east-1, values: {table: TABLE}}
values: {site_parameter: PARAMETER}
world: {primary: east, record: orders.drills.test}
"""

SWITCH = """\
runbook: switch
title: Say which site is active, and take it back
strategy: active-active
finally: undo
steps:
  - id: grow
    say: Give the table of the surviving site what it will need.
    action: aws.call
    at: to
    mark: decided
    timeout: 30s
    every: 100ms
    with:
      service: dynamodb
      operation: UpdateTable
      parameters:
        TableName: ${to.table}
        ProvisionedThroughput: {ReadCapacityUnits: 20, WriteCapacityUnits: 10}
      capture:
        - name: reads
          operation: DescribeTable
          parameters: {TableName: "${to.table}"}
          keep: Table.ProvisionedThroughput.ReadCapacityUnits
        - name: writes
          operation: DescribeTable
          parameters: {TableName: "${to.table}"}
          keep: Table.ProvisionedThroughput.WriteCapacityUnits
      undo:
        operation: UpdateTable
        parameters:
          TableName: ${to.table}
          ProvisionedThroughput:
            ReadCapacityUnits: ${before.reads}
            WriteCapacityUnits: ${before.writes}
      wait:
        operation: DescribeTable
        parameters: {TableName: "${receipt.table}"}
        path: Table.TableStatus
        equals: ACTIVE
        fails_on: [DELETING]
      output:
        table: TableDescription.TableName
        arn: TableDescription.TableArn
  - id: flag
    action: aws.call
    at: to
    with:
      service: ssm
      operation: put_parameter
      parameters: {Name: "${site_parameter}", Value: "${to.name} by ${steps.grow.output.arn}", Overwrite: true}
      idempotent: true
      capture:
        - {name: value, operation: GetParameter, parameters: {Name: "${site_parameter}"}, keep: Parameter.Value}
      undo:
        operation: PutParameter
        parameters: {Name: "${site_parameter}", Value: "${before.value}", Overwrite: true}
  - id: note
    action: flow.nothing
    at: to
    with: {note: "table ${steps.grow.output.table}, escaped $${before.value}"}
"""


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


def _written(folder: Path, runbook: str, **names: str) -> tuple[Path, Path]:
    book, place = folder / "runbook.yaml", folder / "place.yaml"
    book.write_text(runbook, encoding="utf-8")
    text = ENVIRONMENT
    for word, value in names.items():
        text = text.replace(word, value)
    place.write_text(text, encoding="utf-8")
    return book, place


def _compiled(folder: Path, runbook: str, endpoint: str = "http://127.0.0.1:1", **names: str) -> Plan:
    book, place = _written(folder, runbook, **names)
    booted = SandboxValues(endpoint, "127.0.0.1:53", str(folder), private=False, values={}, sites={})
    return compile_plan(
        load_runbook(book),
        load_environment(place),
        mode=Mode.REHEARSE,
        from_site="east",
        to_site="west",
        parameters={},
        ask=False,
        world=booted,
    )


def _driven(folder: Path, plan: Plan) -> tuple[State, list[Any]]:
    seen: list[Any] = []

    def listen(events: Sequence[ev.Event], _: State) -> None:
        seen.extend(event.body for event in events)

    show = Show(listen, lambda _: None, lambda: None)
    return open_drill(folder / "drill", plan, Accounts(), show, outside=None), seen


def _table(world: World) -> str:
    dynamodb: Any = world.client("dynamodb")
    name = world.name("orders")
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 3, "WriteCapacityUnits": 2},
    )
    return name


def _capacity(world: World, table: str) -> tuple[int, int]:
    dynamodb: Any = world.client("dynamodb")
    found = dynamodb.describe_table(TableName=table)["Table"].get("ProvisionedThroughput", {})
    return found.get("ReadCapacityUnits", 0), found.get("WriteCapacityUnits", 0)


def _parameter(world: World, name: str) -> str:
    ssm: SSMClient = world.client("ssm")
    return ssm.get_parameter(Name=name)["Parameter"].get("Value", "")


def test_calls_are_made_waited_for_named_by_later_steps_and_taken_back(world: World, tmp_path: Path) -> None:
    table, parameter = _table(world), world.name("/orders/site")
    ssm: SSMClient = world.client("ssm")
    ssm.put_parameter(Name=parameter, Value="east", Type="String")

    plan = _compiled(tmp_path, SWITCH, world.place.endpoint_url or "", TABLE=table, PARAMETER=parameter)
    assert [(step.id, step.needs, step.mark is not None) for step in plan.steps] == [
        ("grow", (), False),
        ("grow.wait", ("grow",), True),
        ("flag", ("grow.wait",), False),
        ("note", ("flag",), False),
    ]
    assert plan.step("grow.wait").say == "Wait until Table.TableStatus is ACTIVE."
    assert plan.step("grow").permissions == ("dynamodb:DescribeTable", "dynamodb:UpdateTable")
    assert plan.step("flag").permissions == ("ssm:GetParameter", "ssm:PutParameter")
    assert (plan.step("grow").idempotent, plan.step("flag").idempotent) == (False, True)

    state, told = _driven(tmp_path, plan)

    done = {body.step: body for body in told if isinstance(body, ev.Ended)}
    arn = f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}"
    assert {name: one.outcome.value for name, one in done.items()} == dict.fromkeys(
        ("grow", "grow.wait", "flag", "note"), "done"
    )
    assert (done["grow"].output["arn"], done["grow.wait"].detail) == (arn, "Table.TableStatus is ACTIVE")
    assert done["note"].output["note"] == f"table {table}, escaped ${{before.value}}"
    befores = {body.step: body.before for body in told if isinstance(body, ev.Started) and body.before}
    assert (befores["grow"]["reads"], befores["grow"]["writes"], befores["flag"]["value"]) == (3, 2, "east")
    assert [body.step for body in told if isinstance(body, ev.Undid)] == ["note", "flag", "grow"]
    history = ssm.get_parameter_history(Name=parameter)["Parameters"]
    assert [one.get("Value") for one in history] == ["east", f"west by {arn}", "east"]
    assert (_parameter(world, parameter), _capacity(world, table)) == ("east", (3, 2))
    assert not any(one.owed for one in state.progress.values())
    assert state.finished is not None
    assert state.finished.status == "unproven"  # without an objective nothing is claimed


ONE_WAY = """\
runbook: global-failover
title: Make the other region the writer
strategy: warm-standby
STEPS
"""
FENCE = """\
  - id: fence
    action: aws.call
    at: from
    with:
      service: ssm
      operation: PutParameter
      parameters: {Name: /orders/writes, Value: "off", Overwrite: true}
      holds_authority: true
      capture: [{name: old, operation: GetParameter, parameters: {Name: /orders/writes}, keep: Parameter.Value}]
      undo: {operation: PutParameter, parameters: {Name: /orders/writes, Value: "${before.old}", Overwrite: true}}
"""
MOVE = """\
  - id: move
    by_hand: In the console.
    action: aws.call
    at: to
    with:
      service: rds
      operation: failover_global_cluster
      parameters:
        GlobalClusterIdentifier: ${from.table}
        TargetDbClusterIdentifier: arn:aws:rds:${to.region}:${to.account}:cluster:orders
        AllowDataLoss: true
      one_way: the old primary is a new cluster afterwards
      authority: true
"""


def test_what_cannot_be_taken_back_and_what_moves_authority_is_seen_of_each_call(tmp_path: Path) -> None:
    book = ONE_WAY.replace("STEPS", "steps:\n" + FENCE + MOVE)
    plan = _compiled(tmp_path, book, TABLE="x", PARAMETER="y")
    fence, move = plan.steps
    assert (fence.reversible, fence.holds_authority, fence.authority) == (True, True, False)
    assert (move.reversible, move.one_way, move.authority) == (
        False,
        "the old primary is a new cluster afterwards",
        True,
    )
    assert move.permissions == ("rds:FailoverGlobalCluster",)
    late = load_runbook(_written(tmp_path, ONE_WAY.replace("STEPS", "no_fence: a test\nsteps:\n" + MOVE + FENCE))[0])
    assert "fence (aws.call) can fail and be undone, but stands behind the point of no return; move it up" in [
        one.message for one in late.warnings
    ]


@pytest.mark.parametrize(
    ("book", "line", "words"),
    [
        ("steps:\n" + MOVE, 7, "nothing fences the old primary"),
        ("finally: undo\nsteps:\n" + FENCE + MOVE, 4, "'undo' cannot take 'move' (line 16) back: the old primary"),
        ("steps:\n" + FENCE + MOVE.replace("authority: true", "authority: ${moves}"), 27, "write it out here"),
        ("steps:\n" + FENCE + MOVE.replace("    at: to\n", ""), 17, "aws.call acts on AWS; say where"),
    ],
)
def test_a_call_that_moves_authority_is_held_to_the_rules_at_load(
    book: str, line: int, words: str, tmp_path: Path
) -> None:
    path, _ = _written(tmp_path, ONE_WAY.replace("STEPS\n", book))
    with pytest.raises(Invalid) as caught:
        load_runbook(path)
    assert [one.line for one in caught.value.problems if words in one.message] == [line], str(caught.value)


BROKEN = {
    "a misspelt parameter": (
        ("      TableName: ${to.table}", "      TableNam: ${to.table}"),
        "did you mean 'TableName'",
    ),
    "a member of nothing": (("WriteCapacityUnits: 10", "WriteUnits: 10"), "did you mean 'WriteCapacityUnits'"),
    "a wrong type": (("ReadCapacityUnits: 20", "ReadCapacityUnits: many"), "is 'many', not a whole number"),
    "an unknown service": (("service: dynamodb", "service: dynamo"), "no service 'dynamo'; did you mean 'dynamodb'?"),
    "an unknown operation": (("operation: UpdateTable", "operation: UpdateTabel"), "did you mean 'UpdateTable'?"),
    "a name nobody captured": (("${before.writes}", "${before.write}"), "called 'write'; did you mean 'writes'?"),
    "an output nobody declared": (('"${receipt.table}"', '"${receipt.tabel}"'), "did you mean 'table'?"),
    "no JMESPath": (("path: Table.TableStatus", 'path: "Table."'), "is no JMESPath"),
    "nothing to compare with": (("        equals: ACTIVE\n", ""), "needs one of `equals` and `in`"),
    "an unknown field": (("        fails_on: ", "        fail_on: "), "did you mean 'fails_on'?"),
    "a write that should read": (
        ("wait:\n        operation: DescribeTable", "wait:\n        operation: DeleteTable"),
        "does not only read",
    ),
    "a receipt too early": (("TableName: ${to.table}", "TableName: ${receipt.table}"), "is not known yet"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_call_is_told_at_its_own_line_though_names_are_still_open(case: str, tmp_path: Path) -> None:
    (right, wrong), words = BROKEN[case]
    text = SWITCH.replace(right, wrong, 1)
    assert text != SWITCH
    lines = zip(SWITCH.splitlines(), text.splitlines(), strict=False)
    line = next(number for number, (old, new) in enumerate(lines, 1) if old != new)
    path, _ = _written(tmp_path, text)
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 5, result.output
    told = [one for one in result.output.splitlines() if words in one]
    assert len(told) == 1, result.output
    # What is missing is told where it should stand; all else on its own line.
    assert told[0].startswith(f"{path}:{line}: ") or case == "nothing to compare with", told


def test_enums_bounds_and_several_errors_are_told_at_once(tmp_path: Path) -> None:
    text = dedent("""\
        runbook: many
        title: t
        steps:
          - id: alarm
            action: aws.call
            at: to
            with:
              service: cloudwatch
              operation: PutMetricAlarm
              parameters:
                AlarmName: a
                EvaluationPeriods: 0
                ComparisonOperator: GreaterThen
                Statistic: sum
                Dimensions:
                  - Nam: x
              undo:
                operation: EnableAlarms
                parameters: {AlarmName: a}
        """)
    path, _ = _written(tmp_path, text)
    with pytest.raises(Invalid) as caught:
        load_runbook(path)
    told = [(one.line, one.message.removeprefix("aws.call: ")) for one in caught.value.problems]
    unknown = "which AWS does not know; did you mean"
    assert told == [
        (12, "PutMetricAlarm.EvaluationPeriods is 0; at least 1 is needed"),
        (
            13,
            f"PutMetricAlarm.ComparisonOperator is 'GreaterThen', {unknown} 'GreaterThanThreshold'?",
        ),
        (14, f"PutMetricAlarm.Statistic is 'sum', {unknown} 'Sum'?"),
        (16, "PutMetricAlarm.Dimensions[0] has no member 'Nam'; did you mean 'Name'?"),
        (16, "PutMetricAlarm.Dimensions[0] needs 'Value'; add it"),
        (17, "`undo` needs `capture` or `already`: nobody could say whether all is as it was"),
        (18, "cloudwatch has no operation 'EnableAlarms'; did you mean 'EnableAlarmActions'?"),
    ]


KEPT = """\
runbook: secret
title: A secret is never written down
steps:
  - id: rotate
    action: aws.call
    at: to
    with:
      service: ssm
      operation: PutParameter
      parameters: {Name: NAME, Value: new, Type: TYPE, Overwrite: true}
      capture: [{name: old, operation: GetParameter, parameters: {Name: NAME}, keep: KEEP}]
      undo: {operation: PutParameter, parameters: {Name: NAME, Value: "${before.old}", Overwrite: true}}
"""


@pytest.mark.parametrize(
    ("kind", "keep", "why"),
    [
        ("SecureString", "Parameter.Value", "AWS marks Parameter.Value as secret"),
        ("String", "Parameter.Valeu", "${before.old} is not known: nothing was recorded under that name"),
    ],
)
def test_what_could_not_be_taken_back_is_not_begun(
    world: World, tmp_path: Path, kind: Any, keep: str, why: str
) -> None:
    name = world.name("/orders/key")
    ssm: SSMClient = world.client("ssm")
    ssm.put_parameter(Name=name, Value="old", Type=kind)
    book = KEPT.replace("NAME", name).replace("TYPE", kind).replace("KEEP", keep)
    state, told = _driven(tmp_path, _compiled(tmp_path, book, world.place.endpoint_url or ""))
    one = state.progress["rotate"]
    assert one.status is Status.FAILED
    assert why in one.detail
    assert "nothing was changed" in one.detail
    assert not any(body.before for body in told if isinstance(body, ev.Started))
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"].get("Version") == 1


LATE = """\
runbook: late
title: An output that does not fit ends the step before it begins
steps:
  - {id: say, action: flow.nothing, at: to, with: {note: many}}
  - id: look
    probe: autoscaling.in_service
    at: to
    on_failure: continue
    with: {asg: app, count: "${steps.say.output.note}"}
  - id: gone
    probe: http.answers
    with: {url: "http://127.0.0.1/${steps.look.output.nothing}"}
"""


def test_an_output_that_does_not_fit_or_is_not_there_is_told_in_a_sentence(world: World, tmp_path: Path) -> None:
    state, _ = _driven(tmp_path, _compiled(tmp_path, LATE, world.place.endpoint_url or ""))
    look, gone = state.progress["look"], state.progress["gone"]
    assert (look.status, gone.status) == (Status.FAILED, Status.FAILED)
    assert "autoscaling.in_service: count: 'many' does not fit here; write a whole number" in look.detail
    assert "step look has given no output" in gone.detail


WAITING = """\
runbook: waiting
title: A wait stands where the step stood
steps:
  - {id: first, action: flow.nothing, at: to}
  - id: call
    action: aws.call
    at: to
    when: mode == 'rehearse'
    expect: 20s
    best_effort: 40s
    on_failure: continue
    with:
      service: backup
      operation: StartBackupJob
      parameters: {BackupVaultName: v, ResourceArn: "arn:x", IamRoleArn: "arn:y"}
      one_way: a backup is kept
      client_token: true
      output: {job: BackupJobId}
      wait:
        operation: DescribeBackupJob
        parameters: {BackupJobId: "${receipt.job}"}
        path: State
        in: [COMPLETED, PARTIAL]
        fails_on: [ABORTED, EXPIRED, FAILED]
  - {id: last, action: flow.nothing, at: to, needs: [first, call], with: {note: "${steps.call.output.job}"}}
"""


def test_a_wait_is_a_step_of_its_own_with_the_times_and_the_mark_of_the_whole(tmp_path: Path) -> None:
    plan = _compiled(tmp_path, WAITING)
    _, call, wait, last = plan.steps
    assert (wait.id, wait.kind, wait.uses, wait.needs) == ("call.wait", Kind.PROBE, "aws.read", ("call",))
    assert dict(wait.params)["parameters"] == {"BackupJobId": "${steps.call.output.job}"}
    assert (wait.say, wait.permissions) == ("Wait until State is COMPLETED or PARTIAL.", ("backup:DescribeBackupJob",))
    assert (call.timeout_s, call.expect_s, wait.timeout_s, wait.expect_s) == (60.0, 1.0, 300.0, 20.0)
    assert (call.best_effort_s, wait.best_effort_s, call.idempotent) == (40.0, 40.0, True)
    assert wait.when == "steps.\"call\".status == 'done'"
    assert last.needs == ("first", "call.wait")
    reserve = WAITING.replace("needs: [first, call]", "on_failure: {run: call}").replace(
        "${steps.call.output.job}", "x"
    )
    with pytest.raises(Invalid, match="call runs only when another step fails, and nothing follows it"):
        load_runbook(_written(tmp_path, reserve)[0])
