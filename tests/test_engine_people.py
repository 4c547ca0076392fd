"""Whose answer counts: roles, somebody other than the starter, several people; and what they saw when they answered."""

from __future__ import annotations

import string
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_world import World, moto_server
from hypothesis import given
from hypothesis import strategies as st
from runtime_drill import eventually, in_silence

from drills.cli.compose import Show, open_drill
from drills.engine import people
from drills.engine.plan import Mode, Plan
from drills.engine.progress import Status
from drills.engine.state import State, fold
from drills.errors import Invalid
from drills.runbook.load import load_environment, load_runbook
from drills.runtime.answers import ROOT, Answer, Answers, homes, send
from drills.runtime.inbox import Inbox
from drills.runtime.journal import read_drill
from drills.testing import Script, Simulation, plan, step
from drills.testing import World as Outside
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.work import Kind, Place

PEOPLE = Facts(lead=["anna", "ben@ops", "arn:aws:sts::111122223333:assumed-role/lead/*"])
names = st.text(string.ascii_lowercase, min_size=1, max_size=6)


def asking(mode: Mode = Mode.RUN, **fields: Any) -> Plan:
    question = step("go", Kind.OPERATOR, uses="confirm", params=Facts(**fields), timeout_s=100.0)
    return plan(question, step("b", Kind.ACTION, "go"), mode=mode, people=PEOPLE)


def driven(pinned: Plan, *says: tuple[ev.Word, str], starter: str = "carl@laptop") -> State:
    """Drive a drill in virtual time; each word is said one second after the one before."""
    opened = codec.dump_event(1, Simulation(pinned, Outside()).clock.now(), ev.Opened("d", "1", starter, ""))
    told = tuple((10.0 + number, ev.Told(word, by, number + 1, "go")) for number, (word, by) in enumerate(says))
    return Simulation(pinned, Outside(), Script(says=told), [opened]).run()


YES, NO, NOTHING = ev.Word.APPROVE, ev.Word.REJECT, ev.Word.NOT_APPLICABLE


def test_only_the_people_of_a_role_answer_by_name_by_host_or_by_arn() -> None:
    question = asking(roles=["lead"])
    by_role = "x@y (arn:aws:sts::111122223333:assumed-role/lead/anna)"
    for by in ("anna@anywhere", "ben@ops", by_role):
        assert driven(question, (YES, by)).progress["b"].status is Status.DONE, by
    for by in ("ben@home", "carl@laptop", "x@y (arn:aws:sts::111122223333:assumed-role/other/anna)", "annabel"):
        state = driven(question, (YES, by))
        assert state.progress["go"].status is Status.FAILED, by
        assert "nobody answered" in state.progress["go"].detail
        assert state.progress["b"].status is not Status.DONE


def test_whoever_started_the_drill_does_not_answer_from_whichever_machine() -> None:
    question = asking(not_starter=True)
    assert driven(question, (YES, "carl@elsewhere")).progress["b"].status is not Status.DONE
    assert driven(question, (YES, "carl@elsewhere"), (YES, "dora@laptop")).progress["b"].status is Status.DONE


def test_a_quorum_is_of_different_people_and_one_no_is_a_no() -> None:
    question = asking(approvers=2)
    assert driven(question, (YES, "anna@a"), (YES, "anna@b")).progress["b"].status is not Status.DONE
    state = driven(question, (YES, "anna@a"), (YES, "ben@b"))
    assert state.progress["b"].status is Status.DONE
    assert state.progress["go"].detail == "approved by anna@a, ben@b"
    twice = driven(question, (YES, "anna@a"), (YES, "anna@a"), (YES, "ben@b"))
    assert twice.progress["go"].detail == "approved by anna@a, ben@b"
    assert driven(question, (YES, "anna@a"), (NO, "ben@b")).progress["go"].detail == "rejected by ben@b"


def test_in_an_incident_whoever_is_awake_decides() -> None:
    question = asking(Mode.INCIDENT, roles=["lead"], approvers=2, not_starter=True)
    assert driven(question, (YES, "carl@laptop")).progress["b"].status is Status.DONE


def test_a_task_that_does_not_apply_is_skipped_with_its_reason() -> None:
    state = driven(asking(), (NOTHING, "anna@a"))
    assert state.progress["go"].status is Status.SKIPPED
    assert state.progress["go"].detail == "not applicable, by anna@a"
    assert state.progress["b"].status is Status.DONE


