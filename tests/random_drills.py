"""Drills drawn at random: their shape, how the world answers, what people say and when; ``drill_rules`` judges them."""

from __future__ import annotations

import graphlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace as altered

from drills.engine.plan import AvailabilityWatch, Finally, Mode, OnFailure, Plan, Section, Step
from drills.engine.progress import Status
from drills.testing import Script, Simulation, World, plan, step
from drills.timeline import events as ev
from drills.timeline.events import Told, Word
from drills.timeline.facts import Facts
from drills.work import Kind

WORDS = (
    Word.ABORT,
    Word.APPROVE,
    Word.REJECT,
    Word.PAUSE,
    Word.CONTINUE,
    Word.PARK,
    Word.SKIP,
    Word.RETRY,
    Word.RESOLVE_DONE,
    Word.RESOLVE_FAILED,
    Word.UNDO,
    Word.NOT_APPLICABLE,
)
TURNS = 4
LAST_WORD_S = 5000.0
"""Each time so long has passed, somebody aborts what still waits for an answer."""
Known = Mapping[str, str]
"""The status of each step, by its id."""


@dataclass(frozen=True)
class Wish:
    """A ``when`` twice: as JMESPath, and as Python says it."""

    text: str
    holds: Callable[[Known], bool]
    other: str = ""
    """The step that it asks about, if it asks about one."""


@dataclass(frozen=True)
class Drawn:
    """One drill: its plan, how the world answers, what stands there before it begins."""

    seed: int
    plan: Plan
    script: Script
    there: frozenset[str]
    wishes: Mapping[str, Wish] = field(default_factory=dict[str, Wish])

    def simulation(self, lines: list[str] | None = None, world: World | None = None) -> Simulation:
        """Begin it, or go on with what a crash has left."""
        return Simulation(self.plan, world or World(set(self.there)), self.script, lines or ())


def drawn(seed: int) -> Drawn:
    """Draw a drill."""
    chance = random.Random(seed)
    wishes: dict[str, Wish] = {}
    steps: list[Step] = []
    mode, ask = chance.choice(tuple(Mode)), chance.random() < 0.5
    count = chance.randint(2, 9)
    for number in range(count):
        name = f"s{number}"
        before = [one.id for one in steps]
        kind = chance.choices((Kind.ACTION, Kind.FAULT, Kind.PROBE, Kind.OPERATOR), (45, 10, 30, 15))[0]
        needs = chance.sample(before, min(len(before), chance.choice((0, 1, 1, 1, 2, 3))))
        if chance.random() < 0.2:
            told = [need for need in needs if steps[before.index(need)].best_effort_s is None]
            wishes[name] = _wish(chance, chance.choice(told) if told else "")
        wish = wishes[name].text if name in wishes else ""
        steps.append(altered(step(name, kind, *needs), when=wish, **_fields(chance, kind)))
    steps = [*_with_fallbacks(chance, steps), *_around(chance)]
    names = [one.id for one in steps]
    changes = [one.id for one in steps if one.changes]
    pinned = plan(
        *steps,
        mode=mode,
        ask=ask,
        availability=(AvailabilityWatch("site", "http://127.0.0.1:1/"),) if chance.random() < 0.3 else (),
        parameters=Facts(fast=chance.random() < 0.5, size=chance.randint(0, 2)),
        hold_for_s=chance.choice((0.0, 0.0, 5.0, 900.0)),
        deadline_s=chance.choice((3600.0, 3600.0, 20.0)),
        finally_=chance.choice((Finally.KEEP, Finally.UNDO)),
    )
    pace = {name: chance.choice((0.0, 0.3, 1.0, 1.0, 3.0, 40.0)) for name in names}
    replaced = [one.id for one in steps if one.on_failure is OnFailure.RUN]
    script = Script(
        refuses=_some(chance, names, 0.12) | _some(chance, replaced, 0.6),
        silent=_some(chance, changes, 0.08),
        unreadable=_some(chance, changes, 0.05),
        undo_fails=_some(chance, changes, 0.08),
        unseen=_some(chance, ["watch", "baseline", "settled", "collected"], 0.1),
        takes_s=lambda name: pace.get(name, 1.0),
        says=tuple(_said(chance, names)),
        happens=tuple(_happening(chance)),
    )
    return Drawn(seed, pinned, script, _some(chance, changes, 0.1), wishes)


