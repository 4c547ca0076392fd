"""The policies that `drills plan --iam` prints: within IAM's limits, of actions that exist, enough, and no more."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import pytest
from aws_world import World, moto_server
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as altered

from drills import catalog
from drills.aws import arns
from drills.aws.sessions import Accounts
from drills.cli.compose import open_drill
from drills.cli.main import main
from drills.engine import policies as iam
from drills.engine.compile import compile_plan
from drills.engine.plan import Allowed, Mode, Plan, Step
from drills.engine.progress import Status
from drills.runbook.load import load_environment, load_runbook
from drills.services.aws_model import operation_model, permissions, service_model
from drills.testing import plan, step
from drills.timeline.facts import Before, Facts, Receipt
from drills.work import Fault, Kind, Place, Reversible

ROOT = Path(__file__).parent.parent
ROLE = "arn:aws:iam::123456789012:role/drills"
ENVIRONMENT = """
environment: staging
kind: staging
home: us-east-2
sites:
  east: {{account: "123456789012", region: us-east-1, role: "{role}", values: {{db: {db_a}, asg: {asg_a}, vpc: {vpc_a},
    direct: "http://127.0.0.1:1/", others_alarm: others, dsn: "secretsmanager:orders/dsn"}}}}
  west: {{account: "123456789012", region: us-west-2, role: "{role}", values: {{db: {db_b}, asg: {asg_b}, vpc: vpc-0b2,
    direct: "http://127.0.0.1:1/", others_alarm: others, dsn: "secretsmanager:orders/dsn"}}}}
places: {{dns: {{account: "123456789012", region: us-east-1, role: "{role}"}}}}
values: {{url: "http://127.0.0.1:1", record: {record}, zone: {zone}, silence: 1s}}
scope: {{tags: {{drills: allowed}}}}
"""


@dataclass(frozen=True, slots=True)
class Staging:
    """The shipped warm standby, bound to things that stand in moto, and its places there."""

    plan: Plan
    places: tuple[Place, ...]
    east: World

    def local(self, *names: str) -> Plan:
        """Give the plan with some of its steps, to be carried out in moto."""
        steps = tuple(altered(one, needs=()) for one in self.plan.steps if one.id in names)
        return replace(self.plan, places=self.places, steps=steps, availability=(), data=(), hold_for_s=0.0)


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Generator[Staging]:
    with moto_server() as address:
        east, west = World(address), World(address, "us-west-2")
        zone, name = east.zone()
        record = f"orders.{name}"
        weights = [("east", 100), ("west", 0)]
        east.put_sets(
            zone,
            record,
            [
                {"SetIdentifier": site, "Weight": weight, "ResourceRecords": [{"Value": f"127.0.0.{number}"}]}
                for number, (site, weight) in enumerate(weights, 1)
            ],
        )
        west.client("cloudwatch").put_metric_alarm(
            AlarmName="others",
            MetricName="m",
            Namespace="n",
            Period=60,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanThreshold",
            Statistic="Sum",
            Threshold=1,
        )
        text = ENVIRONMENT.format(
            role=ROLE,
            db_a=east.db(),
            db_b=west.db(replica_of=west.db()),
            asg_a=east.asg(),
            asg_b=west.asg(),
            vpc_a=east.vpc()[0],
            record=record,
            zone=zone,
        )
        folder = tmp_path_factory.mktemp("staging")
        (folder / "staging.yaml").write_text(text, encoding="utf-8")
        compiled = compiled_plan(folder / "staging.yaml")
        places = tuple(replace(one, endpoint_url=address, access_key="AKIATEST00000000") for one in compiled.places)
        yield Staging(compiled, places, east)


def compiled_plan(environment: Path, way: tuple[str, str] = ("east", "west"), mode: Mode = Mode.RUN) -> Plan:
    book, place = load_runbook(ROOT / "runbooks" / "warm-standby.yaml"), load_environment(environment)
    return compile_plan(book, place, mode=mode, from_site=way[0], to_site=way[1], parameters={}, ask=False, world=None)


def actions_of(found: tuple[iam.RolePolicies, ...], effect: str = "Allow") -> Iterator[str]:
    for one in found:
        for document in one.documents:
            for statement in document["Statement"]:
                if statement["Effect"] == effect:
                    yield from statement["Action"]


# -- what IAM takes ----------------------------------------------------------------------------------------


def test_every_action_of_the_shipped_runbook_exists_and_is_granted_once_for_each_of_its_bounds(
    staging: Staging,
) -> None:
    found = iam.policies([staging.plan])
    granted = set(actions_of(found))
    assert "kms:ScheduleKeyDeletion" in set(actions_of(found, "Deny"))
    assert not {one for one in actions_of(found, "Deny") for other in granted if fnmatchcase(other, one)}
    declared = {action for one in staging.plan.steps for action in one.permissions}
    assert declared <= granted
    for action in granted | {one for one in actions_of(found, "Deny") if "*" not in one}:
        assert exists(action), action


ALIASES = {
    "elasticfilesystem": "efs",
    "cloudwatch": "cloudwatch",
    "route53-recovery-cluster": "route53-recovery-cluster",
    "elasticloadbalancing": "elbv2",
    "cloudhsm": "cloudhsmv2",
    "es": "opensearch",
    "tag": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
}
"""IAM's prefixes that are not botocore's names."""
NOT_AN_OPERATION = {"s3:DeleteMultiRegionAccessPoint", "s3:GetObject", "s3:ListBucket"}
"""Actions that IAM knows by another name than the API."""


def exists(action: str) -> bool:
    """Look an action up in botocore's model of its service."""
    prefix, _, name = action.partition(":")
    model = service_model(ALIASES.get(prefix, prefix))
    known = {one for operation in model.operation_names for one in permissions(model.operation_model(operation))}
    return action in known | NOT_AN_OPERATION or name in model.operation_names


