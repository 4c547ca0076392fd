"""The moving screen of a running drill: steps, elapsed against expected, and the time left to the objective."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import IO, TYPE_CHECKING, TextIO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from drills import durations
from drills.engine import decide
from drills.engine.plan import Mode, Section
from drills.engine.progress import TERMINAL, Status
from drills.report import figures, paint, standing, telling
from drills.report.printable import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from drills.clock import Clock, Stamp
    from drills.engine.progress import Progress
    from drills.engine.state import State
    from drills.timeline import events as ev

TIMES_A_SECOND = 4
NAME = 28
"""Columns for the name of a step."""
FEWEST_STEPS = 5
"""Lines for steps, at the least: three of them, and how many are above and below."""
BELOW = 2
"""Lines for the latest event and for the cursor."""
MARKS = {
    Status.WAITING: ("·", ".", "dim"),
    Status.RUNNING: ("▸", ">", "bold cyan"),
    Status.DONE: ("✓", "+", "green"),
    Status.FAILED: ("✗", "x", "bold red"),
    Status.UNKNOWN: ("?", "?", "bold red"),
    Status.SKIPPED: ("»", "-", "dim"),
    Status.DROPPED: ("»", "-", "dim"),
}


class Screen:
    """A rich ``Live`` drawn by its own thread, at most a few times a second whatever the drill does."""

    def __init__(self, stream: TextIO, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._latest = ""
        self._drawn: RenderableType = ""
        console = Console(file=cast("IO[str]", paint.Guarded(stream)), highlight=False)
        self._ascii = not (console.encoding or "").lower().startswith("utf")
        self._live = Live(
            console=console,
            get_renderable=self._draw,
            refresh_per_second=TIMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, events: Sequence[ev.Event], state: State) -> None:
        """Take in what has just happened; the drawing is left to the screen's own thread."""
        self._state = state
        for event in reversed(events):
            line = telling.line(event, state)
            if line is not None:
                self._latest = line
                return

    def close(self) -> None:
        """Clear the screen away."""
        self._live.stop()

    def _draw(self) -> RenderableType:
        """Draw the present; while the drill's thread changes the state under us, what was drawn last stays."""
        with suppress(RuntimeError, KeyError, IndexError, AttributeError):
            self._drawn = Group(*self._lines(self._clock.now()))
        return self._drawn

    def _lines(self, now: Stamp) -> list[RenderableType]:
        state, plan = self._state, self._state.plan
        elapsed = now.since(state.opened) if state.opened is not None else 0.0
        word = standing.status(state, driven=True)
        phase = decide.phase(state).value
        where = plan.mode.value if plan.mode is Mode.REHEARSE else f"{plan.mode.value} in {plan.environment}"
        head = Text.assemble(
            (f"{word}: {phase}" if word != phase else word, "cyan"),
            f", {durations.show(elapsed)}  ",
            (plan.title or plan.runbook, "bold"),
            f"  {where}, {plan.from_site} -> {plan.to_site}",
            no_wrap=True,
            overflow="ellipsis",
        )
        lines: list[RenderableType] = [head]
        lines += [countdown] if (countdown := _countdown(state, now)) is not None else []
        room = shutil.get_terminal_size().lines - len(lines) - BELOW
        wants = self._wants(room - FEWEST_STEPS)
        lines += self._steps(now, room - len(wants))
        lines += wants
        lines.append(Text(self._latest, style="dim", no_wrap=True, overflow="ellipsis"))
        return lines

    def _wants(self, room: int) -> list[Text]:
        """Say what waits for a person in lines as they stand on the screen; of too many the last says how to answer."""
        console = self._live.console
        texts = (Text(harmless(text), style="bold yellow") for text in _wants(self._state))
        lines = [line for text in texts for line in text.wrap(console, console.width, overflow="fold")]
        room = max(4, room)
        if len(lines) <= room:
            return lines
        return [*lines[: room - 2], Text("   ...", style="bold yellow"), lines[-1]]

    def _steps(self, now: Stamp, room: int) -> list[Text]:
        shown, before, after = _window(list(self._state.progress.values()), room)
        names = [_name(one) for one in shown]
        times = [_time(one, now) for one in shown]
        name_width, time_width = min(NAME, max(map(len, names), default=0)), max(map(len, times), default=0)
        lines = [
            self._row(one, f"{_cut(name):<{name_width}}", Text(f"{took:>{time_width}}", _late(one, now)))
            for one, name, took in zip(shown, names, times, strict=True)
        ]
        if before:
            lines.insert(0, Text(f"   {before} above", style="dim"))
        if after:
            lines.append(Text(f"   {after} below", style="dim"))
        return lines

    def _row(self, one: Progress, name: str, took: Text) -> Text:
        sign, plain, style = MARKS[one.status]
        if one.undone:
            sign, plain, style = "↶", "<", "yellow"
        name_style = "bold" if one.status is Status.RUNNING else style if one.status in TERMINAL else ""
        detail = one.undo_error or one.undo_detail or one.detail or one.step.say or one.step.uses
        detail_style = "" if one.status is Status.RUNNING else "dim"
        return Text.assemble(
            (f" {plain if self._ascii else sign} ", style),
            (name, name_style),
            "  ",
            took,
            "  ",
            (telling.short(detail), detail_style),
            no_wrap=True,
            overflow="ellipsis",
        )


