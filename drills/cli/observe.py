"""``drills observe``: keep observers running, so that an incident that nobody planned can be judged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drills.cli.observed import tell
from drills.clock import SystemClock
from drills.durations import show
from drills.errors import DrillsError, Refused, Usage
from drills.observe import keeping
from drills.report import paint
from drills.runtime.folder import home

if TYPE_CHECKING:
    from drills.observe.job import ProbeJob

_FOREVER_S = 10 * 365 * 86_400.0
_STARTED_WITHIN_S = 40.0
_STOPPED_WITHIN_S = 20.0


@click.command("observe")
@click.argument("environment", required=False)
@click.option("--runbook", default="", metavar="RUNBOOK", help="Watch what its `measure: availability:` names.")
@click.option("--to", "to_site", default="", metavar="SITE", help="What `to` means, where an observer names it.")
@click.option("--in", "standing", default="", metavar="NAME", help="Of a sandbox that `drills sandbox up` keeps.")
@click.option("--detach", is_flag=True, help="Go on in the background.")
@click.option("--stop", is_flag=True, help="End the observers of the environment.")
@click.option("--status", "status", is_flag=True, help="Say what is held, and whether it is observed now.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of --status.")
def observe(  # noqa: PLR0913 - click gives one for each option
    environment: str | None,
    runbook: str,
    to_site: str,
    standing: str,
    *,
    detach: bool,
    stop: bool,
    status: bool,
    output: str,
) -> int | None:
    """Keep observers of ENVIRONMENT running, each with a ring of the last 72 hours on disk.

    What is watched stands in the environment under `observe:` (a runbook's name, or availability observers), or is
    named by --runbook. `drills incident` takes the rings over as evidence of the time before it. Ends cleanly on TERM
    and Ctrl-C. Without ENVIRONMENT: the status of all.

    \b
    drills observe production --detach
    drills observe production --status
    drills observe production --stop

    Exit 0: as asked. 3 (--status): not observed now. 4: it is observed already.
    """  # noqa: D301 - the backslash is for click: it keeps the lines below it as they are
    if environment is None:
        if stop or detach or runbook:
            raise Usage("say which ENVIRONMENT")
        return tell(sorted(one for one in (home() / keeping.FOLDER).glob("*") if one.is_dir()), output)
    if sum((detach, stop, status)) > 1:
        raise Usage("--detach, --stop and --status exclude each other")
    if stop or status:
        folder = home() / keeping.FOLDER / _name(environment)
        return _stop(folder) if stop else tell([folder], output)
    if detach:
        _detach(environment, runbook, to_site, standing)
        return None
    _keep(_wanted(environment, runbook, to_site, standing))
    return None


def _name(environment: str) -> str:
    """Give the name of an environment that may be a path; one whose file is gone keeps its rings."""
    if (home() / keeping.FOLDER / environment).is_dir():
        return environment
    from drills.runbook.find import environment_path
    from drills.runbook.load import load_environment

    return load_environment(environment_path(environment)).model.environment


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be kept: the environment's name, the runbook's, a job for each observer, and whose pace is another."""

    environment: str
    runbook: str
    jobs: list[ProbeJob]
    paces: tuple[str, ...]


def _wanted(environment: str, runbook: str, to_site: str, standing: str) -> Wanted:
    """Bind what is to be watched."""
    from drills.engine.observing import Owner, probe_job
    from drills.engine.watches import slowed, standing_watches
    from drills.runbook import find
    from drills.runbook.environment import Observe
    from drills.runbook.load import load_environment, load_runbook

    place = load_environment(find.environment_path(environment))
    declared = place.model.observe
    told = runbook or (declared.runbook if declared is not None else None) or ""
    if not told and declared is None:
        raise Usage(f"{place.path} says nothing under 'observe:'; add it, or say --runbook RUNBOOK")
    if runbook and declared is not None and not declared.runbook:
        raise Usage(f"{place.path} names its own observers under 'observe:'; leave --runbook out")
    book = load_runbook(find.runbook_path(told)) if told else None
    paces = declared or Observe(runbook="any")
    world = None
    if standing:
        from drills.sandbox import lifecycle

        world = lifecycle.find(lifecycle.standing_folder(standing)).values()
    watches = standing_watches(place, book, to_site, world)
    owner, keep_s = Owner.me(), paces.keep.total_seconds()
    jobs: list[ProbeJob] = []
    for watch in watches:
        job = probe_job(slowed(watch, paces.every.total_seconds()), owner, _secret(place), _FOREVER_S)
        jobs.append(replace(job, keep_s=keep_s))
        jobs[-1].check()
    every_s = paces.every.total_seconds()
    slower = tuple(
        f"{one.id}: asked each {show(every_s)} here, and each {show(one.every_s)} in a drill"
        for one in watches
        if book is not None and one.every_s < every_s
    )
    return Wanted(place.model.environment, book.model.runbook if book else "", jobs, slower)


def _secret(place: Any) -> Any:
    """Read a secret with the rights of the environment's first site, and only when one is named."""

    def read(reference: str) -> str:
        if not reference.startswith(("env:", "secretsmanager:", "ssm:")):
            return reference
        from drills.aws.sessions import Accounts
        from drills.engine.bind import places_of

        return Accounts().read(places_of(place.model, None)[0]).secret(reference)

    return read


def _keep(wanted: Wanted) -> None:
    """Keep the observers until TERM or Ctrl-C."""
    from drills.observe.start import Observers

    name, jobs = wanted.environment, wanted.jobs
    clock, folder = SystemClock(), home() / keeping.FOLDER / name
    told: list[int] = []
    before = {number: signal.signal(number, lambda got, _: told.append(got)) for number in _ENDS}
    screen = sys.stdout.isatty()

    def say(line: str) -> None:
        paint.put(sys.stdout, f"\r\033[K{line}\n" if screen else f"{line}\n")

    try:
        with keeping.kept(folder, keeping.me(name, wanted.runbook, clock)):
            keeper = keeping.Keeper(jobs, folder, Observers(clock), clock, say)
            say(f"observing {name}: {', '.join(job.id for job in jobs)}; rings of {show(jobs[0].keep_s)} in {folder}")
            for pace in wanted.paces:
                say(pace)
            try:
                while not told:
                    keeper.look()
                    if screen:
                        paint.put(sys.stdout, f"\r\033[K{_clipped(keeper.line())}")
                    _wait(clock, told)
            finally:
                keeper.stop()
            say(f"ended; what was seen stays in {folder}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDS = (signal.SIGINT, signal.SIGTERM)


def _wait(clock: SystemClock, told: list[int]) -> None:
    begun = clock.now()
    while not told and (left_s := keeping.LOOK_S - clock.now().since(begun)) > 0:
        clock.sleep(min(0.1, left_s))


def _clipped(line: str) -> str:
    import shutil

    width = shutil.get_terminal_size().columns - 1
    return line if len(line) <= width else f"{line[: width - 2]}.."


# -- in the background -------------------------------------------------------------------------------------


def _detach(environment: str, runbook: str, to_site: str, standing: str) -> None:
    """Start the same command in a session of its own, and wait until it keeps the observers."""
    wanted = _wanted(environment, runbook, to_site, standing)
    name, jobs = wanted.environment, wanted.jobs
    folder = home() / keeping.FOLDER / name
    if (other := keeping.keeper(folder)) is not None:
        raise Refused(f"not started: {name} is observed already by process {other.pid} since {other.since}")
    log = folder / "observe.log"
    words = [
        word for pair in (("--runbook", runbook), ("--to", to_site), ("--in", standing)) if pair[1] for word in pair
    ]
    with keeping.written(log) as out:
        out.truncate(0)
        child = subprocess.Popen(  # noqa: S603 - this program, with the words it was given
            [sys.executable, "-P", "-m", "drills", "observe", environment, *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    clock = SystemClock()
    begun = clock.now()
    while clock.now().since(begun) < _STARTED_WITHIN_S:
        if child.poll() is not None:
            raise Refused(f"not started: {log.read_text(encoding='utf-8', errors='replace').strip()[-500:]}")
        seen = keeping.keeper(folder)
        if seen is not None and seen.pid == child.pid and all(_lives(folder, job.id) for job in jobs):
            paint.put(sys.stdout, f"{name} is observed by process {child.pid}; its words are in {log}\n")
            paint.put(sys.stdout, "".join(f"  {pace}\n" for pace in wanted.paces))
            return
        clock.sleep(0.05)
    paint.put(sys.stdout, f"{name}: process {child.pid} keeps trying; its words are in {log}\n")


def _lives(folder: Path, observer: str) -> bool:
    """Say whether the observer that writes a ring is a process of this moment."""
    from drills.observe.store import read_header

    try:
        return Path(f"/proc/{read_header(keeping.ring_of(folder, observer)).pid}").exists()
    except DrillsError:
        return False


def _stop(folder: Path) -> int:
    """End the process that keeps the observers, and wait for it."""
    seen = keeping.keeper(folder)
    if seen is None:
        paint.put(sys.stdout, f"{folder.name} is not observed; nothing to stop\n")
        return 0
    os.kill(seen.pid, signal.SIGTERM)
    clock = SystemClock()
    begun = clock.now()
    while keeping.keeper(folder) is not None:
        if clock.now().since(begun) > _STOPPED_WITHIN_S:
            raise Refused(f"process {seen.pid} has not ended within {show(_STOPPED_WITHIN_S)}; it was told to")
        clock.sleep(0.05)
    paint.put(sys.stdout, f"{folder.name} is observed no more; what was seen stays in {folder}\n")
    return 0


COMMANDS = (observe,)