@given(st.lists(st.tuples(names, names), max_size=8), st.integers(1, 5))
def test_a_quorum_is_reached_exactly_when_that_many_different_users_said_yes(
    said: list[tuple[str, str]], wanted: int
) -> None:
    one = asking(approvers=wanted).step("go")
    yes = [f"{user}@{host}" for user, host in said]
    assert people.enough(one, Mode.RUN, yes) is (len({user for user, _ in said}) >= wanted)


def test_the_probes_of_a_question_are_asked_anew_when_it_is_put_and_when_it_is_answered(tmp_path: Path) -> None:
    looked = step("seen", Kind.PROBE, uses="flow.wait", params=Facts(**{"for": "1ms"}), place="west")
    question = step("go", Kind.OPERATOR, "seen", uses="confirm", show=("seen", "if_no", "forecast_end"))
    nothing = step("b", Kind.ACTION, "go", uses="flow.nothing", place="west", expect_s=4.0)
    place = Place("west", "111122223333", "us-west-2", endpoint_url="http://127.0.0.1:9", access_key="A")
    pinned = plan(looked, question, nothing, mode=Mode.REHEARSE, ask=False, places=(place,))
    from drills.aws.sessions import Accounts

    show = Show(in_silence, lambda _: None, lambda: None)
    open_drill(tmp_path / "drill", pinned, Accounts(), show, outside=None)
    events, state = read_drill(tmp_path / "drill")
    seen = [event.body for event in events if isinstance(event.body, ev.Witnessed)]
    assert [one.moment for one in seen] == ["asked", "answered"]
    assert all(one.seen.record("seen").text("detail") for one in seen)
    asked = next(event.body for event in events if isinstance(event.body, ev.Asked))
    assert asked.shown["if_no"] == "the drill is aborted; there is nothing to undo"
    assert asked.shown["forecast_end"] == "4s after a yes, if every step takes what is expected of it"
    assert fold(pinned, events).progress["go"].status is state.progress["go"].status is Status.DONE


BOOK = """
runbook: asks
title: Asks
steps:
  - id: go
    operator: confirm
    with: {roles: [lead], approvers: 2}
"""
PLACE = """
environment: staging
kind: staging
home: us-east-2
sites: {west: {account: "111122223333", region: us-west-2}}
"""


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "roles: environment staging names nobody as 'lead'; add it to its `people`"),
        ("people: {lead: [anna]}\n", "approvers: 2 are wanted, and lead are 1 in all"),
    ],
)
def test_a_role_without_enough_people_is_an_error_before_anybody_is_asked(
    tmp_path: Path, written: str, told: str
) -> None:
    from drills.engine.compile import check_bound

    (tmp_path / "book.yaml").write_text(BOOK)
    (tmp_path / "staging.yaml").write_text(PLACE + written)
    with pytest.raises(Invalid) as caught:
        check_bound(load_runbook(tmp_path / "book.yaml"), load_environment(tmp_path / "staging.yaml"))
    assert told in str(caught.value)
    assert "book.yaml:7" in str(caught.value)


# -- from another machine -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Generator[World]:
    with moto_server() as address:
        yield World(address, "us-east-2")


def test_an_answer_from_another_machine_is_taken_once_with_the_arn_that_aws_recorded(
    moto: World, tmp_path: Path
) -> None:
    place = replace(moto.place, name="west", region="us-west-2")
    pinned = replace(asking(roles=["lead"]), places=(place,), home="us-east-2")
    state = State(pinned)
    state.progress["go"].asked = True
    folder = tmp_path / moto.name("drill")
    folder.mkdir()
    (there,) = homes(pinned.places, "us-east-2")
    ssm = moto.accounts.write(there).client("ssm")
    send(ssm, folder.name, Answer(YES, "anna@ops (arn:aws:iam::1:root)", "go", "looks well"))
    send(ssm, folder.name, Answer(NO, "ben@ops", "go"))
    ssm.put_parameter(Name=f"{ROOT}/{folder.name}/go/9", Value="no answer at all", Type="String")
    answers = Answers(folder, state, moto.accounts, every_s=0.05)
    answers.watch(pytest.fail)
    try:
        eventually(lambda: len(_all(folder)) == 2)
        eventually(lambda: not ssm.get_parameters_by_path(Path=f"{ROOT}/{folder.name}", Recursive=True)["Parameters"])
    finally:
        answers.close()
    told = _all(folder)
    assert [(one.word, one.step, one.note) for one in told] == [(YES, "go", "looks well"), (NO, "go", "")]
    assert all("arn:aws:iam::1:root" not in one.by for one in told), "what an answer says of its ARN is worth nothing"
    assert told[0].by.startswith("anna@ops")


def _all(folder: Path) -> list[ev.Told]:
    inbox = Inbox(folder)
    try:
        return inbox.fetch(0)
    finally:
        inbox.close()
