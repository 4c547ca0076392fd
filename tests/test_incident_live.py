"""`drills incident` and `drills run --observe-only` as they are typed, with moto behind the names of AWS."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_by_proxy import Proxy, aws_by_proxy
from botocore.exceptions import ClientError
from observe_world import Mood, Service, clock, wait_until
from stores_world import moto_process

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]
ENVIRONMENT = """
environment: live
kind: staging
home: us-east-2
sites:
  east:
    {{account: "111122223333", region: us-east-1, role: "arn:aws:iam::111122223333:role/drills", values: {{is: east}}}}
  west:
    {{account: "111122223333", region: us-west-2, role: "arn:aws:iam::111122223333:role/drills", values: {{is: west}}}}
values: {{url: "{url}"}}
scope: {{tags: {{drills: allowed}}, max_targets: 10, regions: [us-east-1, us-west-2]}}
active: {{probe: http.answers, with: {{url: "${{url}}", header: "X-Drills-Site: ${{site.is}}"}}}}
observe: {{runbook: orders}}
"""
RUNBOOK = """
runbook: orders
title: Fail orders over
strategy: warm-standby
service: orders
no_fence: no database moves here
objectives: {rto: 5m}
measure:
  availability:
    - {id: front, http: "${url}", served_by: {header: X-Drills-Site}, every: 100ms, timeout: 500ms, stable_for: 3s}
steps:
  - {id: lose, operator: task, say: Take the old site away., mark: disaster, timeout: 5m, only: [run]}
  - {id: caller, probe: sts.caller_is_account, at: to}
  - {id: shift, operator: task, say: Point the users at the other site., mark: decided, timeout: 5m}
"""


@dataclass
class Live:
    """A service that people run, and a company's way to AWS."""

    folder: Path
    proxy: Proxy
    environment: dict[str, str]
    service: Service

    def drills(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "drills", *words], check=False, capture_output=True, text=True, timeout=120,
            cwd=self.folder, env=self.environment,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "drills", *words, "--output", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder, env=self.environment,
        )  # fmt: skip

    def asked(self, process: subprocess.Popen[str], step: str) -> None:
        """Wait until a drill asks for a step."""

        def asks() -> bool:
            assert process.poll() is None, "\n".join(process.communicate())
            told = json.loads(self.drills("status", "--output", "json").stdout)["drills"]
            return any(step in one.get("asks", ()) for one in told)

        wait_until(asks, f"the question of {step}", 90)

    def moves(self) -> None:
        """Answer from the other site from now on."""
        self.service.close()
        self.service.site = "west"
        self.service.open()


def warm(moto: str) -> None:
    """Let moto load what it is about to be asked: an incident waits three seconds for an answer, and no longer."""
    make: Any = boto3
    keys = {"aws_access_key_id": "AKIATEST00000000", "aws_secret_access_key": "of-no-value"}
    for service, look in (
        ("sts", "get_caller_identity"),
        ("iam", "list_roles"),
        ("organizations", "list_accounts"),
        ("ssm", "describe_parameters"),
        ("ec2", "describe_regions"),
    ):
        with suppress(ClientError):
            getattr(make.client(service, region_name="us-east-1", endpoint_url=moto, **keys), look)()


@pytest.fixture
def live(tmp_path: Path) -> Generator[Live]:
    for name in ("environments", "runbooks"):
        (tmp_path / name).mkdir()
    (tmp_path / "runbooks" / "orders.yaml").write_text(RUNBOOK, encoding="utf-8")
    with ExitStack() as stack:
        service = stack.enter_context(Service(site="east"))
        text = ENVIRONMENT.format(url=service.url)
        (tmp_path / "environments" / "live.yaml").write_text(text, encoding="utf-8")
        moto = stack.enter_context(moto_process())
        proxy, environment = stack.enter_context(aws_by_proxy(tmp_path, moto))
        one = Live(tmp_path, proxy, environment, service)
        warm(moto)
        yield one
        one.drills("observe", "live", "--stop")


