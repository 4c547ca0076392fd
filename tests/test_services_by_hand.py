"""The commands with which a person finishes an undo are taken by the AWS CLI as they are printed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from aws_world import World, moto_server
from botocore import xform_name
from test_services_contract import CASES, Case

from drills.aws.models import loader

SERVICES = {"s3api": "s3", "configservice": "config", "deploy": "codedeploy"}
GLOBAL = frozenset({"region", "output", "query", "cli-input-json", "profile", "no-cli-pager"})
_INSIDE = re.compile(r"\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)")


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


def problems(command: str) -> Iterator[str]:
    """Give what the AWS CLI would not take of a command; what stands in ``$(...)`` is a command of its own."""
    for inside in _INSIDE.findall(command):
        yield from problems(inside)
    words = shlex.split(_INSIDE.sub("INSIDE", command))
    if words[0] != "aws":
        yield f"{words[0]} is not the AWS CLI"
        return
    service = SERVICES.get(words[1], words[1])
    if service not in loader().list_available_services("service-2"):
        yield f"there is no service {service}"
        return
    model: Any = loader().load_service_model(service, "service-2")
    operations = {xform_name(name, "-"): name for name in model["operations"]}
    if words[2] not in operations:
        yield f"{service} has no operation {words[2]}"
        return
    shape = model["shapes"][model["operations"][operations[words[2]]]["input"]["shape"]]
    members = {xform_name(name, "-"): name for name in shape["members"]}
    given: set[str] = set()
    for place, word in enumerate(words):
        if not word.startswith("--"):
            continue
        option = word.removeprefix("--")
        if option == "cli-input-json":
            names = set(json.loads(words[place + 1]))
            given |= names
            yield from (f"{words[2]} has no member {name}" for name in names - set(members.values()))
        elif option.removeprefix("no-") in members:
            given.add(members[option.removeprefix("no-")])
        elif option not in GLOBAL:
            yield f"{words[2]} has no option --{option}"
    missing = set(shape.get("required", ())) - given
    if missing:
        yield f"{words[2]} needs {', '.join(sorted(missing))}"


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_every_command_to_finish_by_hand_is_one_that_the_aws_cli_takes(
    world: World, make: Callable[[World], Case]
) -> None:
    case = make(world)
    before = case.work.capture(world.read)
    case.work.perform(world.write, before)
    for command in case.work.by_hand(before):
        assert list(problems(command)) == [], command


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("rm -rf x", "rm is not the AWS CLI"),
        ("aws ec3 start-instances", "there is no service ec3"),
        ("aws ec2 begin-instances --region us-east-1", "ec2 has no operation begin-instances"),
        ("aws ec2 start-instances --region us-east-1 --ids i-1", "start-instances has no option --ids"),
        ("aws ec2 start-instances --region us-east-1", "start-instances needs InstanceIds"),
        ("aws ec2 start-instances --instance-ids $(aws ec2 list-them --output text)", "ec2 has no operation list-them"),
    ],
)
def test_a_command_that_the_aws_cli_would_not_take_is_found(command: str, says: str) -> None:
    assert says in list(problems(command))
