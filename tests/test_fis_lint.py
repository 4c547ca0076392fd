"""The linter of FIS templates: what FIS refuses, what drills does not start, and what is likely to hurt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_world import World, moto_server
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.cli.fis import fis
from drills.errors import Invalid
from drills.fis.catalogue import Heals, actions, resources
from drills.fis.template import closed, duration, fill
from drills.fis.timing import heals_after, whole
from drills.runbook.interpolate import bind, finish
from drills.services.fis_template import check, render, wants
from drills.services.fis_world import left_behind
from drills.yamldoc import load, parse

ROOT = Path(__file__).parent.parent
VALUES = {
    "alarm": "arn:aws:cloudwatch:us-east-1:111122223333:alarm:orders-errors",
    "count": "1",
    "delay": "200",
    "interface": "eth0",
    "lasts": "PT10M",
    "percent": "50",
    "region": "us-east-1",
    "role": "arn:aws:iam::111122223333:role/fis",
    "scope": "all",
    "service": "orders",
    "zone": "us-east-1a",
}
ALARM = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:orders-errors"
GOOD: dict[str, Any] = {
    "description": "Stop an instance of orders",
    "targets": {
        "app": {"resourceType": "aws:ec2:instance", "resourceTags": {"service": "orders"}, "selectionMode": "COUNT(1)"}
    },
    "actions": {
        "stop": {
            "actionId": "aws:ec2:stop-instances",
            "parameters": {"startInstancesAfterDuration": "PT10M"},
            "targets": {"Instances": "app"},
        }
    },
    "stopConditions": [{"source": "aws:cloudwatch:alarm", "value": ALARM}],
    "roleArn": "arn:aws:iam::111122223333:role/fis",
}
WAIT = {"actionId": "aws:fis:wait", "parameters": {"duration": "PT5M"}}
LATENCY = {
    "actionId": "aws:ssm:send-command",
    "parameters": {
        "documentArn": "arn:aws:ssm:us-east-1::document/AWSFIS-Run-Network-Latency",
        "documentParameters": '{"DurationSeconds": "300"}',
        "duration": "PT6M",
    },
    "targets": {"Instances": "app"},
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    """Give the good template with one value put in, or taken out where it is None."""
    made = deepcopy(GOOD)
    *above, last = path
    holder: Any = made
    for part in above:
        holder = holder[part]
    if to is None:
        del holder[last]
    else:
        holder[last] = to
    return made


def test_a_good_template_has_no_finding() -> None:
    assert check(GOOD) == ()


ACTION = ("actions", "stop")
TARGET = ("targets", "app")
PARAMETER = (*ACTION, "parameters")


@pytest.mark.parametrize(
    ("template", "rule", "says"),
    [
        (changed("stopConditions", to=[{"source": "none"}]), "no-stop-condition", "nothing stops this experiment"),
        (changed("stopConditions", to=[]), "no-stop-condition", "nothing stops this experiment"),
        (
            changed("stopConditions", to=[{"source": "aws:cloudwatch:alarm", "value": "orders-errors"}]),
            "stop-condition-value",
            "is not the ARN of an alarm",
        ),
        (changed("roleArn", to=None), "form", "the template needs 'roleArn'; add it"),
        (changed("roleArn", to="fis"), "role", "is not the ARN of a role"),
        (changed("descripton", to="x"), "form", "has no member 'descripton'"),
        (
            changed(*ACTION, "actionId", to="aws:ec2:stop-instance"),
            "unknown-action",
            "did you mean 'aws:ec2:stop-instances'?",
        ),
        (changed(*PARAMETER, "startInstancesAfterDuration", to="10m"), "duration", "write it as in PT10M"),
        (changed(*PARAMETER, "startInstancesAfterDuration", to="PT30S"), "duration", "at least 60s"),
        (changed(*PARAMETER, "startInstancesAfterDuration", to="PT13H"), "duration", "at most 12h"),
        (changed(*ACTION, "targets", to={"Instance": "app"}), "target-key", "write 'Instances: app'"),
        (changed(*ACTION, "targets", to={"Instances": "ap"}), "unknown-target", "did you mean 'app'?"),
        (changed(*ACTION, "targets", to=None), "missing-target", "'targets: {Instances: NAME}'"),
        (changed("actions", to={}), "no-action", "would do nothing"),
        (changed(*ACTION, "startAfter", to=["stop"]), "start-after", "wait for each other"),
        (changed(*ACTION, "startAfter", to=["stp"]), "start-after", "did you mean 'stop'?"),
        (changed(*TARGET, "resourceType", to="aws:rds:db"), "target-type", "acts on aws:ec2:instance"),
        (changed(*TARGET, "selectionMode", to="COUNT"), "selection-mode", "write ALL, COUNT(1) or PERCENT(50)"),
        (changed(*TARGET, "selectionMode", to="COUNT(0)"), "selection-mode", "chooses nothing"),
        (changed(*TARGET, "selectionMode", to="PERCENT(101)"), "selection-mode", "from 1 to 100"),
        (changed(*TARGET, "resourceArns", to=[]), "target-choice", "names no ARN"),
        (changed(*TARGET, "resourceArns", to=[f"arn:{n}" for n in range(6)]), "target-choice", "FIS takes one of the"),
        (changed(*TARGET, "parameters", to={"vpc": "x"}), "target-parameter", "has no parameter 'vpc'; remove it"),
        (changed("actions", "wait", to={**WAIT, "parameters": {}}), "missing-parameter", "needs the parameter 'dur"),
        (
            changed("actions", to={f"w{n}": WAIT for n in range(21)}),
            "too-many-actions",
            "holds 21 actions",
        ),
        (
            changed("actions", "net", to={**LATENCY, "parameters": {**LATENCY["parameters"], "duration": "PT4M"}}),  # type: ignore[dict-item]
            "command-duration",
            "lasts 300 s on the host and the action 240 s",
        ),
        (
            changed(
                "actions",
                "net",
                to={**LATENCY, "parameters": {**LATENCY["parameters"], "documentParameters": "{x"}},  # type: ignore[dict-item]
            ),
            "document-parameters",
            "is not JSON",
        ),
    ],
)
def test_what_is_wrong_is_an_error_that_says_the_repair(template: dict[str, Any], rule: str, says: str) -> None:
    found = [one for one in check(template) if one.severity == "error"]
    assert any(one.rule == rule and says in one.message for one in found), found


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        (changed(*PARAMETER, "startInstancesAfterDuration", to=None), "not-taken-back"),
        (changed(*TARGET, "selectionMode", to="ALL"), "broad"),
        (changed(*TARGET, "resourceTags", to={"service": ""}), "empty-tag"),
        (changed("experimentOptions", to={"emptyTargetResolutionMode": "skip"}), "empty-target-skip"),
        (changed("targets", "other", to=GOOD["targets"]["app"]), "unused-target"),
        (changed(*PARAMETER, "completeIfInstanceTerminated", to="true"), "unknown-parameter"),
        (
            changed(
                "actions",
                "net",
                to={**LATENCY, "parameters": {**LATENCY["parameters"], "duration": "PT5M"}},  # type: ignore[dict-item]
            ),
            "command-duration",
        ),
    ],
)
def test_what_fis_takes_and_is_likely_to_hurt_is_a_warning(template: dict[str, Any], rule: str) -> None:
    assert [(one.rule, one.severity.value) for one in check(template)] == [(rule, "warning")]


def _texts(value: Any, *path: str) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, item in value.items():  # pyright: ignore[reportUnknownVariableType] - plain data
            yield from _texts(item, *path, str(name))  # pyright: ignore[reportUnknownArgumentType] - plain data
    elif isinstance(value, str):
        yield path


@given(st.sampled_from([one for one in _texts(GOOD) if one[0] != "targets" or one[-1] != "resourceType"]))
def test_a_placeholder_may_stand_for_any_text_and_is_no_finding(path: tuple[str, ...]) -> None:
    assert [one.rule for one in check(changed(*path, to="${told-later}"))] == []


@settings(max_examples=12)
@given(st.dictionaries(st.text(max_size=8), st.recursive(st.text(max_size=8) | st.none() | st.integers(), st.lists)))
def test_whatever_stands_in_a_file_is_told_and_never_a_traceback(data: dict[str, Any]) -> None:
    assert all(one.message for one in check(data))
    for name in ("actions", "targets", "stopConditions"):
        puts: list[Any] = [data, [data], {"x": data}, {"x": {**GOOD["actions"]["stop"], **data}}]
        for put in puts:
            assert all(one.message for one in check({**GOOD, name: put}))


@given(st.text(alphabet="a${}b.", max_size=12))
def test_what_is_closed_is_left_alone_until_it_is_opened_again(text: str) -> None:
    shut = bind(closed(text), {"a": "no", "b": "no", "a.b": "no"})
    assert finish(shut) == text


def test_filling_in_keeps_the_type_of_a_whole_value_and_leaves_what_is_not_given() -> None:
    given_ = {"arns": ["a", "b"], "n": 2}
    assert fill({"x": "${arns}", "y": "COUNT(${n})", "z": "${other} $${n}"}, given_) == {  # type: ignore[arg-type]
        "x": ["a", "b"],
        "y": "COUNT(2)",
        "z": "${other} ${n}",
    }


def test_durations_are_those_of_iso_8601() -> None:
    assert duration("PT1H30M") == timedelta(minutes=90)
    assert duration("P1DT1S") == timedelta(days=1, seconds=1)
    for text in ("PT", "P", "5m", "P1M", "PT1.5H", "", None, 5):
        assert duration(text) is None


def test_the_first_effect_that_fis_takes_back_is_found_behind_what_stands_before_it() -> None:
    later = {**GOOD["actions"]["stop"], "startAfter": ["wait"]}
    template = changed("actions", to={"wait": WAIT, "stop": later})
    assert heals_after(template) == timedelta(minutes=15)
    assert whole(template) == timedelta(minutes=15)
    assert heals_after(changed(*PARAMETER, to={})) is None
    assert heals_after(changed(*ACTION, "actionId", to="aws:ec2:reboot-instances")) == timedelta()
    assert heals_after(changed(*ACTION, "actionId", to="aws:new:thing")) == timedelta()
    assert heals_after(changed("actions", to={"wait": WAIT})) is None
    assert heals_after(changed("actions", to={"delay": LATENCY})) == timedelta(minutes=5)


def test_what_nothing_takes_back_is_named() -> None:
    assert left_behind(GOOD) == ()
    assert left_behind(changed(*PARAMETER, to={})) == ("aws:ec2:stop-instances",)
    assert left_behind(changed(*ACTION, "actionId", to="aws:ec2:terminate-instances")) == (
        "aws:ec2:terminate-instances",
    )


def test_the_catalogue_is_whole() -> None:
    for one in actions().values():
        assert bool(one.target_key) is bool(one.resource_type), one
        assert not one.resource_type or one.resource_type in resources(), one
        assert not one.lasts or one.lasts in one.parameters, one
        assert one.heals is not Heals.LASTS or one.lasts, one
        assert not one.instead or one.instead in actions(), one
        assert all(":" in need for need in one.needs), one
        assert all(
            not part.default or not part.one_of or part.default in part.one_of for part in one.parameters.values()
        )
    assert {one.resource_type for one in actions().values() if one.resource_type} == set(resources())


def test_json_is_read_with_its_lines_as_yaml_is(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(changed(*ACTION, "actionId", to="aws:ec2:stop"), indent="\t"), encoding="utf-8")
    done = CliRunner().invoke(fis, ["lint", str(file)])
    line = 1 + next(n for n, text in enumerate(file.read_text().splitlines()) if "actionId" in text)
    assert (done.exit_code, f"{file}:{line}: there is no FIS action 'aws:ec2:stop'" in done.output) == (5, True)


def test_rendering_needs_every_name_and_no_other_and_is_what_the_api_takes() -> None:
    doc = parse(json.dumps(changed("roleArn", to="${role}")), "x.json")
    assert render(doc, {"role": GOOD["roleArn"]}) == GOOD
    with pytest.raises(Invalid, match="the template needs 'role'; add it"):
        render(doc, {})
    with pytest.raises(Invalid, match=r"the template has no \$\{rloe\}; did you mean 'role'\?"):
        render(doc, {"rloe": "x", "role": GOOD["roleArn"]})
    with pytest.raises(Invalid, match=r"x\.json:1: 'admin' is not the ARN of a role"):
        render(doc, {"role": "admin"})


def test_the_commands_say_what_they_find() -> None:
    run = CliRunner().invoke
    every = run(fis, ["actions"])
    assert (every.exit_code, len(every.output.splitlines())) == (0, len(actions()))
    one = run(fis, ["actions", "aws:network:disrupt-connectivity"])
    assert "Subnets: aws:ec2:subnet" in one.output
    assert "ec2:ReplaceNetworkAclAssociation" in one.output
    assert run(fis, ["actions", "zzz"]).exit_code == 2
    assert run(fis, ["lint", "nowhere.yaml"]).exit_code == 5
    told = json.loads(run(fis, ["lint", str(ROOT / "fis_templates"), "--output", "json"]).output)
    assert told["ok"] is True


@pytest.mark.parametrize("file", sorted((ROOT / "fis_templates").iterdir()), ids=lambda one: one.name)
def test_every_shipped_template_lints_clean_has_a_stop_condition_and_ends_by_itself(file: Path) -> None:
    doc = load(file)
    data: Any = doc.data
    assert [one.message for one in check(data) if one.severity == "error"] == []
    assert data["stopConditions"] == [{"source": "aws:cloudwatch:alarm", "value": "${alarm}"}]
    filled: Any = render(doc, {name: VALUES[name] for name in wants(data)})
    assert timedelta(minutes=1) <= whole(filled) <= timedelta(hours=1)
    warned = {one.rule for one in check(filled)}
    assert warned <= {"broad", "not-taken-back", "empty-target-skip"}


def test_every_shipped_template_is_taken_by_the_api_as_it_is_rendered() -> None:
    with moto_server() as address:
        client = World(address).seed("fis")
        for file in sorted((ROOT / "fis_templates").iterdir()):
            doc = load(file)
            data: Any = doc.data
            filled: Any = render(doc, {name: VALUES[name] for name in wants(data)})
            made = client.create_experiment_template(clientToken=file.stem, **filled)["experimentTemplate"]
            assert {name: made[name] for name in filled} == filled