def _name(one: Progress) -> str:
    return one.step.id if one.step.section is Section.STEPS else f"{one.step.section.value}: {one.step.id}"


def _cut(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 2]}.."


def _window(steps: list[Progress], room: int) -> tuple[list[Progress], int, int]:
    """Choose the steps that fit: those around the first one that has not ended."""
    steps = [one for one in steps if one.step.section is not Section.GUARD]
    room = max(3, room)
    if len(steps) <= room:
        return steps, 0, 0
    room = max(3, room - 2)
    current = next((at for at, one in enumerate(steps) if one.status not in TERMINAL), len(steps))
    begin = max(0, min(current - room // 3, len(steps) - room))
    return steps[begin : begin + room], begin, len(steps) - begin - room


def _time(one: Progress, now: Stamp) -> str:
    """Elapsed time, against the expected where the runbook says one."""
    if one.started is None:
        return f"({figures.chosen(one.step.expect_s)})" if one.step.expect_s else ""
    took = durations.show((one.ended or now).since(one.started))
    return f"{took} of {figures.chosen(one.step.expect_s)}" if one.step.expect_s and one.ended is None else took


def _late(one: Progress, now: Stamp) -> str:
    expected, since = one.step.expect_s, one.started
    if expected is None or since is None:
        return ""
    return "yellow" if (one.ended or now).since(since) > expected else ""


def _countdown(state: State, now: Stamp) -> RenderableType | None:
    """Set the time since the disaster against the objective, until the service has settled."""
    objective, so_far = standing.recovery_objective(state), standing.so_far(state, now)
    if objective is None or so_far is None:
        return None
    settled = state.stages.get("settled")
    if settled is not None and settled.ok is True:
        return Text(f"{objective.name}: the service has settled; the report says when", style="green")
    passed, target = so_far.passed_s, objective.target_s
    left = target - passed
    words = f"{durations.show(left)} left" if left >= 0 else f"{durations.show(-left)} over"
    if so_far.settling is not None:
        words += f", settling since {telling.clock(so_far.settling)}"
    style = "bold red" if left < 0 else "yellow" if left < target / 4 else "green"
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        Text(f"{objective.name} so far {durations.show(passed)} of {figures.chosen(target)}", style=style),
        ProgressBar(total=target, completed=min(passed, target), width=20, complete_style=style, finished_style=style),
        Text(words, style=style),
    )
    return grid


def _wants(state: State) -> list[str]:
    """Say what waits for a person, or turns the drill back."""
    if state.stop is not None:
        return [f"turning back: {telling.short(state.why)}"]
    lacking = standing.lacking(state)
    if lacking:
        return [f"{one.step.id} is waiting for credentials of {one.step.place}: {one.renew}" for one in lacking]
    if state.held_for:
        return [f"decide: {', '.join(sorted(state.held_for))} (`drills retry`, `skip`, `resolve`, `abort`)"]
    if not state.plan.ask:
        return []
    return [line for one in standing.asking(state) for line in _question(state, one)]


def _question(state: State, one: Progress) -> Iterator[str]:
    """Put the whole question before whoever has to answer it: each thing that it shows on a line of its own."""
    name = one.step.id
    asked = telling.question(one.step)
    yield f"{name} ASKS{telling.who(state, one.step)}{f': {asked}' if asked else ''}"
    yield from (f"   {what}: {value}" for what, value in one.shown.items())
    yield f"   in another terminal: `drills approve {name}` or `drills reject {name}`, with --note"
