"""An experiment of FIS as a fault: refused in time, started once, watched, stopped."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_world import World, moto_server
from moto.fis.models import fis_backends
from test_services_contract import experiment as experiment_case

from drills.aws.sessions import Accounts
from drills.aws.storm import Storm, Weather
from drills.cli import compose
from drills.engine.compile import compile_plan
from drills.engine.plan import Mode, Plan, Section
from drills.engine.progress import Status
from drills.errors import Busy, Invalid, Rejected, Unanswered
from drills.runbook.load import load_environment, load_runbook
from drills.services import fis_world
from drills.services.fis import Experiment
from drills.services.fis_probes import ExperimentState, SafetyLever
from drills.timeline.facts import Facts
from drills.work import Aws, Kind

ROOT = Path(__file__).parent.parent
ROLE = "arn:aws:iam::123456789012:role/fis"


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        made = World(address)
        made.seed("ec2").describe_images(MaxResults=5)  # moto's images are loaded now, with all the time they need
        yield made


def made(world: World) -> tuple[Experiment, str]:
    """Give an experiment on an instance of its own, and the name of the alarm that stops it."""
    work: Any = experiment_case(world).work
    assert isinstance(work, Experiment)
    assert isinstance(work.template, dict)
    given: Any = work.template
    return work, given["tags"]["case"]


def backend(world: World) -> Any:
    return fis_backends[world.place.account][world.place.region]


def refusal(**fields: Any) -> str:
    with pytest.raises(ValueError, match="validation error") as told:
        Experiment.model_validate(fields)
    return str(told.value)


def test_a_template_without_an_alarm_that_stops_it_is_refused(world: World) -> None:
    work, _ = made(world)
    assert isinstance(work.template, dict)
    assert "nothing stops this experiment" in refusal(
        template={**work.template, "stopConditions": [{"source": "none"}]}
    )
    assert "neither the id of a template" in refusal(template="stop-them")


def test_what_nothing_takes_back_needs_a_reason_why_it_may_stay(world: World) -> None:
    work, _ = made(world)
    template: Any = {**work.model_dump()["template"]}
    template["actions"] = {"kill": {"actionId": "aws:ec2:terminate-instances", "targets": {"Instances": "app"}}}
    assert "FIS does not take aws:ec2:terminate-instances back" in refusal(template=template)
    kept = Experiment.model_validate({"template": template, "leaves": "the group replaces it"})
    before = kept.capture(world.read)
    kept.perform(world.write, before)
    assert kept.undo(world.write, before, None).detail.endswith("what it leaves: the group replaces it")


def test_nothing_begins_while_an_alarm_is_open_or_missing(world: World) -> None:
    work, alarm = made(world)
    client = world.seed("cloudwatch")
    client.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    with pytest.raises(Rejected, match=f"{alarm} is ALARM, and would stop the experiment at once"):
        work.capture(world.read)
    client.delete_alarms(AlarmNames=[alarm])
    with pytest.raises(Rejected, match="a stop condition that is not there stops nothing"):
        work.capture(world.read)


def test_an_engaged_safety_lever_refuses_the_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.fis.responses import FISResponse

    work, _ = made(world)
    engaged = '{"safetyLever": {"state": {"status": "engaged", "reason": "black friday"}}}'
    assert SafetyLever().observe(world.read).ok is True

    def get_safety_lever(_: object) -> str:
        return engaged

    monkeypatch.setattr(FISResponse, "get_safety_lever", get_safety_lever)
    assert SafetyLever().observe(world.read).ok is False
    with pytest.raises(Rejected, match=r"is engaged \(black friday\): FIS starts nothing"):
        work.capture(world.read)


def test_a_template_in_the_account_is_held_to_the_same_rules(world: World) -> None:
    work, _ = made(world)
    given: Any = work.template
    client = world.seed("fis")
    unfit = client.create_experiment_template(clientToken="x", **{**given, "stopConditions": [{"source": "none"}]})
    fit = client.create_experiment_template(clientToken="y", **given)
    with pytest.raises(Rejected, match="nothing stops this experiment"):
        Experiment(template=unfit["experimentTemplate"]["id"]).capture(world.read)
    named = Experiment.model_validate({"template": fit["experimentTemplate"]["id"], "heals_after": "10m"})
    before = named.capture(world.read)
    named.perform(world.write, before)
    named.undo(world.write, before, None)
    assert client.get_experiment_template(id=fit["experimentTemplate"]["id"])
    with pytest.raises(Rejected, match="FIS takes its first effect back after 0:10:00, and `heals_after` says"):
        Experiment.model_validate({"template": named.template, "heals_after": "20m"}).capture(world.read)
    assert (named.self_expiry(), work.self_expiry()) == (timedelta(minutes=10), timedelta(minutes=10))
    assert Experiment(template=named.template).self_expiry() == timedelta()


def test_the_scope_sees_what_the_tags_choose_from(world: World) -> None:
    work, name = made(world)
    (target,) = work.targets(world.read)
    assert (target.id.startswith("i-"), target.tags) == (True, Facts(case=name))


def test_a_start_whose_answer_was_lost_is_found_and_not_made_twice(world: World) -> None:
    work, name = made(world)
    before = work.capture(world.read)
    first, second = work.perform(world.write, before), work.perform(world.write, before)
    assert first == second
    again = Experiment.model_validate(work.model_dump(mode="json", by_alias=True))
    assert again.already(world.read).ok is True
    work.undo(world.write, before, None)
    mine = [
        one
        for one in backend(world).experiments.values()
        if backend(world).tagger.get_tag_dict_for_resource(one.arn).get("case") == name
    ]
    assert [one.status for one in mine] == ["stopping"]
    assert work.already(world.read).ok is None
    third = work.perform(world.write, before)
    assert third != first
    work.undo(world.write, before, None)


def in_weather(world: World, weather: Weather, *, until: str = "") -> Aws:
    """Give a session whose calls meet this weather from StartExperiment on, until that operation is called."""
    storm = Storm(0.0, 1, (weather,))
    write = Accounts(storm=storm).write(world.place)
    events = write.client("fis").meta.events
    begun: list[str] = []

    def breaks_loose(**_: object) -> None:
        storm.rate = 1.0
        begun.append("it")

    def clears_up(**_: object) -> None:
        storm.rate = 0.0 if begun else storm.rate

    events.register("before-call.fis.StartExperiment", breaks_loose)
    if until:
        events.register(f"before-call.fis.{until}", clears_up)
    return write


def left(world: World, name: str) -> tuple[int, int]:
    """Count the experiments and the templates of a case."""
    known = world.client("fis")
    lists = (known.list_experiments()["experiments"], known.list_experiment_templates()["experimentTemplates"])
    experiments, templates = (sum(one["tags"].get("case") == name for one in found) for found in lists)
    return experiments, templates


def test_a_start_that_nobody_answered_is_finished_by_asking_again(world: World) -> None:
    work, name = made(world)
    before = work.capture(world.read)
    with pytest.raises(Unanswered):
        work.perform(in_weather(world, Weather.UNHEARD), before)
    assert left(world, name) == (1, 1)
    seen = work.already(world.read)
    assert (seen.ok, "and its template is still there" in seen.detail) == (False, True)
    receipt = work.perform(world.write, before)
    assert left(world, name) == (1, 0)
    done = work.already(world.read)
    assert (done.ok, receipt.text("experiment") in done.detail) == (True, True)
    work.undo(world.write, before, None)


def test_a_start_that_was_refused_leaves_no_template_and_may_be_asked_again(world: World) -> None:
    """Asked again under another token: AWS would answer the same one with the template that was deleted."""
    work, name = made(world)
    before = work.capture(world.read)
    stormy = in_weather(world, Weather.THROTTLED, until="ListExperimentTemplates")
    calm = Accounts().write(world.place)
    tokens: list[str] = []

    def keep(params: dict[str, Any], **_: object) -> None:
        tokens.append(params["clientToken"])

    for session in (stormy, calm):
        session.client("fis").meta.events.register("provide-client-params.fis.CreateExperimentTemplate", keep)
    with pytest.raises(Busy, match="Rate exceeded"):
        work.perform(stormy, before)
    assert left(world, name) == (0, 0)
    work.perform(calm, before)
    assert (left(world, name), len(tokens), len(set(tokens))) == ((1, 0), 2, 2)
    work.undo(world.write, before, None)


def test_a_start_that_was_refused_and_whose_template_may_stand_is_in_doubt(world: World) -> None:
    work, name = made(world)
    before = work.capture(world.read)
    with pytest.raises(Unanswered, match=r"Rate exceeded.*its template may still be there"):
        work.perform(in_weather(world, Weather.THROTTLED), before)
    assert left(world, name) == (0, 1)
    work.undo(world.write, before, None)
    assert (left(world, name), work.restored(world.read, before).ok) == ((0, 0), True)


@pytest.mark.parametrize("over", [True, False])
def test_a_stop_that_comes_after_the_end_is_no_failure_and_any_other_refusal_is(world: World, over: bool) -> None:  # noqa: FBT001 - a case
    work, name = made(world)
    before = work.capture(world.read)
    found = backend(world).experiments[work.perform(world.write, before).text("experiment")]

    def refuse(**_: object) -> tuple[SimpleNamespace, dict[str, Any]]:
        found._sync_state = lambda: "completed" if over else "running"
        told = {"Code": "ValidationException", "Message": "it cannot be stopped"}
        return SimpleNamespace(status_code=400), {"Error": told, "ResponseMetadata": {"HTTPStatusCode": 400}}

    session = Accounts().write(world.place)
    session.client("fis").meta.events.register("before-call.fis.StopExperiment", refuse)
    if over:
        work.undo(session, before, None)
        assert (left(world, name), work.restored(world.read, before).ok) == ((1, 0), True)
    else:
        with pytest.raises(Rejected, match="it cannot be stopped"):
            work.undo(session, before, None)


def test_what_has_completed_does_not_run(world: World) -> None:
    work, _ = made(world)
    identity = work.perform(world.write, work.capture(world.read)).text("experiment")
    running = ExperimentState.model_validate({"experiment": identity, "is": "running"})
    found = backend(world).experiments[identity]
    assert any(running.observe(world.read).ok for _ in range(4))
    found._sync_state = lambda: "completed"
    seen = running.observe(world.read)
    assert (seen.ok, seen.final) == (False, True)


def test_an_end_that_is_bad_is_final_and_says_why(world: World) -> None:
    work, _ = made(world)
    before = work.capture(world.read)
    seen = ExperimentState(experiment=work.perform(world.write, before).text("experiment"))
    found = backend(world).experiments[seen.experiment]
    assert seen.observe(world.read).ok is True
    found.STATUS_REASONS = {**found.STATUS_REASONS, "stopped": "Experiment halted by stop condition."}
    found.status = "stopped"
    for look in (work.in_effect(world.read), seen.observe(world.read)):
        assert (look.ok, look.final) == (False, True)
        assert "is stopped: Experiment halted by stop condition. (stop stopped)" in look.detail


def test_an_experiment_that_skipped_everything_broke_nothing(world: World) -> None:
    work, _ = made(world)
    before = work.capture(world.read)
    identity = work.perform(world.write, before).text("experiment")
    found = backend(world).experiments[identity]
    found.status = "completed"
    assert work.in_effect(world.read).ok is True
    found._sync_state = lambda: "completed"
    for action in found.actions.values():
        action["state"] = {"status": "skipped"}
    look = work.in_effect(world.read)
    assert (look.ok, look.final, "nothing was broken" in look.detail) == (False, True, True)


# -- in a runbook ----------------------------------------------------------------------------------------------

TEMPLATE = """
description: Stop ${name}
targets:
  app:
    resourceType: aws:ec2:instance
    resourceTags: {case: "${name}"}
    selectionMode: COUNT(1)
