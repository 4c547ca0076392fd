"""Progress of a running drill: a moving screen on a terminal, plain lines elsewhere, silence when asked for.

Nothing here may stop a drill: what goes wrong with the output ends the output and nothing else.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from drills.clock import SystemClock
from drills.report import ask, paint, standing, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from drills.clock import Clock
    from drills.engine.state import State
    from drills.report.screen import Screen
    from drills.timeline import events as ev


class Face(Protocol):
    """What shows the progress."""

    def show(self, events: Sequence[ev.Event], state: State) -> None:
        """Take in what has just happened."""
        ...

    def close(self) -> None:
        """End; what was drawn is cleared away or flushed."""
        ...


class Silence:
    """Shows nothing."""

    def show(self, events: Sequence[ev.Event], state: State) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """One line an event worth telling, and one for each turn of the drill that follows from them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stopped = False
        self._held: set[str] = set()

    def show(self, events: Sequence[ev.Event], state: State) -> None:
        """Write the lines of these events at once."""
        lines = [line for event in events if (line := telling.line(event, state)) is not None]
        if state.stop is not None and not self._stopped:
            what = standing.retreat(state).why
            lines.append(f"{telling.stamp(events[-1].at, state.opened)} turning back: {state.why}; {what}")
        elif state.held_for and self._held != state.held_for:
            names = ", ".join(sorted(state.held_for))
            lines.append(
                f"{telling.stamp(events[-1].at, state.opened)} waiting for a person: {names} "
                "(`drills retry`, `skip`, `resolve` or `abort`)"
            )
        self._stopped, self._held = state.stop is not None, set(state.held_for)
        if lines:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Leave nothing to do: each line was flushed."""


class Listener:
    """Shows a drill's progress; give it to ``LocalRun(listen=..., interrupted=listener.interrupted)``.

    Never raises. ``quiet`` shows nothing at all; on anything but a colourful terminal the face is plain lines.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False, clock: Clock | None = None) -> None:
        self._stream = stream or sys.stdout
        self._clock = clock or SystemClock()
        self._face: Face | None = Silence() if quiet else None
        self._presses: Callable[[], str] = ask.nothing_presses
        self.gone = False
        """Whether the output has failed: nobody reads any more."""

    def heed(self, presses: Callable[[], str]) -> None:
        """Take in how to ask what a question must not keep waiting."""
        self._presses = presses

    def __call__(self, events: Sequence[ev.Event], state: State) -> None:
        """Take in events that are on disk, and the state they led to."""
        try:
            if self._face is None:
                self._face = self._begin(state)
            if events:
                self._face.show(events, state)
        except Exception:  # noqa: BLE001 - no fault of the output may reach the drill
            self._give_up()

    def interrupted(self, state: State) -> ev.Told | None:
        """Answer Ctrl-C: ask the person, with the screen out of the way; see ``interrupt_prompt``."""
        face, self._face = self._face, None
        try:
            if face is not None:
                face.close()
            return ask.interrupt_prompt(state, presses=self._presses)
        finally:
            self._face = face if isinstance(face, Lines | Silence) else None
            self((), state)

    def close(self) -> None:
        """End the progress: clear the screen for what is printed next."""
        try:
            if self._face is not None:
                self._face.close()
        except Exception:  # noqa: BLE001 - no fault of the output may reach the drill
            self._give_up()
        self._face = Silence()

    def _begin(self, state: State) -> Face:
        if not paint.is_fancy(self._stream):
            return Lines(self._stream)
        return _screen(self._stream, state, self._clock)

    def _give_up(self) -> None:
        self._face, self.gone = Silence(), True
        paint.hush(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _screen(stream: TextIO, state: State, clock: Clock) -> Screen:
    from drills.report.screen import Screen

    return Screen(stream, state, clock)


interrupt_prompt = ask.interrupt_prompt
"""What Ctrl-C means where no ``Listener`` shows the drill."""
