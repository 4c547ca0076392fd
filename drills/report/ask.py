"""Ctrl-C on a running drill: go on, pause or abort, with what an abort would do now in plain sight."""

from __future__ import annotations

import contextlib
import select
import signal
import sys
import textwrap
from typing import TYPE_CHECKING, TextIO

from drills.clock import SystemClock
from drills.engine.plan import Mode
from drills.report import paint, standing
from drills.runtime.inbox import person
from drills.timeline.events import Told, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from drills.engine.state import State

ANSWER_WITHIN_S = 30.0
TRIES = 3
LOOK_EVERY_S = 0.1
NO_ANSWER, PAUSED = "no answer: it goes on", "no answer: it stays paused"


def nothing_presses() -> str:
    """Say that nothing has come meanwhile."""
    return ""


def interrupt_prompt(
    state: State,
    *,
    answers: TextIO | None = None,
    stream: TextIO | None = None,
    limit_s: float = ANSWER_WITHIN_S,
    presses: Callable[[], str] = nothing_presses,
) -> Told | None:
    """Ask what an interrupt is to mean; None: go on. Never raises, and never waits longer than ``limit_s`` an answer.

    ``presses`` is asked while it waits: what must not be kept waiting by a question (an abort, a guard's no) ends it.

    Without a terminal nobody can be asked: a rehearsal (its sandbox ends with it) is aborted, a run or an incident
    is parked (resumable, nothing undone). A second Ctrl-C at the question is an abort.
    """
    source, sink = answers or sys.stdin, stream or sys.stderr
    if not (_is_terminal(source) and _is_terminal(sink)):
        return _unasked(state)
    try:
        with _interruptible():
            return _asked(state, source, sink, limit_s, presses)
    except KeyboardInterrupt:
        return Told(Word.ABORT, person(), 0, note="Ctrl-C twice")
    except (OSError, ValueError):
        return None


def question(state: State) -> str:
    """Write the question, with what an abort would do now."""
    held = standing.retreat(state)
    if state.paused:
        head = f"The drill stays paused, also when no answer comes within {ANSWER_WITHIN_S:.0f} s."
        ways = ("g  leave it paused", "c  continue: go on with the paused drill")
    else:
        head = f"Nothing new starts while you decide; after {ANSWER_WITHIN_S:.0f} s it goes on."
        ways = ("g  go on", "p  pause: what runs may end, nothing new starts")
    lines = [
        "",
        f"Interrupted. {head}",
        *(f"  {way}" for way in ways),
        f"  a  abort: {held.why}",
        *(f"       {place}. undo {name}" for place, name in enumerate(held.undone, 1)),
        *(f"       stays: {name}" for name in held.stays),
        "  Ctrl-C again: abort",
        "> ",
    ]
    columns = paint.width()
    return "\n".join(part for line in lines for part in _fitted(line, columns))


def _fitted(line: str, columns: int) -> list[str]:
    """Break a line that is too long between its words; what follows stands further in."""
    if len(line) <= columns:
        return [line]
    further = " " * (len(line) - len(line.lstrip()) + 3)
    return textwrap.wrap(line, columns, subsequent_indent=further, break_on_hyphens=False)


def _asked(state: State, answers: TextIO, stream: TextIO, limit_s: float, presses: Callable[[], str]) -> Told | None:
    paint.put(stream, question(state))
    for _ in range(TRIES):
        why = _waited(answers, limit_s, presses)
        if why:
            paint.put(stream, f"{PAUSED if state.paused and why == NO_ANSWER else why}\n")
            return None
        said = answers.readline()
        match said.strip().lower()[:1]:
            case "g":
                return None
            case "p" if not state.paused:
                return Told(Word.PAUSE, person(), 0)
            case "c" if state.paused:
                return Told(Word.CONTINUE, person(), 0)
            case "a":
                return Told(Word.ABORT, person(), 0)
            case _ if not said:
                return None
            case _:
                paint.put(stream, "g, p or a? " if not state.paused else "g, c or a? ")
    return None


def _waited(answers: TextIO, limit_s: float, presses: Callable[[], str]) -> str:
    """Wait for an answer; say why none is waited for any longer, or nothing when there is one."""
    clock = SystemClock()
    begun = clock.now()
    while (left_s := limit_s - clock.now().since(begun)) > 0:
        if select.select([answers], [], [], min(LOOK_EVERY_S, left_s))[0]:
            return ""
        why = presses()
        if why:
            return f"no answer is waited for: {why}"
    return NO_ANSWER


def _unasked(state: State) -> Told:
    private = state.plan.mode is Mode.REHEARSE or state.plan.world_private
    word = Word.ABORT if private else Word.PARK
    return Told(word, person(), 0, note="interrupted, and there was no terminal to ask on")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False


@contextlib.contextmanager
def _interruptible() -> Generator[None]:
    """Let Ctrl-C raise while the question stands (the drill's own handler only counts)."""
    try:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