actions:
  stop:
    actionId: aws:ec2:stop-instances
    parameters: {startInstancesAfterDuration: PT10M}
    targets: {Instances: app}
stopConditions:
  - {source: aws:cloudwatch:alarm, value: "arn:aws:cloudwatch:us-east-1:123456789012:alarm:${name}"}
roleArn: ${role}
"""
BOOK = f"""
runbook: made
title: Made
steps:
  - id: break
    fault: fis.experiment
    at: from
    with:
      template: stop.yaml
      parameters: {{name: "${{from.app}}", role: {ROLE}}}
  - id: watch
    probe: flow.wait
    with: {{for: 60s}}
"""


def book(folder: Path, text: str = BOOK, template: str = TEMPLATE) -> Path:
    (folder / "stop.yaml").write_text(template, encoding="utf-8")
    path = folder / "made.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def planned(world: World, folder: Path, name: str) -> Plan:
    place = folder / "place.yaml"
    place.write_text(
        "environment: place\nkind: staging\nhome: us-east-2\nsites:\n"
        f'  east: {{account: "123456789012", region: us-east-1, values: {{app: {name}}}}}\n'
        '  west: {account: "123456789012", region: us-west-2}\n',
        encoding="utf-8",
    )
    from dataclasses import replace

    plan = compile_plan(
        load_runbook(book(folder)),
        load_environment(place),
        mode=Mode.RUN,
        from_site="east",
        to_site="west",
        parameters={},
        ask=False,
        world=None,
    )
    return replace(plan, places=tuple(replace(world.place, name=one.name, region=one.region) for one in plan.places))


def test_a_plan_holds_the_template_itself_and_a_guard_over_its_experiment(world: World, tmp_path: Path) -> None:
    plan = planned(world, tmp_path, "orders")
    assert plan.step("break").params.record("template").text("description") == "Stop ${name}"
    guard = plan.step("break.guard")
    assert (guard.section, guard.uses, guard.kind) == (Section.GUARD, "fis.experiment_state", Kind.PROBE)
    assert (guard.place, guard.params) == ("east", Facts(step="break"))
    assert plan.step("break").expires_s == 600


def test_a_guard_whose_alarm_does_not_stop_the_experiment_is_warned_of(tmp_path: Path) -> None:
    guard = 'guard:\n  - {{id: others, probe: cloudwatch.alarm_quiet, at: {}, with: {{alarm: "{}"}}}}\nsteps:'

    def told(at: str, alarm: str) -> list[str]:
        loaded = load_runbook(book(tmp_path, BOOK.replace("steps:", guard.format(at, alarm))))
        return [one.message for one in loaded.warnings if "stop conditions" in one.message]

    assert told("from", "${from.app}") == []
    assert told("to", "orders-errors") == []
    (warning,) = told("from", "orders-errors")
    assert "the alarm of the guard others (orders-errors) is not among the stop conditions" in warning


def test_an_alarm_that_is_not_known_yet_is_not_said_to_be_missing(tmp_path: Path) -> None:
    guard = 'guard:\n  - {id: others, probe: cloudwatch.alarm_quiet, at: from, with: {alarm: "${from.alarm}"}}\nsteps:'
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:${name}"
    path = book(
        tmp_path, BOOK.replace("steps:", guard).replace(ROLE, '"${from.arn}"'), TEMPLATE.replace(arn, "${role}")
    )
    assert [one.message for one in load_runbook(path).warnings if "stop conditions" in one.message] == []


def test_an_undo_that_could_not_look_through_every_experiment_does_not_say_that_none_had_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, _ = made(world)
    other, _ = made(world)
    for one in (other, work):
        one.perform(world.write, one.capture(world.read))
    monkeypatch.setattr(fis_world, "MOST", 1)
    with pytest.raises(Rejected, match="has more than 1 experiments"):
        work.undo(world.write, work.capture(world.read), None)
    monkeypatch.undo()
    for one in (other, work):
        one.undo(world.write, one.capture(world.read), None)


def test_errors_of_a_template_are_told_at_its_own_lines(tmp_path: Path) -> None:
    path = book(tmp_path, template=TEMPLATE.replace("Instances: app", "Instances: ap"))
    with pytest.raises(Invalid, match=r"stop\.yaml:12: there is no target 'ap'; did you mean 'app'\?"):
        load_runbook(path)
    path = book(tmp_path, BOOK.replace("role: ", "rloe: "))
    with pytest.raises(Invalid, match=r"the template needs 'role'; add it"):
        load_runbook(path)
    with pytest.raises(Invalid, match=r"^\S+made\.yaml:9: there is no file 'stpo\.yaml'.*$"):
        load_runbook(book(tmp_path, BOOK.replace("stop.yaml", "stpo.yaml")))
    assert "write the name of the file out in the runbook" in refusal(template="fis_templates/stop.yaml")


def test_an_alarm_that_stops_the_experiment_aborts_the_drill_and_says_so(world: World, tmp_path: Path) -> None:
    name = world.name("orders")
    world.instances(1, {"case": name})
    world.alarm(name)
    plan = planned(world, tmp_path, name)
    seen: list[str] = []

    def listen(_: object, state: Any) -> None:
        if state.progress["break"].status is Status.DONE and not seen:
            (found,) = [one for one in backend(world).experiments.values() if name in str(one.targets)]
            found.STATUS_REASONS = {**found.STATUS_REASONS, "stopped": "Experiment halted by stop condition."}
            found.status = "stopped"
            seen.append(found.id)

    show = compose.Show(listen, lambda _: None, lambda: None)
    home = tmp_path / "drill"
    state = compose.open_drill(home, plan, compose.recorded_accounts(home, plan), show, outside=None)
    assert compose.exit_code(state) == 6
    assert "Experiment halted by stop condition." in state.why
    assert state.progress["break"].undone
    assert backend(world).experiment_templates == {} or all(
        name not in str(one.targets) for one in backend(world).experiment_templates.values()
    )
