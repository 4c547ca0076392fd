"""Drills drawn at random, driven by the real loop in virtual time and cut anywhere; what no drill may do, read anew.

The rules here are written from what the README promises, not from the engine: from the journal's lines and the
world's own log of effects alone.
"""

from __future__ import annotations

import graphlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from msgspec.structs import replace as altered

from drills.engine import decide
from drills.engine.plan import AvailabilityWatch, Finally, Mode, OnFailure, Plan, Section, Step
from drills.engine.progress import TERMINAL, Phase, Status
from drills.engine.state import State, fold
from drills.testing import Script, Simulation, World, plan, step
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Outcome, Told, Word
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
PAST = (Status.DONE, Status.SKIPPED)
FAILED = (Status.FAILED, Status.UNKNOWN)
TURNS = 4
LONGEST_S = 100.0
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


def events_of(simulation: Simulation) -> list[ev.Event]:
    """Give what stands in the journal."""
    return [codec.load_event(line) for line in simulation.lines]


# -- what no drill may do ----------------------------------------------------------------------------------


def wrongs(one: Drawn, simulation: Simulation) -> Iterator[str]:
    """Give every rule that a drill has broken, by its journal and the world's log."""
    yield from _twice(simulation.world.effects)
    said = {step.step.id for step in simulation.state.progress.values() if step.owed or step.standing or step.adopted}
    denied = {told.step for _, told in one.script.says if told.word is Word.RESOLVE_FAILED}
    yield from (
        f"{name} stands, and nobody says so" for name in sorted(simulation.world.done - said - denied - one.there)
    )
    yield from _in_order(one, simulation)
    yield from _wishes_broken(one, simulation)
    yield from _well_ended(one, simulation)
    yield from _told_alike(one, simulation)
    yield from _undone_in_reverse(one, simulation)


def _twice(effects: list[str]) -> Iterator[str]:
    seen: dict[str, list[str]] = {}
    for effect in effects:
        word, _, name = effect.partition(" ")
        seen.setdefault(name, []).append(word)
    for name, words in seen.items():
        if any(earlier == later for earlier, later in pairwise(words)):
            yield f"{name}: {words}"


def _in_order(one: Drawn, simulation: Simulation) -> Iterator[str]:
    """Read the journal line by line beside a fold of it: what began when it should not have."""
    state = State(one.plan)
    past_return = accepted = False
    asked: set[str] = set()
    for event in events_of(simulation):
        body = event.body
        if isinstance(body, ev.Started | ev.Asked):
            begun = state.progress[body.step].step
            told = isinstance(body, ev.Started) and begun.changes and body.before is None
            yield from _begun_wrongly(one, state, begun, only_told=told)
        if _stood_still(state, event):
            yield f"nothing was going on for {event.at.since(state.last or event.at):.0f} s"
        if isinstance(body, ev.Told) and body.word is Word.UNDO:
            accepted |= body.accept_data_loss
            asked |= {body.step} if body.step else set(state.progress)
        if state.preempted and isinstance(body, ev.UndoStarted | ev.Started | ev.Asked):
            yield f"{body.step} was begun or taken back though somebody else has the target"
        if isinstance(body, ev.UndoStarted):
            step_ = one.plan.step(body.step)
            if past_return and body.step not in asked:
                yield f"{body.step} was taken back past the point of no return, and nobody asked"
            if past_return and step_.holds_authority and not accepted:
                yield f"{body.step} holds authority and was taken back past the point of no return"
            if step_.one_way is not None:
                yield f"{body.step} is one-way and was taken back"
        state.apply(event)
        if isinstance(body, ev.Ended) and body.outcome in (Outcome.DONE, Outcome.UNKNOWN) and not body.adopted:
            past_return |= one.plan.step(body.step).authority


def _stood_still(state: State, event: ev.Event) -> bool:
    """Say whether a drill that nobody holds back has done nothing for longer than any step takes."""
    held_back = state.paused or state.parked or state.held or bool(state.held_for) or bool(state.running)
    over = state.finished is not None or state.put_aside or isinstance(event.body, ev.Resumed)
    return not held_back and not over and state.last is not None and event.at.since(state.last) > LONGEST_S


def _begun_wrongly(one: Drawn, state: State, begun: Step, *, only_told: bool) -> Iterator[str]:
    """``only_told``: it was looked at before it could begin, and this tells how that came out."""
    fresh = state.progress[begun.id].status is Status.WAITING
    if not fresh:
        yield f"{begun.id} was begun though it was {state.progress[begun.id].status}"
    if begun.section is Section.STEPS and state.stop is not None:
        yield f"{begun.id} was begun though the drill had turned back ({state.stop})"
    if fresh and not only_told and (state.parked or (state.paused and state.stop is None)):
        yield f"{begun.id} was begun though the drill was put aside"
    if begun.reserve and not any(
        other.run_on_failure == begun.id and state.progress[other.id].status in FAILED for other in one.plan.steps
    ):
        yield f"{begun.id} was begun though nothing that it stands in for has failed"
    for need in begun.needs:
        if not _lets_pass(one, state, state.progress[need].step):
            yield f"{begun.id} was begun before {need}, which is {state.progress[need].status}"


