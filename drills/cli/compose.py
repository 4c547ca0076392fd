"""Put the parts of one drill together: journal, observers, accounts, judge; and drive it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from drills import __version__
from drills.cli import frugal
from drills.clock import SystemClock
from drills.engine import decide, drive
from drills.engine.means import Means, NoObservers, NoWarden
from drills.engine.plan import Mode
from drills.engine.state import State
from drills.errors import JournalError, Refused
from drills.runtime.inbox import Inbox, person, say
from drills.runtime.journal import Journal
from drills.runtime.local import LocalRun, signals_caught
from drills.timeline import codec
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.aws.holder import Terms
    from drills.aws.place import Place
    from drills.aws.sessions import Accounts
    from drills.engine.means import Observers
    from drills.engine.plan import Plan
    from drills.log import Log
    from drills.runtime.answers import Answers
    from drills.runtime.warden import Warden


OURSELVES = "drills"
ALTERED = "the evidence is not what was sealed"
"""How the note begins that keeps a drill from being judged."""


class Show(msgspec.Struct, frozen=True):
    """How a running drill is shown: ``listen`` hears of events, ``interrupted`` answers a Ctrl-C.

    ``heed`` is told how to ask what has come that no question to a person may keep waiting.
    """

    listen: Callable[[Sequence[ev.Event], State], None]
    interrupted: Callable[[State], ev.Told | None]
    close: Callable[[], None]
    heed: Callable[[Callable[[], str]], None] = lambda _: None


class Calls:
    """Writes every AWS call of a drill into ``calls.jsonl`` before it is sent; the file is made at the first one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._log: Log | None = None

    def __call__(self, place: Place, service: str, operation: str, writes: bool) -> None:  # noqa: FBT001 - as boto3's event gives it
        """Write one call: where it goes, and whether the session it goes through may write."""
        with self._lock:
            if self._log is None:
                from drills.log import open_log

                self._log = open_log(self._folder / "calls.jsonl", drill=self._folder.name)
            self._log.info(
                "call",
                place=place.name,
                account=place.account,
                region=place.region,
                service=service,
                operation=operation,
                writes=writes,
            )


def recorded_accounts(folder: Path, plan: Plan) -> Accounts:
    """Give the accounts of the drill in ``folder``: sessions named after it, narrowed to its plan, calls on record."""
    from drills.aws.sessions import Accounts as Sessions
    from drills.engine.permissions import needed

    def aloud(told: str) -> None:
        sys.stderr.write(f"{told}\n")
        say(folder, ev.Told(ev.Word.NOTE, "drills", 0, note=told))

    terms = replace(terms_of(plan, aloud), session_name=folder.name, needed=needed(plan))
    return Sessions(on_call=Calls(folder), terms=terms)


def terms_of(plan: Plan, aloud: Callable[[str], None]) -> Terms:
    """Say on what terms credentials are taken for a plan: STS on the side that survives, nothing narrowed yet."""
    from drills.aws.holder import Terms

    region = next((place.region for place in plan.places if place.name == plan.to_site), plan.home)
    return Terms(sts_region=region, break_glass=plan.break_glass, aloud=aloud)


def open_drill(  # noqa: PLR0913 - a drill is opened with all of these at once
    folder: Path,
    plan: Plan,
    accounts: Accounts,
    show: Show,
    *,
    outside: Callable[[], None] | None,
    gates: Sequence[ev.Gated | ev.Began] = (),
    warden: Warden | None = None,
) -> State:
    """Begin a drill in a new folder and drive it until it is over, held or parked; ``gates``: what let it begin.

    ``warden`` takes the target's lock once the drill is on disk, so that a crash cannot lose it.
    """
    with signals_caught(), Journal.create(folder) as journal:
        state = State(plan)
        _write(journal, state, show, (ev.Opened(folder.name, __version__, person(), codec.dump(plan)), *gates))
        if warden is not None:
            try:
                claimed: ev.Body = warden.begin()
            except Refused as error:
                claimed = ev.Gated("lock", ok=False, detail=str(error))
            _write(journal, state, show, (claimed,))
        return _drive(journal, state, accounts, show, outside, warden)


def _write(journal: Journal, state: State, show: Show, bodies: Sequence[ev.Body]) -> None:
    """Put facts on the timeline, now."""
    now = SystemClock().now()
    events = [ev.Event(state.count + number, now, body) for number, body in enumerate(bodies, 1)]
    for event in events:
        state.apply(event)
    journal.append(events)
    show.listen(events, state)


def take_over(
    folder: Path,
    accounts: Accounts,
    show: Show,
    *,
    world_alive: Callable[[Plan], bool],
    outside: Callable[[Plan], None],
    warden: Callable[[Plan], Warden | None] | None = None,
) -> State:
    """Go on with a drill that another process left.

    ``JournalError`` if one still drives it; ``Refused`` if another drill holds its target.
    """
    with signals_caught(), Journal.take(folder) as journal:
        events, state = journal.told()
        gone = bool(state.plan.world) and not world_alive(state.plan)
        watching = warden(state.plan) if warden is not None and not gone else None
        claimed = (watching.begin(again=True),) if watching is not None else ()
        with closing(Inbox(folder)) as inbox:
            bodies = drive.resumption(inbox.fetch(state.inbox), person(), os.getpid())
        if gone:
            from drills.report import standing

            bodies.append(ev.WorldGone(standing.WORLD_GONE))
        altered = _altered_evidence(folder, events)
        if altered:
            bodies.append(ev.Told(ev.Word.NOTE, OURSELVES, 0, note=f"{ALTERED}: {altered}"))
        _write(journal, state, show, (*bodies, *claimed))
        rehearsed = state.plan.world and state.plan.mode is Mode.INCIDENT
        imposed = (lambda: outside(state.plan)) if rehearsed else None
        return _drive(journal, state, accounts, show, imposed, watching)


