"""Whose credentials a drill has, how narrow they are, how long they last, and where STS is asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from aws_world import moto_server
from hypothesis import given
from hypothesis import strategies as st
from test_aws_seam import refusal, wire

from drills import catalog
from drills.aws.holder import ROLE_LASTS_S, Holder, Standing, Terms
from drills.aws.identity import Lasting, lasting
from drills.aws.narrow import LONGEST, Needed, is_read, narrow
from drills.aws.place import Place
from drills.aws.sessions import Accounts, config_for
from drills.engine import permissions
from drills.engine.gates import credentials
from drills.engine.gates.question import Question
from drills.engine.plan import DataWatch, Plan
from drills.errors import Rejected
from drills.testing import plan, step
from drills.timeline.events import Gated
from drills.timeline.facts import Facts
from drills.work import Kind

ROLE = "arn:aws:iam::111122223333:role/drills"
WEST = Place("west", "111122223333", "us-west-2", ROLE)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

actions = st.builds(
    "{}:{}{}".format,
    st.sampled_from(["ec2", "rds", "autoscaling", "dynamodb", "secretsmanager"]),
    st.sampled_from(["Describe", "Get", "List", "Put", "Delete", "Modify", "TestFailover"]),
    st.sampled_from(["", *"ABCDEFGH", *(letter * 40 for letter in "IJKLMNOP")]),
)


@pytest.fixture(scope="module")
def moto() -> Generator[str]:
    with moto_server() as address:
        yield address


def allowed(policy: str) -> list[str]:
    found: list[str] = []
    for statement in json.loads(policy)["Statement"]:
        listed: Any = statement["Action"]
        if statement["Resource"] == "*":
            found += [listed] if isinstance(listed, str) else listed
    return found


# -- how narrow --------------------------------------------------------------------------------------------


@given(st.frozensets(actions, max_size=90), st.booleans(), st.booleans())
def test_a_session_policy_holds_every_action_or_says_that_there_is_none(
    needed: frozenset[str],
    own: bool,  # noqa: FBT001 - drawn by hypothesis
    writes: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    found = narrow(Needed(needed, own), writes=writes)
    wanted = needed if writes else {one for one in needed if is_read(one)}
    assert len(found.policy) <= LONGEST
    if not found.policy:
        assert found.told.startswith("not narrowed: ")
        return
    patterns = allowed(found.policy)
    assert all(any(fnmatchcase(one, pattern) for pattern in patterns) for one in wanted)
    if not writes:
        assert all(is_read(one.rstrip("*")) for one in patterns if one != "sts:GetCallerIdentity")


def test_a_policy_that_is_too_long_is_never_cut() -> None:
    many = frozenset(f"rds:Modify{'X' * 30}{number}" for number in range(60))
    found = narrow(Needed(many), writes=True)
    assert found.policy == ""
    assert found.told.startswith("not narrowed: a session policy for 60 actions has ")


def test_reads_of_one_service_are_written_together_before_giving_up() -> None:
    many = frozenset(f"rds:Describe{'X' * 30}{number}" for number in range(60)) | {"rds:PromoteReadReplica"}
    found = narrow(Needed(many), writes=True)
    assert sorted(allowed(found.policy)) == ["rds:Describe*", "rds:PromoteReadReplica"]


def test_a_plan_needs_what_its_steps_declare_and_the_secrets_that_are_named_in_it() -> None:
    watched = (DataWatch("orders", "sql", "secretsmanager:old/dsn", "env:DSN"),)
    bound = plan(
        step("a", place="west", permissions=("rds:PromoteReadReplica",)),
        step("b", Kind.PROBE, "a", place="east", params=Facts(dsn="ssm:/orders/dsn")),
        places=(replace(WEST, name="east"), WEST),
        data=watched,
    )
    assert permissions.needed(bound) == {
        "east": Needed(frozenset({"kms:Decrypt", "ssm:GetParameter"}), own=True),
        "west": Needed(frozenset({"rds:PromoteReadReplica", "kms:Decrypt", "secretsmanager:GetSecretValue"}), own=True),
    }


# -- a role --------------------------------------------------------------------------------------------------


def assumed() -> Any:
    """What moto's STS was last asked for."""
    from moto.sts.models import sts_backends

    return sts_backends["111122223333"]["aws"].assumed_roles[-1]


def test_a_role_session_carries_the_drill_s_name_and_the_plan_s_permissions_and_no_more(moto: str) -> None:
    place = replace(WEST, endpoint_url=moto, access_key="AKIATEST00000000", external_id="of-the-drills")
    needed = Needed(frozenset({"rds:DescribeDBInstances", "rds:PromoteReadReplica"}))
    accounts = Accounts(terms=Terms("20260501 orders/1", "us-west-2", {"west": needed}))
    accounts.read(place).client("rds").describe_db_instances()
    asked = assumed()
    assert (asked.session_name, asked.external_id) == ("20260501-orders-1", "of-the-drills")
    assert allowed(asked.policy) == ["rds:DescribeDBInstances"]
    accounts.write(place).client("rds").describe_db_instances()
    assert allowed(assumed().policy) == ["rds:DescribeDBInstances", "rds:PromoteReadReplica"]
    found = accounts.standing(place)
    assert found.arn == "arn:aws:sts::111122223333:assumed-role/drills/20260501-orders-1"
    assert found.narrowed == "narrowed to 2 actions"
    assert found.until_ns is not None


