"""How long the engine waits until a fault is in effect: until a look says yes, or says that no look ever will."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from drills import catalog
from drills.aws.place import Place
from drills.aws.retry import Retry
from drills.aws.sessions import Accounts
from drills.clock import SystemClock
from drills.engine import decide
from drills.engine.means import Means, NoObservers
from drills.engine.plan import Finally
from drills.engine.state import State
from drills.runtime.journal import Journal
from drills.runtime.local import LocalRun
from drills.services.flow import Nothing
from drills.services.spec import FaultSpec
from drills.testing import plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.work import Aws, Kind, Observation

LOOKS: list[Observation] = []
"""What the looks of the fault under test give, one after the other; the last one is given ever after."""


class Breaks(Nothing, FaultSpec):
    """A fault that takes effect as ``LOOKS`` tells."""

    name: ClassVar[str] = "test.breaks"

    def in_effect(self, aws: Aws) -> Observation:
        """Give the next look."""
        del aws
        return LOOKS.pop(0) if len(LOOKS) > 1 else LOOKS[0]


def driven(folder: Path, *looks: Observation) -> list[ev.Body]:
    """Drive a drill of this one fault, and give what stands on its timeline."""
    LOOKS[:] = looks
    clock = SystemClock()
    here = Place("here", "123456789012", "us-east-1")
    fault = step("break", Kind.FAULT, uses=Breaks.name, timeout_s=60.0)
    told: list[ev.Body] = []

    def listen(events: Sequence[ev.Event], _: State) -> None:
        told.extend(event.body for event in events)

    def conclude(state: State) -> ev.Finished:
        end = decide.ending(state, ("MET",))
        return ev.Finished(end.value, decide.EXIT_CODES[end])

    state = State(plan(fault, places=(here,), ask=False, finally_=Finally.UNDO))
    means = Means(Accounts(), Retry(clock), clock, catalog.load, NoObservers(), conclude)
    with Journal.create(folder / "drill") as journal:
        opened = ev.Event(1, clock.now(), ev.Opened("drill", "test", "ana", codec.dump(state.plan)))
        state.apply(opened)
        journal.append([opened])
        LocalRun(journal, state, means, listen=listen, interrupted=lambda _: None).run()
    return told


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.FAULTS, Breaks.name, f"{__name__}:Breaks")


def ended(told: list[ev.Body]) -> tuple[str, str]:
    (one,) = (body for body in told if isinstance(body, ev.Ended))
    return one.outcome.value, one.detail


def test_a_look_that_is_final_ends_the_wait_and_the_fault_is_taken_back(tmp_path: Path) -> None:
    """Later looks would say yes: whoever goes on looking is found out at once."""
    final = Observation(ok=False, detail="the experiment is stopped", final=True)
    told = driven(tmp_path, Observation(ok=False, detail="not yet"), final, Observation(ok=True, detail="late"))
    assert [body for body in told if isinstance(body, ev.Effective)] == [ev.Effective("break", final.ok, final.detail)]
    assert ended(told) == ("unknown", "not seen in effect: the experiment is stopped")
    assert any(isinstance(body, ev.Undid) for body in told)
    (end,) = (body for body in told if isinstance(body, ev.Finished))
    assert end.status == "failed"


def test_a_no_that_is_not_final_is_asked_again(tmp_path: Path) -> None:
    not_yet = Observation(ok=False, detail="not yet", again_s=0.001)
    broken = Observation(ok=True, detail="broken")
    told = driven(tmp_path, not_yet, Observation(ok=None, detail="no answer"), broken)
    assert [body for body in told if isinstance(body, ev.Effective)] == [ev.Effective("break", broken.ok, "broken")]
    assert ended(told) == ("done", "broken")