def seconds(began: tuple[int, int], back: tuple[int, int]) -> tuple[float, float]:
    """Bound the truth: from the change of the service to its recovery, each known to a moment."""
    return (back[0] - began[1]) / 1e9, (back[1] - began[0]) / 1e9


def ended(process: subprocess.Popen[str]) -> Any:
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said[-3000:]
    return json.loads(out)


def held(live: Live, told: Any, truth: tuple[float, float]) -> Any:
    """Check that the recovery time holds the truth, and that the result follows from what is stored."""
    (rto,) = told["objectives"]
    assert rto["verdict"] == "MET", rto["why"]
    assert rto["low_s"] <= truth[1], (rto, truth)
    assert rto["high_s"] >= truth[0], (rto, truth)
    verified = live.drills("verify", told["drill"])
    assert (verified.returncode, "VERIFIED" in verified.stdout) == (0, True), verified.stdout
    return rto


def test_an_incident_nobody_planned_is_judged_from_the_rings_of_before(live: Live) -> None:
    kept = live.drills("observe", "live", "--to", "west", "--detach")
    assert (kept.returncode, kept.stderr) == (0, "")
    assert "front: asked each 1s here, and each 100ms in a drill" in kept.stdout
    clock.sleep(5)
    began = live.service.become(Mood.BROKEN)
    clock.sleep(4)
    status = json.loads(live.drills("observe", "live", "--status", "--output", "json").stdout)
    assert [one["up"] for one in status["environments"][0]["rings"]] == [False]
    process = live.start("incident", "orders", "--env", "live", "--to", "west", "--confirm", "live")
    live.asked(process, "shift")
    before = clock.now().mono_ns
    live.moves()
    back = before, clock.now().mono_ns
    assert live.drills("approve", "shift").returncode == 0
    told = ended(process)
    rto = held(live, told, seconds(began, back))
    assert rto["high_s"] - rto["low_s"] < 3
    assert any("copied from the ring" in one for one in told["warnings"])
    assert told["mode"] == "incident"
    assert "sts.us-west-2.amazonaws.com" in live.proxy.asked


def test_without_a_ring_a_person_says_when_it_began_and_the_result_names_them(live: Live) -> None:
    began = live.service.become(Mood.BROKEN)
    second = clock.now().utc_ns // 10**9
    said = "..".join(datetime.fromtimestamp(at, UTC).strftime("%H:%M:%SZ") for at in (second, second + 1))
    clock.sleep(2)
    process = live.start("incident", "orders", "--env", "live", "--to", "west", "--confirm", "live", "--began", said)
    live.asked(process, "shift")
    before = clock.now().mono_ns
    live.moves()
    back = before, clock.now().mono_ns
    live.drills("approve", "shift")
    told = ended(process)
    rto = held(live, told, seconds(began, back))
    assert rto["high_s"] - rto["low_s"] < 3
    assert "declared by" in rto["why"]


def test_without_a_ring_and_without_a_word_an_incident_has_no_beginning(live: Live) -> None:
    live.service.become(Mood.BROKEN)
    process = live.start("incident", "orders", "--env", "live", "--to", "west", "--confirm", "live")
    live.asked(process, "shift")
    live.moves()
    live.drills("approve", "shift")
    told = ended(process)
    (rto,) = told["objectives"]
    assert (rto["verdict"], told["status"]) == ("UNPROVEN", "restored")


def test_people_act_and_the_tool_only_judges(live: Live) -> None:
    process = live.start("run", "orders", "--env", "live", "--to", "west", "--observe-only")
    live.asked(process, "lose")
    began = live.service.become(Mood.BROKEN)
    live.drills("approve", "lose")
    live.asked(process, "shift")
    before = clock.now().mono_ns
    live.moves()
    back = before, clock.now().mono_ns
    live.drills("approve", "shift")
    told = ended(process)
    held(live, told, seconds(began, back))
    assert told["steps"]
    assert all(" lock" not in one.lower() for one in told["warnings"])