def _altered_evidence(folder: Path, events: Sequence[ev.Event]) -> str:
    """Say which evidence was altered since it was sealed, before it is sealed again."""
    if not any(isinstance(event.body, ev.Sealed) for event in events):
        return ""
    from drills.report.evidence import altered_evidence

    return altered_evidence(folder, events)


def _drive(
    journal: Journal,
    state: State,
    accounts: Accounts,
    show: Show,
    outside: Callable[[], None] | None,
    warden: Warden | None,
) -> State:
    from drills import catalog
    from drills.aws.retry import Retry

    clock = SystemClock()
    watchers = _observers(journal, state, accounts, outside)

    def concluded(seen: State) -> ev.Finished:
        finished = conclude(journal.folder, seen)
        if warden is not None and finished.status != decide.Ending.UNDO_INCOMPLETE:
            warden.give_back()  # what a person has still to mend stays locked until its lease runs out
        return finished

    means = Means(accounts, Retry(clock), clock, catalog.load, watchers, concluded, warden or NoWarden())
    elsewhere = _answers(journal.folder, state, accounts)
    try:
        run = LocalRun(journal, state, means, listen=show.listen, interrupted=show.interrupted)
        show.heed(run.presses)
        frugal.drives()
        return run.run()
    finally:
        if elsewhere is not None:
            elsewhere.close()
        show.close()


def _answers(folder: Path, state: State, accounts: Accounts) -> Answers | None:
    """Look for answers from other machines, where there can be any: a sandbox has no other machines."""
    asks = any(step.kind is Kind.OPERATOR for step in state.plan.steps)
    if state.plan.world or not state.plan.ask or not asks or not state.plan.places:
        return None
    from drills.runtime.answers import Answers

    found = Answers(folder, state, accounts)
    found.watch(lambda told: say(folder, ev.Told(ev.Word.NOTE, "drills", 0, note=told)))
    return found


def _observers(
    journal: Journal,
    state: State,
    accounts: Accounts,
    outside: Callable[[], None] | None,
) -> Observers:
    """Give the observers of a drill; one that watches nothing needs not even know how."""
    if not state.plan.watched:
        return NoObservers()
    from drills import catalog
    from drills.aws.retry import Retry
    from drills.engine.observing import Owner, Reach, Watchers
    from drills.engine.points import Points

    clock = SystemClock()
    home = next((place for place in state.plan.places if place.name == state.plan.to_site), None)

    def secret(reference: str) -> str:
        return accounts.read(home).secret(reference) if home is not None else reference

    return Watchers(
        journal.folder.name,
        journal.folder,
        clock,
        owner=Owner.me() if state.plan.world_private else Owner(),
        reach=Reach(secret, accounts, Points(accounts, Retry(clock), clock, catalog.load)),
        outside=outside,
    )


def conclude(folder: Path, state: State) -> ev.Finished:
    """Judge the drill from what is on disk, and say how it ended. A judge that fails leaves it UNPROVEN.

    A drill that watched nothing has nothing to be judged by, and does not even load the judge.
    """
    if not (state.watching or state.points):
        return decide.concluded(_surroundings(state), state, ())
    from drills.report.judging import finished, judged_claims

    altered = [note for _, by, note in state.notes if by == OURSELVES and note.startswith(ALTERED)]
    if altered:
        raise JournalError(altered[0])
    return finished(Facts(**{**judged_claims(folder, state), **_surroundings(state)}), state)


def _surroundings(state: State) -> Facts:
    """Say of a rehearsal what in it was real and what was simulated."""
    if state.plan.environment_kind != "sandbox":
        return Facts()
    from drills.sandbox.booted import real_and_simulated

    real, simulated = real_and_simulated()
    return Facts(real=[*real], simulated=[*simulated])


def exit_code(state: State) -> int:
    """Give the process's exit code for how the drill stands now: of a parked one nothing is proven yet."""
    if state.finished is not None:
        return state.finished.exit_code
    if state.parked:
        return decide.EXIT_CODES[decide.Ending.RUNNING]
    verdicts = ("UNPROVEN",)
    return decide.EXIT_CODES[decide.ending(state, verdicts)]


def at_a_terminal() -> bool:
    """Say whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def shown(output: str) -> Show:
    """Show progress where it belongs: on stdout, or on stderr when stdout is for one JSON object."""
    from drills.report.live import Listener

    listener = Listener(sys.stderr if output == "json" else sys.stdout)
    return Show(listener, listener.interrupted, listener.close, listener.heed)


def tell(folder: Path, state: State, output: str) -> None:
    """Tell the result, and end the process with its exit code."""
    from drills.report import json, text
    from drills.report.result import Source, summarize
    from drills.runtime.journal import read_drill

    events, _ = read_drill(folder)
    found = summarize(events, state, None, Source(str(folder), driven=False))
    if output == "json":
        sys.stdout.write(json.render(found) + "\n")
    else:
        text.show(sys.stdout, found)
    code = exit_code(state)
    if code:
        raise SystemExit(code)
