"""The process of one sandbox: builds its world, serves it, and ends with everything it started.

Run as ``python -m drills.sandbox.world FOLDER [OWNER_PID OWNER_START]`` by ``lifecycle.boot``; ``world.json`` in the
folder says what to build. With an owner its standard input is a pipe from it: when the pipe closes or the owner is
gone, by whatever signal, the sandbox ends.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from drills.clock import process_start
from drills.sandbox import booted
from drills.sandbox.assembly import Assembly
from drills.sandbox.spec import WorldSpec

if TYPE_CHECKING:
    from types import FrameType

_log = logging.getLogger(__name__)
_GIVES_UP_S = 0.05
_END_WITHIN_S = 1.5
"""What has not ended by itself after this is left to the keeper of its processes, which sees the world go."""
_OWNER_LOOK_MS = 250
_FOLDER_LOOK_S = 1.0
_REAL_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "MOTO_ACCOUNT_ID",
)


def forget_credentials() -> None:
    """Take everything out of the environment with which this process could speak to the real AWS."""
    for name in _REAL_CREDENTIALS:
        os.environ.pop(name, None)
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def main(argv: list[str]) -> int:
    """Serve one sandbox until it is told to end; 1 when it could not be built."""
    forget_credentials()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(threadName)s %(levelname)s %(message)s")
    folder = Path(argv[0])
    spec = msgspec.json.decode((folder / "world.json").read_bytes(), type=WorldSpec)
    owner = argv[1:]
    assembly = Assembly(spec, folder, private=bool(owner))

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        assembly.ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the drill, which decides what becomes of us
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if owner:
        threading.Thread(target=_watch, args=(owner, assembly.ended), name="owner", daemon=True).start()
    code, built = 0, threading.Event()
    threading.Thread(target=_give_up, args=(assembly, built), name="giving up", daemon=True).start()
    try:
        ready = folder / booted.SANDBOX_JSON
        facts = assembly.start()
        built.set()
        booted.write(facts, ready)
        while not assembly.ended.wait(_FOLDER_LOOK_S) and ready.exists():
            pass  # a sandbox whose folder was removed can be found by nobody: it ends
    except Exception:  # noqa: BLE001 - it is logged, and the exit code tells it
        if not assembly.ended.is_set():
            _log.exception("the sandbox could not be built")
            code = 1
    ending = threading.Thread(target=assembly.stop, name="ending", daemon=True)
    ending.start()
    ending.join(_END_WITHIN_S)
    (folder / booted.SANDBOX_JSON).unlink(missing_ok=True)
    logging.shutdown()
    os._exit(code)  # no thread of moto, werkzeug or a checker may keep the process


def _give_up(assembly: Assembly, built: threading.Event) -> None:
    """End at once when nobody wants the sandbox any more while it is still being built."""
    while not built.is_set():
        if assembly.ended.wait(_GIVES_UP_S):
            if not built.is_set():
                assembly.give_up()
                os._exit(0)
            return


def _watch(owner: list[str], ended: threading.Event) -> None:
    """Set ``ended`` once the owner is gone; its pipe tells at once, its pid even if a child of it kept the pipe."""
    pid, start = int(owner[0]), owner[1]
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
    while not ended.is_set():
        if poll.poll(_OWNER_LOOK_MS) or process_start(pid) != start:
            ended.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