def test_the_table_of_resources_names_actions_that_exist() -> None:
    for action in arns.PATTERNS:
        assert exists(action), action
    assert set(arns.PATTERNS) >= arns.TAGGED


def test_reads_and_changes_are_apart_and_what_can_be_named_is_named(staging: Staging) -> None:
    (one,) = iam.policies([staging.plan])
    assert (one.account, one.role) == ("123456789012", ROLE)
    by_action = {
        action: statement
        for document in one.documents
        for statement in document["Statement"]
        for action in statement["Action"]
    }
    db_b = next(one.params["db"] for one in staging.plan.steps if one.id == "promote")
    promote = by_action["rds:PromoteReadReplica"]
    assert promote["Resource"] == [f"arn:aws:rds:us-west-2:123456789012:db:{db_b}"]
    assert promote["Condition"] == {"StringEquals": {"aws:ResourceTag/drills": "allowed"}}
    assert by_action["ec2:DescribeNetworkAcls"]["Condition"]["StringEquals"]["aws:RequestedRegion"]
    for document in one.documents:
        for statement in document["Statement"]:
            reads = {iam.is_read(action) for action in statement["Action"]}
            assert len(reads) == 1 or statement["Effect"] == "Deny"
    told = {wide.action for wide in one.wide}
    on_all = {
        action
        for document in one.documents
        for statement in document["Statement"]
        if statement["Effect"] == "Allow" and statement["Resource"] == ["*"]
        for action in statement["Action"]
    }
    assert on_all <= told
    assert all(wide.why for wide in one.wide)


def test_what_is_allowed_by_its_id_is_not_bound_to_a_tag() -> None:
    params = Facts(db="orders-b")
    one = step("promote", place="west", params=params, permissions=("rds:PromoteReadReplica",))
    places = (Place("west", "111122223333", "us-west-2"),)
    bound = plan(one, places=places, scope=Allowed(Facts(drills="allowed"), 10, ("orders-b",)))
    (found,) = iam.policies([bound])
    assert "aws:ResourceTag" not in json.dumps(found.documents)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(arns.PATTERNS)), st.lists(st.from_regex(r"[a-z]{1,60}", fullmatch=True), max_size=40)
        ),
        max_size=60,
    )
)
def test_no_document_is_longer_than_iam_takes_and_nothing_is_lost_by_splitting(
    asked: list[tuple[str, list[str]]],
) -> None:
    steps = [
        step(f"s{number}", place="west", params=Facts(ids=[*ids], db=ids[0] if ids else ""), permissions=(action,))
        for number, (action, ids) in enumerate(asked)
    ]
    bound = plan(*steps, places=(Place("west", "111122223333", "us-west-2"),))
    for one in iam.policies([bound]):
        assert all(iam.size(document) <= iam.LONGEST for document in one.documents)
        statements = [statement for document in one.documents for statement in document["Statement"]]
        assert len({statement["Sid"] for statement in statements}) == len(statements)
        assert all(statement["Sid"].isalnum() for statement in statements)
        for wanted in steps:
            for action in wanted.permissions:
                for arn in arns.resources(action, arns.Spot("111122223333", "us-west-2"), wanted.params):
                    assert any(action in one["Action"] and arn in one["Resource"] for one in statements)


