"""Boots a sandbox in a process of its own, finds it again, speaks to it and ends it.

A private sandbox belongs to the process that booted it and ends with it. A standing one, booted by ``drills sandbox
up``, outlives drills and is found by its name under ``.drills/sandboxes/``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills.clock import SystemClock, process_start
from drills.errors import DrillsError, Refused
from drills.sandbox.booted import SANDBOX_JSON, Booted, read, real_and_simulated
from drills.sandbox.spec import WorldSpec, world_spec

if TYPE_CHECKING:
    from drills.sandbox.faults import FaultRule

__all__ = [
    "Booted",
    "Running",
    "WorldSpec",
    "boot",
    "clear_faults",
    "effects",
    "find",
    "impose",
    "names",
    "real_and_simulated",
    "relieve",
    "set_fault",
    "standing_folder",
    "status",
    "stop",
    "world_spec",
]

READY_WITHIN_S = 75.0
ENDS_WITHIN_S = 5.0
_LOOK_S = 0.02
_TAIL_LINES = 30
_ASK_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Running:
    """A sandbox booted by this process: its facts, and the handle that ends it."""

    facts: Booted
    process: subprocess.Popen[bytes] = field(repr=False)

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        stop(self.facts)
        self.process.wait(ENDS_WITHIN_S)


def boot(spec: WorldSpec, folder: Path, *, private: bool, outage: str | None = None) -> Running:
    """Start a sandbox in ``folder`` and wait until it is ready.

    ``outage`` (``kill`` or ``blackhole``) takes the place of what the environment says. Raises ``Refused`` when one
    runs there already, ``DrillsError`` with the end of its log when it cannot be built.
    """
    import msgspec

    from drills.sandbox.state import Outage

    folder = folder.resolve()
    if (folder / SANDBOX_JSON).exists() and _alive(folder):
        raise Refused(f"a sandbox runs in {folder} already; end it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}; work elsewhere, or set DRILLS_HOME") from error
    (folder / SANDBOX_JSON).unlink(missing_ok=True)
    if outage is not None:
        spec = replace(spec, outage=Outage(outage))
    (folder / "world.json").write_bytes(msgspec.json.encode(spec))
    process = _spawn(folder, private=private)
    try:
        facts = _await_ready(process, folder)
    except BaseException:
        _kill(process)
        raise
    return Running(facts, process)


def standing_folder(name: str, root: Path | None = None) -> Path:
    """Say where the standing sandbox called ``name`` keeps its state; ``Refused`` for a name that is none."""
    if not name or not all(part.isalnum() or part in "-_" for part in name):
        raise Refused(f"{name!r} is no name for a sandbox: letters, digits, - and _ only")
    return (root or _root()) / "sandboxes" / name


def names(root: Path | None = None) -> tuple[str, ...]:
    """List the standing sandboxes that run."""
    folder = (root or _root()) / "sandboxes"
    return tuple(sorted(one.name for one in folder.glob("*") if (one / SANDBOX_JSON).exists() and _alive(one)))


def find(folder: Path) -> Booted:
    """Give the sandbox that runs in ``folder``; ``Refused`` when none does."""
    if not _alive(folder):
        raise Refused(f"no sandbox runs in {folder}; start one with: drills sandbox up")
    return read(folder / SANDBOX_JSON)


def stop(facts: Booted) -> None:
    """End a sandbox and wait until its process is gone; one that is gone already is fine."""
    clock, began = SystemClock(), SystemClock().now()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process_start(facts.pid) == facts.process:
            os.kill(facts.pid, number)
        while process_start(facts.pid) == facts.process and clock.now().since(began) < ENDS_WITHIN_S:
            clock.sleep(_LOOK_S)
        began = clock.now()
    (Path(facts.folder) / SANDBOX_JSON).unlink(missing_ok=True)


def impose(facts: Booted, site: str, how: str | None = None) -> None:
    """Lose a site from outside, as a real incident does; returns once the order is taken."""
    ask(facts, "POST", "lose", {"site": site, "how": how})


def relieve(facts: Booted, site: str) -> None:
    """Take back what ``impose`` did; returns once the order is taken."""
    ask(facts, "POST", "heal", {"site": site})


def set_fault(facts: Booted, rule: FaultRule) -> None:
    """Put an API fault rule in force."""
    import msgspec

    ask(facts, "POST", "faults", msgspec.to_builtins(rule))


def clear_faults(facts: Booted, rule_id: str = "") -> None:
    """Take one API fault rule away, or all."""
    ask(facts, "DELETE", f"faults/{rule_id}" if rule_id else "faults")


def status(facts: Booted) -> Any:
    """Ask how its sites are, and which processes it has."""
    return ask(facts, "GET", "status")


def effects(facts: Booted) -> Any:
    """Ask what really happened, oldest first."""
    return ask(facts, "GET", "effects")


def ask(facts: Booted, method: str, path: str, body: object = None) -> Any:
    """Ask the control endpoint of a sandbox; ``DrillsError`` when it refuses or does not answer."""
    import urllib.error
    import urllib.request

    url = f"{facts.endpoint_url}/_drills/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - the sandbox's own http URL
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # nothing may go through a proxy
    try:
        with opener.open(request, timeout=_ASK_TIMEOUT_S) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        told = json.loads(error.read() or b"{}").get("error", error.reason)
        raise DrillsError(f"the sandbox refused {method} {path}: {told}") from error
    except OSError as error:
        raise DrillsError(f"the sandbox at {facts.endpoint_url} does not answer: {error}") from error


def _root() -> Path:
    return Path(os.environ.get("DRILLS_HOME") or ".drills")


def _spawn(folder: Path, *, private: bool) -> subprocess.Popen[bytes]:
    owner = [str(os.getpid()), process_start(os.getpid())] if private else []
    with (folder / "world.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "drills.sandbox.world", str(folder), *owner],
            stdin=subprocess.PIPE if private else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A session of its own: Ctrl-C and a closing terminal are the drill's business, not the world's.
            start_new_session=True,
        )


def _await_ready(process: subprocess.Popen[bytes], folder: Path) -> Booted:
    clock, began = SystemClock(), SystemClock().now()
    while clock.now().since(began) < READY_WITHIN_S:
        if (folder / SANDBOX_JSON).exists():
            return read(folder / SANDBOX_JSON)
        if process.poll() is not None:
            raise DrillsError(f"the sandbox could not be built; the end of {folder / 'world.log'}:\n{_tail(folder)}")
        clock.sleep(_LOOK_S)
    raise DrillsError(f"the sandbox was not ready after {READY_WITHIN_S:.0f} s; the end of its log:\n{_tail(folder)}")


def _tail(folder: Path) -> str:
    try:
        lines = (folder / "world.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(lines[-_TAIL_LINES:]) or "(the log is empty)"


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _alive(folder: Path) -> bool:
    import msgspec

    try:
        facts = read(folder / SANDBOX_JSON)
    except (OSError, msgspec.MsgspecError):
        return False
    return process_start(facts.pid) == facts.process
