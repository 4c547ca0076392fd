"""What no drill may do, read from its journal and the world's log of effects; drills are driven and cut anywhere.

The rules are written from what the README promises, and not from the engine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from random_drills import TURNS, Drawn, drawn
from sweep import twice

from drills.engine import decide
from drills.engine.plan import Mode, OnFailure, Section, Step
from drills.engine.progress import TERMINAL, Phase, Status
from drills.engine.state import State, fold
from drills.testing import Simulation
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.events import Outcome, Word

PAST = (Status.DONE, Status.SKIPPED)
FAILED = (Status.FAILED, Status.UNKNOWN)
LONGEST_S = 100.0
"""Longer than anything in these drills takes."""


def events_of(simulation: Simulation) -> list[ev.Event]:
    """Give what stands in the journal."""
    return [codec.load_event(line) for line in simulation.lines]


def wrongs(one: Drawn, simulation: Simulation) -> Iterator[str]:
    """Give every rule that a drill has broken, by its journal and the world's log."""
    yield from (f"{name} was done or taken back twice in a row" for name in twice(simulation.world.effects))
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