def test_the_command_prints_policies_without_asking_anybody(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this-profile")
    file = tmp_path / "staging.yaml"
    file.write_text((ROOT / "environments" / "staging.example.yaml").read_text())
    main(["plan", "warm-standby", "--env", str(file), "--iam", "--output", "json"])
    told = json.loads(capsys.readouterr().out)
    (role,) = told["roles"]
    assert role["role"] == "arn:aws:iam::111122223333:role/drills"
    databases = json.dumps(role["policies"])
    assert "db:orders-a" in databases
    assert "db:orders-b" in databases, "the way back is there as well"
    assert told["trust"]["Statement"][0]["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]


# -- whether it is enough, and no more -----------------------------------------------------------------------


def for_moto(document: iam.Document) -> str:
    """Write a policy as moto can judge it: it evaluates actions, on * only, and no condition."""
    statements = [{**one, "Resource": "*"} for one in document["Statement"]]
    for one in statements:
        one.pop("Condition", None)
        # moto calls CloudWatch by the name with which its calls are signed
        one["Action"] = [action.replace("cloudwatch:", "monitoring:") for action in one["Action"]]
    return json.dumps({**document, "Statement": statements})


@contextmanager
def enforced(staging: Staging, called: list[tuple[str, str]], without: str = "") -> Generator[Accounts]:
    """Let moto ask IAM about every call, for the role with exactly the printed policies, less one action."""
    import boto3
    from moto import settings as moto
    from moto.core.authorization import ActionAuthenticatorMixin

    make = cast("Any", boto3).client
    client = make(  # no session of drills touches identities
        "iam",
        region_name="us-east-1",
        endpoint_url=staging.east.place.endpoint_url,
        aws_access_key_id="AKIATEST00000000",
        aws_secret_access_key="of-no-value",  # noqa: S106 - moto takes any
    )
    client.create_role(RoleName="drills", AssumeRolePolicyDocument="{}")
    (found,) = iam.policies([staging.plan])
    for number, document in enumerate(found.documents):
        for one in document["Statement"]:
            one["Action"] = [action for action in one["Action"] if action != without] or ["none:Nothing"]
        client.put_role_policy(RoleName="drills", PolicyName=f"p{number}", PolicyDocument=for_moto(document))
    accounts = Accounts(on_call=lambda _, service, name, __: called.append((service, name)))
    for place in staging.places:
        accounts.read(place).client("sts").get_caller_identity()
        accounts.write(place).client("sts").get_caller_identity()
    moto.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    try:
        yield accounts
    finally:
        moto.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        names = client.list_role_policies(RoleName="drills")["PolicyNames"]
        for name in names:
            client.delete_role_policy(RoleName="drills", PolicyName=name)
        client.delete_role(RoleName="drills")


@contextmanager
def asking_iam(service: str) -> Generator[None]:
    """Let IAM be asked but for Route 53, whose signatures moto cannot check (its path has a version in it)."""
    from moto import settings as moto

    moto.INITIAL_NO_AUTH_ACTION_COUNT = float("inf") if service == "route53" else 0
    yield


def carried_out(one: Step, work: Any, read: Any, write: Any) -> tuple[Any, Before, Receipt | None]:
    """Do all that an engine does with a step up to its end."""
    if one.kind is Kind.PROBE:
        seen = work.observe(read)
        assert seen.ok is not None or "Denied" not in seen.detail, seen
        return work, Before(), None
    work.targets(read)
    before = work.capture(read)
    work.already(read)
    receipt = work.perform(write, before)
    if isinstance(work, Fault):
        work.in_effect(read)
    return work, before, receipt


def test_a_role_with_the_printed_policies_may_do_all_of_the_shipped_runbook(staging: Staging) -> None:
    change, called = "", list[tuple[str, str]]()
    with enforced(staging, called) as accounts:
        places = {place.name: place for place in staging.places}
        done: list[tuple[Any, Place, Before, Receipt | None]] = []
        for one in staging.plan.steps:
            if not one.permissions or one.kind is Kind.OPERATOR or one.uses.startswith(("sql.", "http.")):
                continue
            params = {**one.params, **({"change": change} if "change" in one.params else {})}
            work: Any = catalog.load(one.kind, one.uses).model_validate(params)
            place = places[one.place]
            with asking_iam(one.uses.partition(".")[0]):
                work, before, receipt = carried_out(one, work, accounts.read(place), accounts.write(place))
            change = str(receipt["change_id"]) if receipt is not None and "change_id" in receipt else change
            if one.reversible:
                done.append((work, place, before, receipt))
        assert len(done) == 4
        for work, place, before, receipt in reversed(done):
            assert isinstance(work, Reversible)
            with asking_iam(work.name.partition(".")[0]):
                work.undo(accounts.write(place), before, receipt)
                assert work.restored(accounts.read(place), before).ok is True
    needed = {action for service, name in called for action in permissions(operation_model(service, name))}
    assert {"route53:ChangeResourceRecordSets", "rds:PromoteReadReplica"} < needed
    assert needed <= set(actions_of(iam.policies([staging.plan])))


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("scale", "autoscaling:UpdateAutoScalingGroup"),
        pytest.param("promote", "rds:PromoteReadReplica", marks=pytest.mark.prove),
    ],
)
def test_without_one_of_its_actions_a_step_is_refused_and_has_failed(
    staging: Staging, tmp_path: Path, name: str, action: str
) -> None:
    from credentials_drill import in_silence

    from drills.cli.compose import Show

    show = Show(in_silence, lambda _: None, lambda: None)
    bound = staging.local(name)
    with enforced(staging, [], without=action) as accounts:
        state = open_drill(tmp_path / "drill", bound, accounts, show, outside=None)
    one = state.progress[name]
    assert one.status is Status.FAILED
    assert "is not authorized to perform" in one.detail
    assert "allow it to the role" in one.detail
