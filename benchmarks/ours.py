"""Run a runbook against one endpoint: the whole way of ``drills rehearse`` but for booting a sandbox.

From YAML to a finished journal on disk: load, check, compile, drive, judge. ``compare.py`` measures it as a process
of its own. Usage: ours.py RUNBOOK ENVIRONMENT ENDPOINT FOLDER [synced]

``synced``: wait for the disk at each turn, even where nothing but looks stands in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from drills.cli import frugal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.engine.state import State
    from drills.timeline.events import Event


def main(runbook: str, environment: str, endpoint: str, folder: str, how: str = "") -> int:
    """Run it, print how long the steps took in all, and give 0 when every step is done."""
    frugal.begin()  # as the command does, before it loads the rest
    from drills.aws.sessions import Accounts
    from drills.cli.compose import Show, open_drill
    from drills.engine.compile import compile_plan
    from drills.engine.plan import Mode
    from drills.engine.progress import Status
    from drills.runbook.load import load_environment, load_runbook
    from drills.runbook.world import SandboxValues
    from drills.runtime.journal import Journal

    if how == "synced":
        Journal.append_unsynced = Journal.append
    world = SandboxValues(endpoint, "127.0.0.1:53", folder, private=False, values={}, sites={})
    plan = compile_plan(
        load_runbook(Path(runbook)),
        load_environment(Path(environment)),
        mode=Mode.REHEARSE,
        from_site="east",
        to_site="west",
        parameters={},
        ask=False,
        world=world,
    )
    seen = Ends()
    state = open_drill(Path(folder), plan, Accounts(), Show(seen.listen, lambda _: None, lambda: None), outside=None)
    undone = [name for name, one in state.progress.items() if one.status is not Status.DONE]
    print(json.dumps({"steps": len(state.progress), "not_done": undone[:10], "steps_took_s": seen.took_s()}))
    frugal.end()
    return 1 if undone or state.finished is None else 0


class Ends:
    """Remembers when the first step began and when the last one ended."""

    def __init__(self) -> None:
        self._moments: list[int] = []

    def listen(self, events: Sequence[Event], _: State) -> None:
        """Hear what was just written."""
        self._moments += [one.at.mono_ns for one in events if type(one.body).__name__ in ("Started", "Ended")]

    def took_s(self) -> float:
        """Give the seconds from the first start to the last end."""
        return (max(self._moments) - min(self._moments)) / 1e9 if self._moments else 0.0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:6]))
