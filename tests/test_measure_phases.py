"""The parts of the recovery time: they add up, none is negative, and the truth of each lies within its bounds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from drills.measure.evidence import Bracket
from drills.measure.phases import Course, Phase, phases
from drills.measure.question import Moment, Standstill, StepSpan
from drills.timeline.marks import Mark

randoms = st.builds(Random, st.integers(0, 2**63))


@dataclass(frozen=True)
class World:
    """The true moments of a recovery (integers), what is known of them, and its steps."""

    began: int
    detected: int | None
    decided: int | None
    service: int
    restored: int
    steps: tuple[StepSpan, ...]
    held: tuple[Standstill, ...]
    course: Course
    moments: tuple[Moment, ...]

    def owner(self, at: int) -> str:
        """Name the part that an instant belongs to, in the words of the definition."""
        detected = self.began if self.detected is None else self.detected
        if at >= self.service:
            return "DNS tail"
        if self.detected is not None and at < detected:
            return "detect"
        if self.decided is not None and at < self.decided:
            return "decide"
        ran = [one for one in self.steps if one.mark is not Mark.DISASTER]
        running = [one for one in ran if one.started_ns <= at and (one.ended_ns is None or at < one.ended_ns)]
        if running:
            last = max(running, key=lambda one: (1 << 40 if one.ended_ns is None else one.ended_ns, one.id))
            return last.phase or ("data" if last.mark is Mark.DATA_RESTORED else f"automation: {last.id}")
        begins = [one.started_ns for one in ran if one.started_ns != one.ended_ns]
        last = max(begins, default=at)
        stopped = next((one for one in self.held if one.first_ns <= at < min(one.past_ns, last)), None)
        if stopped is not None:
            return stopped.phase
        begins += [one.first_ns for one in self.held if one.first_ns < min(one.past_ns, last)]
        return "between steps" if any(at < one < self.service for one in begins) else "propagation"

    def truth(self) -> Counter[str]:
        return Counter(self.owner(at) for at in range(self.began, self.restored))


def around(random: Random, at: int, most: int = 12) -> Bracket:
    return Bracket(at - random.randint(0, most), at + random.randint(0, most))


def draw(random: Random) -> World:
    began = 1000
    restored = began + random.randint(0, 120)
    service = random.randint(began, restored)
    detected = random.choice((None, random.randint(began, service + 5)))
    decided = random.choice((None, random.randint(began, service + 5)))
    steps: list[StepSpan] = []
    for number in range(random.randint(0, 5)):
        first = random.randint(began - 10, restored + 10)
        past = random.choice((None, first + random.randint(0, 40), first + random.randint(0, 40)))
        mark = random.choice((None, None, Mark.DATA_RESTORED, Mark.DISASTER))
        steps.append(StepSpan(f"s{number}", first, past, mark, random.choice(("", "", "validate"))))
    held: list[Standstill] = []
    for phase in random.sample(("human wait", "not driven"), random.randint(0, 2)):
        first = random.randint(began - 10, restored + 10)
        held.append(Standstill(first, first + random.randint(0, 60), phase, "why"))
    marks = ((Mark.DETECTED, detected), (Mark.DECIDED, decided))
    moments = tuple(Moment(mark, around(random, at)) for mark, at in marks if at is not None)
    course = Course(around(random, began, 5), around(random, service), around(random, restored))
    return World(began, detected, decided, service, restored, tuple(steps), tuple(held), course, moments)


def cut(world: World) -> tuple[Phase, ...]:
    return phases(world.course, world.steps, world.moments, standstills=world.held)


@given(randoms)
@settings(max_examples=400)
def test_the_truth_of_every_part_lies_within_its_bounds(random: Random) -> None:
    world = draw(random)
    found = {one.name: one for one in cut(world)}
    truth = world.truth()
    for name, length in truth.items():
        assert name in found, (name, world)
        assert found[name].low <= length <= found[name].high, (name, length, found[name], world)
    for name, one in found.items():
        assert one.low <= truth[name], (one, world)


@given(randoms)
@settings(max_examples=400)
def test_the_parts_add_up_to_the_recovery_time_and_none_is_negative(random: Random) -> None:
    world = draw(random)
    began, restored = world.course.began, world.course.restored
    low, high = max(0, restored.earliest - began.latest), max(0, restored.latest - began.earliest)
    found = cut(world)
    assert sum(one.best for one in found) == (low + high) // 2
    assert sum(one.low for one in found) <= high
    assert sum(one.high for one in found) >= low
    assert all(0 <= one.low <= one.best <= one.high for one in found)


def test_moments_that_are_known_exactly_leave_no_error() -> None:
    course = Course(Bracket(0, 0), Bracket(100, 100), Bracket(130, 130))
    go, writer = StepSpan("go", 5, 20, Mark.DECIDED), StepSpan("writer", 60, 80, Mark.DATA_RESTORED)
    steps = [go, StepSpan("promote", 30, 60), writer]
    moments = [Moment(Mark.DETECTED, Bracket(5, 5)), Moment(Mark.DECIDED, Bracket(20, 20))]
    found = phases(course, steps, moments)
    assert all(one.low == one.best == one.high for one in found)
    assert {one.name: one.best for one in found} == {
        "detect": 5,
        "decide": 15,
        "between steps": 10,
        "automation: promote": 30,
        "data": 20,
        "propagation": 20,
        "DNS tail": 30,
    }
