"""Every action that can be taken back, with the answer to each of its calls lost: looked at, finished, undone."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from aws_world import World, moto_server
from test_services_contract import CASES, Case

from drills import catalog
from drills.aws.sessions import Accounts
from drills.aws.storm import Storm, Weather
from drills.errors import Partly, Unanswered
from drills.work import Kind

MOST_CALLS = 12


class Once(Storm):
    """Loses the answer of one call: the one after so many others."""

    def __init__(self, after: int) -> None:
        super().__init__(1.0, 1, (Weather.UNHEARD,))
        self.after = after

    def draw(self, endpoint: str) -> Weather | None:
        self.after -= 1
        return super().draw(endpoint) if self.after == -1 else None


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_a_change_whose_answer_was_lost_is_seen_or_finished_and_taken_back(
    world: World, make: Callable[[World], Case]
) -> None:
    for after in range(MOST_CALLS):
        case = make(world)
        work, was = case.work, case.state()
        before = work.capture(world.read)
        storm = Once(after)
        try:
            receipt = work.perform(Accounts(storm=storm).write(world.place), before)
        except Unanswered:
            receipt = None
        except Partly as partly:
            receipt = partly.receipt
        if not storm.told.total():
            assert work.undo(world.write, before, receipt).left_alone is None
            assert case.state() == was
            return  # it makes no more calls than that
        if work.already(world.read).ok is False:
            work.perform(world.write, before)
        assert work.already(world.read).ok is case.acts
        undone = work.undo(world.write, before, receipt)
        assert (undone.left_alone, case.state()) == (None, was), f"call {after + 1}"
        assert work.restored(world.read, before).ok is True
    pytest.fail(f"it makes more than {MOST_CALLS} calls: raise the limit")


@pytest.mark.parametrize("kind", [Kind.ACTION, Kind.FAULT])
def test_every_change_has_a_case_or_says_why_it_cannot_be_taken_back(kind: Kind) -> None:
    cases = {name.partition(" ")[0] for name in CASES}
    for name in catalog.names(kind):
        why = getattr(catalog.load(kind, name), "one_way", None)
        assert name in cases or (why is not None and len(str(why)) > 10), f"{name}: give it a case, or say why not"
