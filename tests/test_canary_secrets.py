"""Secrets with a mark in them never appear: in no file of a drill, no output, no command line, however it ended."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from aws_world import World, moto_server
from fuzzing import ran

from drills.clock import SystemClock
from drills.engine.plan import DataWatch, Mode, Section
from drills.testing import plan, step
from drills.timeline import codec
from drills.timeline.facts import Facts
from drills.work import Kind

TESTS = Path(__file__).parent
CANARY = "c4n4ry"
PASSWORD = f"{CANARY}-pa/ss?w%rd+"
DSN = f"postgresql://orders:{quote(PASSWORD, safe='')}@127.0.0.1:9/orders"
KEYWORDS = f"host=127.0.0.1 port=9 user=orders password='{PASSWORD}' dbname=orders"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAC4N4RYC4N4RY0000",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}/secret+access/key",
    "AWS_SESSION_TOKEN": f"{CANARY}-session-token==",
}
EXTERNAL_ID = f"{CANARY}-external-id"
MARKS = tuple(
    mark.encode()
    for word in (CANARY, PASSWORD)
    for mark in (word, quote(word, safe=""), quote_plus(word), base64.b64encode(word.encode()).decode()[:7])
)


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        made = World(address)
        made.client("ssm").put_parameter(Name="/orders/dsn", Value=KEYWORDS, Type="SecureString")
        secret = json.dumps({"dsn": DSN, "password": PASSWORD})
        made.client("secretsmanager").create_secret(Name="orders", SecretString=secret)
        yield made


def command_lines() -> bytes:
    """Give the command lines of all processes, but for those of this test."""
    lines: list[bytes] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes())
        except OSError:
            continue
    return b"\n".join(lines)


def found(data: bytes, where: str) -> list[str]:
    return [f"{where}: {mark.decode()}" for mark in MARKS if mark in data]


def driven(folder: Path, environment: dict[str, str]) -> list[str]:
    """Drive the plan in a folder to its end, in a process of its own; give what its command lines gave away."""
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "kill_drills.py"), str(folder)],
        env=environment,
        stdout=(folder / "out").open("wb"),
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    left: list[str] = []
    begun = SystemClock().now()
    while process.poll() is None and SystemClock().now().since(begun) < 60:
        left += found(command_lines(), "a command line")
        SystemClock().sleep(0.1)
    assert process.poll() is not None
    return left


@pytest.mark.parametrize(
    ("dsn", "watched"),
    [
        pytest.param("env:ORDERS_DSN", True, marks=pytest.mark.prove),
        ("secretsmanager:orders#dsn", True),
        pytest.param("ssm:/orders/dsn", False, marks=pytest.mark.prove),
    ],
)
def test_no_secret_is_left_behind_by_a_drill(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dsn: str,
    watched: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    role = f"arn:aws:iam::{world.place.account}:role/drills"
    place = replace(world.place, role=role, external_id="env:ORDERS_EXTERNAL_ID")
    at = place.name
    given = {"place": at, "params": Facts(dsn=dsn), "timeout_s": 2.5, "every_s": 0.2}
    pinned = plan(
        step("refused", Kind.PROBE, uses="sql.writes_refused", **given),
        step("nothing", Kind.ACTION, "refused", uses="flow.nothing", place=at),
        step("writer", Kind.PROBE, "nothing", uses="sql.accepts_writes", **given),
        step("lag", Kind.PROBE, section=Section.AFTER, uses="sql.replicating", **given),
        mode=Mode.REHEARSE,
        places=(place,),
        to_site=at,
        from_site=at,
        data=(DataWatch("orders", "sql", dsn, dsn, every_s=0.2, timeout_s=0.5),) if watched else (),
        baseline_s=0.2,
        deadline_s=30.0,
        ask=False,
    )
    (tmp_path / "plan.json").write_text(codec.dump(pinned))
    environment = {
        **os.environ,
        **CREDENTIALS,
        "ORDERS_DSN": DSN,
        "ORDERS_EXTERNAL_ID": EXTERNAL_ID,
        "PYTHONPATH": str(TESTS),
        "DRILLS_HOME": str(tmp_path),
    }
    left = driven(tmp_path, environment)
    said = ""
    monkeypatch.setenv("DRILLS_HOME", str(tmp_path))
    for words in (
        ("show",),
        ("show", "--output", "json"),
        ("report", "--format", "md"),
        ("report", "--format", "json"),
        ("report", "--format", "text"),
        ("verify",),
        ("undo",),
        ("export", "--to", str(tmp_path / "pack.zip")),
    ):
        answer = ran(words[0], "drill", *words[1:])
        assert not answer.crash
        left += found((answer.out + answer.err).encode(), " ".join(words))
        said += answer.out
    assert dsn.startswith("env:") or external_id() == EXTERNAL_ID
    shutil.unpack_archive(tmp_path / "pack.zip", tmp_path / "unpacked")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "127.0.0.1" in said, "the server behind the secret was spoken to"
    assert not watched or (tmp_path / "drill" / "observers").is_dir()
    for path in files:
        left += found(path.read_bytes(), str(path.relative_to(tmp_path)))
    assert sorted(set(left)) == []


def external_id() -> str:
    """Give the external id that STS was last asked with."""
    from moto.sts.models import sts_backends

    return sts_backends["123456789012"]["aws"].assumed_roles[-1].external_id


def test_what_is_looked_for_would_be_found() -> None:
    for text in (DSN, KEYWORDS, PASSWORD, *CREDENTIALS.values()):
        assert found(text.encode(), "here") or text == CREDENTIALS["AWS_ACCESS_KEY_ID"]
    assert found(base64.b64encode(PASSWORD.encode()), "here")


def foreign_environments() -> bytes:
    """Give the environments of all processes that run as another user, whom we do not trust with secrets."""
    found: list[bytes] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid != os.geteuid():
                found.append((entry / "environ").read_bytes())
        except OSError:
            continue
    return b"\n".join(found)


@pytest.mark.prove
@pytest.mark.sandbox
@pytest.mark.timeout(240)
def test_no_secret_is_left_behind_by_a_whole_rehearsal(tmp_path: Path) -> None:
    from test_runtime_sandbox import ROOT, command, runbook

    home = tmp_path / "home"
    home.mkdir()
    text = (ROOT / "environments" / "sandbox.yaml").read_text(encoding="utf-8")
    for site in ("east", "west"):
        text = text.replace('dsn: "${sandbox.dsn}"', f"dsn: env:{site.upper()}_DSN", 1)
    (tmp_path / "sandbox.yaml").write_text(text, encoding="utf-8")
    variables = {**os.environ, **CREDENTIALS, "DRILLS_HOME": str(home)}
    said, left = b"", list[str]()

    def drills(*words: str) -> None:
        nonlocal said
        with (tmp_path / "out").open("ab+") as out:
            process = subprocess.Popen(
                command(*words), env=variables, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
            while process.poll() is None:
                left.extend(found(command_lines(), "a command line"))
                left.extend(found(foreign_environments(), "the environment of another user's process"))
                SystemClock().sleep(0.05)
        said = (tmp_path / "out").read_bytes()
        assert process.returncode == 0, said[-2000:]

    drills("sandbox", "up")
    try:
        facts = json.loads((home / "sandboxes" / "default" / "sandbox.json").read_text(encoding="utf-8"))
        for name, site in facts["sites"].items():
            before, at, after = site["dsn"].partition("@")
            user = before.partition(":")[0] + ":" + before.partition(":")[2].partition(":")[0]
            variables[f"{name.upper()}_DSN"] = f"{user}:{quote(PASSWORD, safe='')}{at}{after}"
        drills("rehearse", runbook(home), "--env", str(tmp_path / "sandbox.yaml"), "--in", "default")
        for words in (
            ("show",),
            ("show", "--output", "json"),
            *(("report", "--format", form) for form in ("text", "md", "json")),
            ("verify",),
            ("history",),
            ("status",),
            ("export", "--to", str(home / "pack.zip")),
        ):
            drills(*words)
    finally:
        drills("sandbox", "down")
    shutil.unpack_archive(home / "pack.zip", home / "unpacked")
    left += found(said, "what it said")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        left += found(path.read_bytes(), str(path.relative_to(tmp_path)))
    assert b"MET: every objective was met" in said
    assert sorted(set(left)) == []
