"""What goes over the wire and what does not: the read-only seam, the wall round the sandbox, and the map of errors."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_world import World, moto_server
from botocore.exceptions import UnknownServiceError
from botocore.loaders import create_loader
from hypothesis import given
from hypothesis import strategies as st

from drills.aws.classify import PASSING, THROTTLED, classify, mapped
from drills.aws.model_files import Files, Models
from drills.aws.models import loader
from drills.aws.place import Place
from drills.aws.readonly import SECRETS, WriteRefused, only_reads
from drills.aws.retry import Retry
from drills.aws.secrets import FRESH_S, Secrets
from drills.aws.sessions import Accounts, check_wall
from drills.errors import Busy, Expired, Missing, Refused, Rejected, Unanswered, WorkError
from drills.log import open_log, redact, strike
from drills.services.aws_model import service_model
from drills.testing import FakeClock

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_sts import STSClient


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


# -- a server that answers as it is told, byte by byte -----------------------------------------------------


def refusal(status: int, code: str, message: str = "as the test wants it") -> bytes:
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    ).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def whole_request(connection: socket.socket) -> bytes:
    """Read a request with its body: closing on unread bytes would reset the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    sizes = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while sizes and len(body) < int(sizes[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def wire(answer: Callable[[socket.socket], None]) -> Generator[tuple[str, list[bytes]]]:
    """Serve real connections with ``answer``; gives the address and what was asked, request by request."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    asked.append(whole_request(connection))
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def sends(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def place(endpoint: str) -> Place:
    return Place("east", "123456789012", "us-east-1", endpoint_url=endpoint, access_key="AKIATEST00000000")


def ask(endpoint: str, *, writes: bool) -> WorkError:
    """Make one call and give what drills makes of its failure."""
    accounts = Accounts()
    session = accounts.write(place(endpoint)) if writes else accounts.read(place(endpoint))
    rds: RDSClient = session.client("rds")
    call = rds.reboot_db_instance if writes else rds.describe_db_instances
    with pytest.raises(WorkError) as caught, mapped(writes=writes):
        call(DBInstanceIdentifier="orders")
    return caught.value


ANSWERS = [
    *[(400, code, Busy) for code in sorted(THROTTLED)],
    *[(400, code, Busy) for code in sorted(PASSING)],
    (503, "SlowDown", Busy),
    (429, "Anything", Busy),
    (400, "InvalidParameterValue", Rejected),
    (403, "AccessDenied", Rejected),
    (404, "DBInstanceNotFound", Missing),
    (403, "ExpiredToken", Expired),
    (400, "LimitExceededException", Rejected),
    (500, "InsufficientInstanceCapacity", Rejected),
    (501, "NotImplemented", Rejected),
    (500, "InternalFailure", Unanswered),
    (502, "BadGateway", Unanswered),
    (503, "ServiceUnavailable", Unanswered),
    (504, "GatewayTimeout", Unanswered),
]


@pytest.mark.parametrize(
    ("status", "code", "meaning"), ANSWERS, ids=[f"{code}-{status}" for status, code, _ in ANSWERS]
)
def test_an_answer_means_what_its_code_says_whether_it_writes_or_not(
    status: int, code: str, meaning: type[WorkError]
) -> None:
    from botocore.exceptions import ClientError

    error = ClientError(
        {"Error": {"Code": code, "Message": "as the test wants it"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # pyright: ignore[reportArgumentType] - an answer cut to what matters
        "PromoteReadReplica",
    )
    for writes in (True, False):
        found = classify(error, writes=writes)
        assert type(found) is meaning
        assert "PromoteReadReplica" in str(found)


def test_over_the_wire_a_refusal_is_rejected_a_throttle_busy_and_a_failure_of_the_service_unanswered() -> None:
    for answer, meaning in (
        (refusal(400, "InvalidParameterValue"), Rejected),
        (refusal(400, "Throttling"), Busy),
        (refusal(500, "InternalFailure"), Unanswered),
        (refusal(503, "ServiceUnavailable"), Unanswered),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<broken<x", Unanswered),
    ):
        with wire(sends(answer)) as (endpoint, asked):
            assert type(ask(endpoint, writes=True)) is meaning
            assert len(asked) == 1, "a write is sent once, whatever the answer"


def test_a_write_that_was_cut_off_is_unanswered_and_was_sent_once() -> None:
    cuts: tuple[Callable[[socket.socket], None], ...] = (
        resets,
        lambda connection: connection.close(),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n<half"),
    )
    for cut in cuts:
        with wire(cut) as (endpoint, asked):
            assert type(ask(endpoint, writes=True)) is Unanswered
            assert len(asked) == 1


def test_a_bucket_that_lies_elsewhere_is_not_written_to_a_second_time() -> None:
    body = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
    head = b"HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-1\r\nConnection: close\r\n"
    with wire(sends(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)) as (endpoint, asked):
        place = Place("east", "1", "us-east-1", endpoint_url=endpoint, access_key="AKIA1")
        with pytest.raises(WorkError), mapped(writes=True):
            Accounts().write(place).client("s3").put_object(Bucket="orders", Key="a", Body=b"1")
        assert len(asked) == 1


def test_a_write_that_nobody_answers_in_time_is_unanswered() -> None:
    from botocore.config import Config
    from botocore.session import Session

    held = threading.Event()
    with wire(lambda _: (held.wait(5), None)[1]) as (endpoint, asked):
        client: Any = Session().create_client(
            "rds",
            region_name="us-east-1",
            endpoint_url=endpoint,
            aws_access_key_id="a",
            aws_secret_access_key="b",  # noqa: S106 - keys of nobody
            config=Config(read_timeout=0.2, retries={"total_max_attempts": 1}),
        )
        with pytest.raises(Unanswered), mapped(writes=True):
            client.promote_read_replica(DBInstanceIdentifier="orders")
        held.set()
        assert len(asked) == 1


def test_where_no_connection_comes_about_nothing_was_sent_and_asking_again_is_safe() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert type(ask(endpoint, writes=True)) is Busy


def test_a_read_is_repeated_by_botocore_and_a_write_never() -> None:
    with wire(sends(refusal(503, "ServiceUnavailable"))) as (endpoint, asked):
        ask(endpoint, writes=False)
        assert len(asked) == 3


def test_missing_credentials_are_a_rejection_that_names_the_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    sts: STSClient = Accounts().read(Place("east", "111122223333", "us-east-1")).client("sts")
    with pytest.raises(Rejected, match="AWS_PROFILE"), mapped(writes=False):
        sts.get_caller_identity()


def test_a_bug_of_ours_is_not_renamed() -> None:
    with pytest.raises(ZeroDivisionError), mapped(writes=True):
        _ = 1 / 0
    assert classify(KeyError("x"), writes=True) is None


# -- the wall round the sandbox ----------------------------------------------------------------------------


def test_a_sandbox_place_uses_neither_profile_nor_keys_nor_endpoint_of_the_user(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile mine]\naws_access_key_id = AKIAREALREALREAL\naws_secret_access_key = real\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    seen: list[str] = []
    client = Accounts().read(world.place).client("sts")

    def note(request: Any, **_: Any) -> None:
        seen.append(str(request.headers))

    client.meta.events.register("before-send", note)
    client.get_caller_identity()
    assert "AKIATEST00000000" in seen[0]
    assert "REAL" not in seen[0]


def test_a_place_in_aws_never_gets_an_endpoint_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_RDS", "http://127.0.0.1:1")
    client = Accounts().write(Place("east", "111122223333", "eu-west-1")).client("rds")
    assert client.meta.endpoint_url == "https://rds.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "endpoint", ["http://10.0.0.1:5000", "https://rds.us-east-1.amazonaws.com", "http://[2001:db8::1]"]
)
def test_a_sandbox_endpoint_that_is_not_this_machine_is_refused(endpoint: str) -> None:
    with pytest.raises(Refused, match="not this machine; nothing was sent"):
        Accounts().read(place(endpoint))


def test_made_up_keys_without_a_sandbox_are_refused() -> None:
    with pytest.raises(Refused, match="no sandbox endpoint"):
        check_wall(Place("east", "1", "us-east-1", access_key="AKIATEST00000000"))
    check_wall(place("http://localhost:5000"))


def test_the_role_of_a_place_is_assumed_under_the_name_of_the_drill(world: World) -> None:
    accounts = Accounts(session_name="drill-7")
    role = Place("far", "999922223333", "us-west-2", "arn:aws:iam::999922223333:role/drills", world.place.endpoint_url)
    session = accounts.read(role)
    identity = session.client("sts").get_caller_identity()
    session.client("rds").describe_db_instances()
    accounts.write(role).client("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::999922223333:assumed-role/drills/drill-7"


def test_a_role_that_cannot_be_assumed_leaves_a_write_unsent() -> None:
    for answer, meaning in ((refusal(403, "AccessDenied"), Rejected), (refusal(500, "InternalFailure"), Busy)):
        with wire(sends(answer)) as (endpoint, asked):
            far = Place("far", "999922223333", "us-west-2", "arn:aws:iam::999922223333:role/drills", endpoint)
            rds: RDSClient = Accounts().write(far).client("rds")
            with pytest.raises(meaning, match="could not assume"), mapped(writes=True):
                rds.promote_read_replica(DBInstanceIdentifier="orders")
            assert all(b"Action=AssumeRole" in request for request in asked)


def test_a_client_is_made_once_and_for_many_threads(world: World) -> None:
    accounts = Accounts()
    found: list[tuple[int, int]] = []

    def take() -> None:
        found.append((id(accounts.read(world.place).client("ec2")), id(accounts.write(world.place).client("ec2"))))

    threads = [threading.Thread(target=take) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 12
    assert len(set(found)) == 1
    assert found[0][0] != found[0][1]


def test_each_call_is_told_before_it_is_sent_and_a_refused_one_too_little_to_be_sent(world: World) -> None:
    world.calls.clear()
    world.write.client("ec2").describe_vpcs()
    with pytest.raises(WriteRefused):
        world.read.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")
    assert world.calls == [("ec2", "DescribeVpcs", True)]


# -- the read-only seam ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        ("elasticache", "TestFailover"),
        ("rds", "PromoteReadReplica"),
        ("ec2", "ReplaceNetworkAclAssociation"),
        ("route53", "ChangeResourceRecordSets"),
        ("sts", "AssumeRole"),
        ("sqs", "ReceiveMessage"),
        ("backup", "StartRestoreJob"),
        ("secretsmanager", "GetSecretValue"),
        ("sts", "GetSessionToken"),
        ("dynamodb", "BatchWriteItem"),
        ("x", "Getaway"),
        ("x", "Listen"),
    ],
)
def test_what_changes_or_gives_a_secret_is_no_read(call: tuple[str, str]) -> None:
    assert not only_reads(*call)


@pytest.mark.parametrize(
    "call",
    [
        ("rds", "DescribeDBInstances"),
        ("dynamodb", "Query"),
        ("dynamodb", "Scan"),
        ("dynamodb", "BatchGetItem"),
        ("s3", "HeadBucket"),
        ("route53", "TestDNSAnswer"),
        ("cloudtrail", "LookupEvents"),
        ("iam", "SimulatePrincipalPolicy"),
    ],
)
def test_what_only_reads_is_let_through(call: tuple[str, str]) -> None:
    assert only_reads(*call)


def test_the_exceptions_of_the_seam_name_operations_that_exist() -> None:
    from drills.aws.readonly import READS

    for service, operation in (*READS, *SECRETS):
        assert operation in service_model(service).operation_names


def test_a_parameter_is_read_but_not_decrypted(world: World) -> None:
    with pytest.raises(WriteRefused, match="WithDecryption"):
        world.read.client("ssm").get_parameter(Name="x", WithDecryption=True)
    with pytest.raises(Rejected, match="ParameterNotFound"), mapped(writes=False):
        world.read.client("ssm").get_parameter(Name="x")


# -- the retry policy --------------------------------------------------------------------------------------


class Ticking(FakeClock):
    """A clock whose sleep is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed_ns += round(seconds * 1e9)


def run(
    errors: list[Exception], *, attempts: int = 5, limit_s: float = 60.0, reads: bool = False
) -> tuple[object, int, list[tuple[int, str]], Ticking]:
    clock, told, calls = Ticking(), list[tuple[int, str]](), [0]

    def call() -> str:
        calls[0] += 1
        if len(errors) >= calls[0]:
            raise errors[calls[0] - 1]
        return "done"

    policy = Retry(clock=clock, chance=random.Random(7))
    try:
        outcome: object = policy(
            call, attempts=attempts, limit_s=limit_s, reads=reads, on_retry=lambda n, why: told.append((n, why))
        )
    except Exception as error:  # noqa: BLE001 - the error is what is looked at
        outcome = error
    return outcome, calls[0], told, clock


@given(failures=st.integers(0, 8), attempts=st.integers(1, 6), reads=st.booleans())
def test_busy_is_repeated_up_to_the_bound_and_each_failure_is_told_once(
    *, failures: int, attempts: int, reads: bool
) -> None:
    errors: list[Exception] = [Busy(str(number)) for number in range(1, failures + 1)]
    outcome, calls, told, clock = run(errors, attempts=attempts, reads=reads)
    assert calls == min(failures + 1, attempts)
    assert (outcome == "done") is (failures < attempts)
    assert told == [(number, str(number)) for number in range(1, calls)]
    assert len(clock.slept) == calls - 1
    assert all(slept <= 0.2 * 2**number for number, slept in enumerate(clock.slept))


def test_silence_is_repeated_for_a_read_and_never_for_a_write() -> None:
    assert run([Unanswered("?")], reads=True)[:2] == ("done", 2)
    outcome, calls, told, _ = run([Unanswered("?")], reads=False)
    assert (type(outcome), calls, told) == (Unanswered, 1, [])


def test_a_refusal_and_a_bug_are_never_repeated() -> None:
    for error in (Rejected("no"), Expired("old"), ValueError("bug")):
        outcome, calls, _, _ = run([error], reads=True)
        assert (outcome, calls) == (error, 1)


def test_a_silence_after_a_throttle_ends_a_write() -> None:
    outcome, calls, told, _ = run([Busy("slow"), Unanswered("?")])
    assert (type(outcome), calls, told) == (Unanswered, 2, [(1, "slow")])


def test_the_time_limit_ends_the_repeating_before_the_count_does() -> None:
    outcome, calls, _, clock = run([Busy("slow")] * 1000, attempts=1000, limit_s=5.0)
    assert type(outcome) is Busy
    assert calls < 1000
    assert sum(clock.slept) < 5.0


def test_botocore_errors_are_mapped_on_the_way() -> None:
    from botocore.exceptions import ReadTimeoutError

    outcome, calls, _, _ = run([ReadTimeoutError(endpoint_url="http://x")], reads=False)
    assert (type(outcome), calls) == (Unanswered, 1)


# -- secrets and the log -----------------------------------------------------------------------------------


def test_a_secret_is_resolved_from_each_place_it_can_stand_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRILLS_TEST_DSN", "postgresql://a:hidden-one@127.0.0.1/a")
    manager = world.client("secretsmanager")
    name = world.name("orders")
    manager.create_secret(Name=name, SecretString=json.dumps({"password": "hidden-two", "port": 5432}))
    assert world.read.secret("env:DRILLS_TEST_DSN") == "postgresql://a:hidden-one@127.0.0.1/a"
    assert world.read.secret(f"secretsmanager:{name}#password") == "hidden-two"
    assert world.read.secret(f"secretsmanager:{name}#port") == "5432"
    assert world.read.secret("postgresql://b@127.0.0.1/b") == "postgresql://b@127.0.0.1/b"
    for missing, why in (
        ("env:DRILLS_TEST_NOT_SET", "set the variable DRILLS_TEST_NOT_SET"),
        (f"secretsmanager:{name}#nokey", "has no key 'nokey'"),
        ("secretsmanager:nobody", "ResourceNotFound"),
        ("ssm:/nobody", "ParameterNotFound"),
    ):
        with pytest.raises(Rejected, match=why):
            world.read.secret(missing)


def test_a_resolved_secret_is_asked_for_again_after_a_minute_and_outlives_the_region_that_holds_it() -> None:
    clock, values = Ticking(), ["first-value", "second-value"]

    class Manager:
        """Secrets Manager as far as it is asked here."""

        def get_secret_value(self, **_: str) -> dict[str, str]:
            if not values:
                raise Unanswered("the region is gone")
            return {"SecretString": values.pop(0)}

    secrets = Secrets(lambda _: Manager(), clock)
    assert [secrets.resolve("secretsmanager:x") for _ in range(3)] == ["first-value"] * 3
    clock.sleep(FRESH_S)
    assert secrets.resolve("secretsmanager:x") == "second-value"
    clock.sleep(FRESH_S)
    assert secrets.resolve("secretsmanager:x") == "second-value"


def test_a_resolved_secret_stands_in_no_log_line(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRILLS_TEST_SECRET", "never-to-be-read")
    world.read.secret("env:DRILLS_TEST_SECRET")
    assert redact("a never-to-be-read b") == "a [struck out] b"
    writer = open_log(tmp_path / "deep" / "drill.log", drill="d-1")
    note = {"to": "postgresql://a:topsecret@db/x", "note": "with never-to-be-read in it", "password": "abc"}
    writer.info("connected", rows=3, **note)
    writer.error("failed", exc_info=Rejected("no: never-to-be-read"))
    text = (tmp_path / "deep" / "drill.log").read_text()
    first, second = (json.loads(line) for line in text.splitlines())
    assert "never-to-be-read" not in text
    assert (first["rows"], first["password"], first["to"]) == (3, "[struck out]", "postgresql://a:[struck out]@db/x")
    assert (first["drill"], first["event"], first["level"]) == ("d-1", "connected", "info")
    assert "Rejected" in second["exception"]


@given(*[st.text(alphabet="abcxyz0189", min_size=size, max_size=40) for size in (6, 0, 0)])
def test_a_struck_out_value_is_nowhere_in_the_text(value: str, left: str, right: str) -> None:
    assert value not in strike(f"{left}{value}{right}", [value])


# -- the service models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["ec2", "s3", "dynamodb", "arc-region-switch", "fis"])
def test_a_service_model_is_what_botocore_itself_reads(service: str) -> None:
    theirs, ours = create_loader(), Models(file_loader=Files())  # of their own: clients change what they are given
    for kind in ("service-2", "paginators-1", "endpoint-rule-set-1"):
        assert ours.load_service_model(service, kind) == theirs.load_service_model(service, kind)
        assert service in ours.list_available_services(kind)
    assert list(ours.list_available_services("waiters-2")) == theirs.list_available_services("waiters-2")


def test_an_unknown_service_is_told_with_all_that_are_known() -> None:
    with pytest.raises(UnknownServiceError, match=r"Unknown service: 'ec3'.*\bec2\b"):
        loader().load_service_model("ec3", "service-2")
    with pytest.raises(UnknownServiceError, match="Unknown service: 'sts'"):
        loader().load_service_model("sts", "resources-1")


def test_a_folder_of_ones_own_models_comes_before_botocores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "orders" / "2026-01-01"
    own.mkdir(parents=True)
    (own / "service-2.json").write_text('{"metadata": {"serviceId": "Orders"}}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader.cache_clear()
    try:
        assert loader().load_service_model("orders", "service-2") == {"metadata": {"serviceId": "Orders"}}
        assert "orders" in loader().list_available_services("service-2")
        assert "ec2" in loader().list_available_services("service-2")
    finally:
        loader.cache_clear()