def _fields(chance: random.Random, kind: Kind) -> dict[str, object]:
    """Give a step what may differ from the default."""
    fields: dict[str, object] = {
        "on_failure": chance.choices((OnFailure.HOLD, OnFailure.CONTINUE, OnFailure.UNDO, OnFailure.ASK), (5, 2, 2, 1))[
            0
        ]
    }
    if kind is not Kind.OPERATOR and chance.random() < 0.15:
        fields["best_effort_s"] = chance.choice((0.5, 2.0))
    if chance.random() < 0.15:
        fields["timeout_s"] = chance.choice((0.5, 2.0))
    if kind is Kind.ACTION and chance.random() < 0.15:
        fields["one_way"] = "it stays"
        fields["authority"] = chance.random() < 0.6
    elif kind in (Kind.ACTION, Kind.FAULT) and chance.random() < 0.2:
        fields["holds_authority"] = True
    return fields


def _with_fallbacks(chance: random.Random, steps: list[Step]) -> list[Step]:
    """Let some steps run another one when they fail; two of them may share it, and it may wait for others itself."""
    found: list[Step] = list(steps)
    for number in range(chance.choice((0, 0, 0, 1, 1, 2))):
        name = f"f{number}"
        needs = chance.sample([one.id for one in steps], chance.choice((0, 0, 0, 1)))
        users = [one for one in found if one.kind is not Kind.OPERATOR]
        for one in chance.sample(users, min(len(users), chance.choice((1, 1, 2)))):
            spare = step(name, chance.choice((Kind.ACTION, Kind.PROBE)), *needs, reserve=True)
            chosen = altered(one, on_failure=OnFailure.RUN, run_on_failure=name)
            changed = [chosen if other.id == one.id else other for other in found if other.id != name]
            spare = altered(spare, on_failure=chance.choice((OnFailure.HOLD, OnFailure.UNDO)))
            if one.on_failure is not OnFailure.RUN and _can_all_begin([*changed, spare]):
                found = [*changed, spare]
    return found


def _can_all_begin(steps: list[Step]) -> bool:
    """Say whether nothing waits for itself, not even by way of a fallback that it may have to wait for."""
    waits = {one.id: {*one.needs, *([one.run_on_failure] if one.run_on_failure else [])} for one in steps}
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError:
        return False
    return True


def _around(chance: random.Random) -> Iterator[Step]:
    for number in range(chance.choice((0, 0, 1, 2))):
        yield step(f"b{number}", Kind.PROBE, section=Section.BEFORE)
    for number in range(chance.choice((0, 0, 1, 2))):
        yield step(f"a{number}", Kind.PROBE, section=Section.AFTER)


def _some(chance: random.Random, names: list[str], share: float) -> frozenset[str]:
    return frozenset(name for name in names if chance.random() < share)


def _said(chance: random.Random, names: list[str]) -> Iterator[tuple[float, Told]]:
    moments = sorted(round(chance.uniform(0.0, 30.0), 1) for _ in range(chance.choice((0, 0, 1, 2, 4))))
    for number, moment in enumerate(moments, 1):
        word = chance.choice(WORDS)
        whole = word in (Word.ABORT, Word.PAUSE, Word.CONTINUE, Word.PARK) or (
            word is Word.UNDO and chance.random() < 0.5
        )
        name = "" if whole else chance.choice(names)
        yield moment, Told(word, "ana", number, name, accept_data_loss=chance.random() < 0.3)
    for turn in range(1, TURNS + 3):
        yield turn * LAST_WORD_S, Told(Word.ABORT, "ana", len(moments) + turn)


def _happening(chance: random.Random) -> Iterator[tuple[float, ev.Body]]:
    if chance.random() < 0.1:
        yield round(chance.uniform(0.0, 20.0), 1), ev.Guarded("errors", ok=False, detail="too many")
    if chance.random() < 0.1:
        yield round(chance.uniform(20.0, 40.0), 1), ev.Preempted("lock", "an incident")


def _wish(chance: random.Random, other: str) -> Wish:
    """Draw a ``when``; about ``other``, which the step waits for, where there is one."""
    status = chance.choice(tuple(Status)).value
    of_step = (
        Wish(f"steps.{other}.status == '{status}'", lambda known: known[other] == status, other),
        Wish(f"steps.{other}.status != '{status}'", lambda known: known[other] != status, other),
        Wish(f"contains(['done', 'failed'], steps.{other}.status)", lambda it: it[other] in ("done", "failed"), other),
        Wish(f"steps.{other}.output", lambda _: False, other),
    )
    return chance.choice(
        (
            *(of_step if other else ()),
            Wish("mode == 'run'", lambda known: known["mode"] == "run"),
            Wish("mode != 'incident'", lambda known: known["mode"] != "incident"),
            Wish("parameters.fast", lambda known: known["fast"] == "yes"),
            Wish("!(parameters.fast)", lambda known: known["fast"] == "no"),
            Wish("parameters.fast == `true`", lambda known: known["fast"] == "yes"),
            Wish("parameters.size", lambda _: True),
            Wish("parameters.size > `0`", lambda known: known["size"] != "0"),
            Wish("parameters.missing", lambda _: False),
            Wish("from == 'east' && to", lambda _: True),
        )
    )