def test_credentials_that_are_renewed_are_new_ones(moto: str) -> None:
    place = replace(WEST, endpoint_url=moto, access_key="AKIATEST00000000")
    accounts = Accounts()
    session = accounts.write(place)
    session.client("rds").describe_db_instances()
    first = assumed().access_key_id
    assert accounts.worked(place)
    accounts.renew(place)
    session.client("rds").describe_db_instances()
    assert assumed().access_key_id != first
    assert accounts.worked(place), "that they worked before is what tells an end from a beginning"


ANSWER = (
    "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/drills/d</Arn>"
    "<AssumedRoleId>A:d</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>ASIA1</AccessKeyId>"
    "<SecretAccessKey>of-no-value</SecretAccessKey><SessionToken>t</SessionToken>"
    "<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
)
IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::444455556666:assumed-role/dev/anna</Arn>"
    "<UserId>U</UserId><Account>444455556666</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)


def answered(body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


def test_a_policy_that_sts_cannot_pack_is_left_out_whole_and_said_aloud() -> None:
    asked: list[bytes] = []

    def answer(connection: Any) -> None:
        packs = b"Policy=" in asked[-1]
        who = b"Action=GetCallerIdentity" in asked[-1]
        connection.sendall(
            answered(IDENTITY) if who else refusal(400, "PackedPolicyTooLarge") if packs else answered(ANSWER)
        )

    with wire(answer) as (endpoint, requests):
        asked = requests
        told: list[str] = []
        place = replace(WEST, endpoint_url=endpoint, access_key="AKIATEST00000000")
        terms = Terms("d", needed={"west": Needed(frozenset({"rds:DescribeDBInstances"}))}, aloud=told.append)
        found = Accounts(terms=terms).standing(place)
    assert found.narrowed.startswith("not narrowed: STS cannot pack a session policy of ")
    assert told == [f"west: {found.narrowed}"]
    assert found.chained
    sent = [one for one in asked if b"Action=AssumeRole" in one]
    assert [b"Policy=" in one for one in sent] == [True, False]
    assert all(f"DurationSeconds={ROLE_LASTS_S}".encode() in one for one in sent)
    assert ROLE_LASTS_S <= 3600


def test_sts_is_asked_on_the_side_that_survives_and_never_at_the_global_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST00000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-no-value")
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    lost = Place("east", "111122223333", "us-east-1")
    accounts = Accounts(terms=Terms(sts_region="us-west-2"))
    assert accounts.read(lost).client("sts").meta.endpoint_url == "https://sts.us-west-2.amazonaws.com"
    assert Accounts().read(lost).client("sts").meta.endpoint_url == "https://sts.us-east-1.amazonaws.com"


# -- how long they last --------------------------------------------------------------------------------------


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Mapping[str, str]], Lasting]:
    """Give what is said of credentials that come from these files and variables alone."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def found(config: str, variables: Mapping[str, str]) -> Lasting:
        file = tmp_path / "config"
        file.write_text(config, encoding="utf-8")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        import botocore.session

        return lasting(botocore.session.Session())

    return found


KEYS = "aws_access_key_id = AKIATEST00000000\naws_secret_access_key = of-no-value\n"
OF_KEYS = "[default]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = keys\n"
LATER = "2100-01-01T00:00:00Z"
LATER_NS = 4102444800 * 10**9


@pytest.mark.parametrize(
    ("config", "variables", "known", "until_ns"),
    [
        (f"[default]\n{KEYS}", {}, True, None),
        (f"[default]\n{KEYS}aws_session_token = t\n", {}, False, None),
        (f"[default]\n{KEYS}aws_session_token = t\naws_expiration = {LATER}\n", {}, True, LATER_NS),
        ("", {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}, True, None),
        ("", {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "t"}, False, None),
        (
            "",
            {
                "AWS_ACCESS_KEY_ID": "A",
                "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_SESSION_TOKEN": "t",
                "AWS_CREDENTIAL_EXPIRATION": LATER,
            },
            True,
            LATER_NS,
        ),
        (
            f"{OF_KEYS}[profile keys]\n{KEYS}aws_session_token = t\n",
            {},
            False,
            None,
        ),
        (
            f"{OF_KEYS}[profile keys]\n{KEYS}",
            {},
            True,
            None,
        ),
    ],
    ids=["keys", "token", "token-until", "env", "env-token", "env-until", "role-of-token", "role-of-keys"],
)
def test_how_long_credentials_last_is_read_from_where_they_come_from(
    homeless: Any, config: str, variables: dict[str, str], known: object, until_ns: int | None
) -> None:
    found: Lasting = homeless(config, variables)
    assert (found.known, found.until_ns) == (known, until_ns)
    assert found.renew


SSO = (
    "[default]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = r\n"
    "[sso-session corp]\nsso_start_url = https://corp.example\nsso_region = us-east-1\n"
)


@pytest.mark.parametrize(
    ("token", "known", "until_ns"),
    [
        ({"expiresAt": LATER, "accessToken": "t"}, True, LATER_NS),
        ({"expiresAt": "2026-01-01T00:00:00Z", "refreshToken": "r", "registrationExpiresAt": LATER}, True, LATER_NS),
        ({}, False, None),
    ],
    ids=["token", "renewed-by-itself", "never-logged-in"],
)
def test_a_login_lasts_as_long_as_its_cached_token_says(
    tmp_path: Path, homeless: Any, token: dict[str, str], known: object, until_ns: int | None
) -> None:
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    if token:
        (cache / f"{sha1(b'corp', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))
    found: Lasting = homeless(SSO, {})
    assert (found.known, found.until_ns, found.renew) == (known, until_ns, "`aws sso login --profile default`")


def test_a_web_identity_lasts_as_long_as_its_token_says(tmp_path: Path, homeless: Any) -> None:
    middle = base64.urlsafe_b64encode(json.dumps({"exp": 4102444800}).encode()).rstrip(b"=").decode()
    (tmp_path / "token").write_text(f"x.{middle}.x")
    variables = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/x",
    }
    assert homeless("", variables).until_ns == LATER_NS
    (tmp_path / "token").write_text("no token at all")
    assert not homeless("", variables).known


def test_no_credentials_at_all_is_a_refusal_with_the_repair(homeless: Any) -> None:
    with pytest.raises(Rejected, match="set AWS_PROFILE or log in"):
        homeless("", {})


def test_an_mfa_code_is_never_asked_for_at_a_hidden_prompt(homeless: Any) -> None:
    config = (
        "[default]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = keys\n"
        f"mfa_serial = arn:aws:iam::111122223333:mfa/anna\n[profile keys]\n{KEYS}"
    )
    assert not homeless(config, {}).known
    place = Place("west", "111122223333", "us-west-2")
    with pytest.raises(Rejected, match="asks for an MFA code, and a drill cannot type one"):
        Accounts().standing(place)


def test_the_glass_is_broken_aloud_and_only_where_the_ordinary_identity_cannot_be_had(homeless: Any) -> None:
    with pytest.raises(Rejected):
        homeless(f"[profile emergency]\n{KEYS}", {})
    told: list[str] = []
    place = Place("west", "111122223333", "us-west-2")
    holder = Holder(place, Terms(break_glass="emergency", aloud=told.append), config_for(place))
    assert holder.core(writes=True).get_credentials().access_key == "AKIATEST00000000"
    assert holder.core(writes=False).get_credentials().access_key == "AKIATEST00000000"
    assert len(told) == 1
    assert told[0].startswith("BREAK GLASS: profile emergency acts at west (111122223333), for the ordinary identity")


# -- the gate ------------------------------------------------------------------------------------------------


class Told:
    """Accounts whose credentials are as a test says."""

    def __init__(self, lasts: Lasting | Rejected) -> None:
        self.lasts = lasts

    def standing(self, place: Place, needed: Needed | None = None) -> Standing:
        assert needed is not None
        if isinstance(self.lasts, Rejected):
            raise self.lasts
        return Standing(f"arn:of:{place.name}", self.lasts, "narrowed to 3 actions")


def answer(lasts: Lasting | Rejected, bound: Plan) -> Gated:
    accounts: Any = Told(lasts)
    question = Question(bound, accounts, catalog.load, NOW)
    (found,) = credentials.ask(question)
    return found


def bound_plan() -> Plan:
    return plan(step("a", place="west", timeout_s=600.0), places=(WEST,), deadline_s=3600.0)


@given(st.integers(0, 3 * 3600))
def test_a_drill_is_refused_exactly_when_its_credentials_end_before_its_budget_and_its_undo(left_s: int) -> None:
    bound = bound_plan()
    until_ns = int((NOW + timedelta(seconds=left_s)).timestamp()) * 10**9
    found = answer(Lasting("profile x", known=True, until_ns=until_ns, renew="`aws sso login --profile x`"), bound)
    assert found.ok is (left_s >= 3600 + 600)
    assert "narrowed to 3 actions" in found.detail
    assert found.ok or "`aws sso login --profile x`" in found.detail


def test_credentials_of_which_nothing_is_known_are_no_yes() -> None:
    assert answer(Lasting("env", known=False, until_ns=None, renew="export new ones"), bound_plan()).ok is None
    assert answer(Rejected("no credentials"), bound_plan()).ok is None
    assert answer(Lasting("a machine", known=True, until_ns=None, renew=""), bound_plan()).ok is True