def _lets_pass(one: Drawn, state: State, need: Step) -> bool:
    """Say whether a step lets those begin that wait for it, now."""
    status = state.progress[need.id].status
    if status in PAST or need.best_effort_s is not None:
        return status is not Status.WAITING
    if status not in FAILED:
        return False
    if need.on_failure is OnFailure.RUN:
        return _lets_pass(one, state, one.plan.step(need.run_on_failure))
    return need.on_failure is OnFailure.CONTINUE


def _told_alike(one: Drawn, simulation: Simulation) -> Iterator[str]:
    """The journal alone says what whoever drove has known; asking twice what is to be begun changes nothing."""
    live, told = simulation.state, fold(one.plan, events_of(simulation))
    for name, mine in live.progress.items():
        if mine != told.progress[name]:
            yield f"{name} is {told.progress[name]} by the journal, and was {mine}"
    first, second = ([str(command) for command in decide.commands(told)] for _ in range(2))
    if first != second or decide.phase(live) is not decide.phase(told):
        yield f"asked twice: {first}, {second}; {decide.phase(live)} by the journal {decide.phase(told)}"


def _undone_in_reverse(one: Drawn, simulation: Simulation) -> Iterator[str]:
    """What ended last is taken back first, of what is taken back at all."""
    state, ended = State(one.plan), dict[str, int]()
    for event in events_of(simulation):
        body = event.body
        if isinstance(body, ev.UndoStarted) and state.progress[body.step].status in TERMINAL:
            later = [
                found.step.id
                for found in state.to_undo()
                if found.status in TERMINAL and ended[found.step.id] > ended[body.step]
            ]
            yield from (f"{body.step} was taken back before {name}, which ended after it" for name in later)
        before = {name for name, found in state.progress.items() if found.status in TERMINAL}
        state.apply(event)
        for name, found in state.progress.items():
            if found.status in TERMINAL and name not in before:
                ended[name] = event.seq


def _replaced(state: State, failed: Step) -> bool:
    """Say whether a step failed and its fallback, or the fallback of that, has done it instead."""
    if state.progress[failed.id].status not in FAILED or failed.on_failure is not OnFailure.RUN:
        return False
    instead = state.progress[failed.run_on_failure]
    return instead.status is Status.DONE or _replaced(state, instead.step)


def _well_ended(one: Drawn, simulation: Simulation) -> Iterator[str]:
    state = simulation.state
    if state.put_aside:
        return
    end = decide.ending(state, ("MET",))
    if state.finished is None and decide.phase(state) is not Phase.HELD:
        yield f"it ended as {end}, and is neither over nor held"
    if end in (decide.Ending.MET, decide.Ending.RESTORED):
        for name, found in state.progress.items():
            asked = found.step
            fine = (
                found.status in PAST
                or asked.best_effort_s is not None
                or asked.reserve
                or _replaced(state, asked)
                or (found.status in FAILED and asked.section is Section.BEFORE and one.plan.mode is Mode.INCIDENT)
            )
            if not fine:
                yield f"it was met though {name} is {found.status}"
    if end is decide.Ending.ABORTED:
        left = [found.step.id for found in state.progress.values() if found.owed]
        yield from (f"it was aborted and undone, and owes {name}" for name in left)


def _wishes_broken(one: Drawn, simulation: Simulation) -> Iterator[str]:
    """Give every step whose ``when`` was decided otherwise than its second reading decides."""
    state, events = State(one.plan), events_of(simulation)
    fixed = {
        "mode": one.plan.mode.value,
        "fast": "yes" if one.plan.parameters["fast"] else "no",
        "size": str(one.plan.parameters["size"]),
    }
    for place, event in enumerate(events):
        body = event.body
        wish = one.wishes.get(body.step) if isinstance(body, ev.Started | ev.Asked) else None
        settled = wish is not None and (not wish.other or state.progress[wish.other].status in TERMINAL)
        if wish is not None and settled and isinstance(body, ev.Started | ev.Asked):
            known = {name: found.status.value for name, found in state.progress.items()} | fixed
            later = (then.body for then in events[place + 1 :])
            after = next((it for it in later if isinstance(it, ev.Ended) and it.step == body.step), None)
            passed_over = after is not None and "its `when`" in after.detail
            if passed_over == wish.holds(known):
                yield f"{body.step} was {'passed over' if passed_over else 'begun'}: {wish.text}, {known}"
        state.apply(event)


def broken_rules(seed: int, most_cuts: int = 1000) -> list[str]:
    """Drive the drill of a seed to its end, whole and cut after each event (or after so many drawn ones)."""
    one = drawn(seed)
    whole = one.simulation()
    found = [f"whole: {wrong}" for wrong in _driven(one, whole)]
    cuts = range(1, len(whole.lines))
    for cut in random.Random(seed).sample(cuts, min(most_cuts, len(cuts))):
        for late in (False, True):
            broken = one.simulation()
            broken.run(cut, late_effects=late)
            resumed = one.simulation(broken.lines, broken.world)
            told = f"cut after event {cut}{', in flight done' if late else ''}"
            found += [f"{told}: {wrong}" for wrong in _driven(one, resumed)]
    return found


def _driven(one: Drawn, simulation: Simulation) -> Iterator[str]:
    """Drive it, and as often again as it rests before it is over; give what it broke."""
    for _ in range(TURNS):
        simulation.run()
        yield from wrongs(one, simulation)
        if simulation.state.finished is not None:
            return
        simulation = one.simulation(simulation.lines, simulation.world)
