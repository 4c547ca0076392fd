"""Chaos Toolkit in an environment of its own, the newest that pip gives, and one moto server for both tools."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from record import ROOT, tell

from drills.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

WORK = ROOT / ".drills" / "bench"
PACKAGES = ("chaostoolkit", "chaostoolkit-aws")
INSTALL_S = 600
MOTO_STARTS_WITHIN_S = 60


def install(python: str) -> Path:
    """Make or renew the environment under ``.drills/bench`` for the interpreter ``python``; give its ``bin`` folder."""
    version = _said(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    home = WORK / f"chaostoolkit-{version}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        tell(f"installing {' and '.join(PACKAGES)} for Python {version}")
        _said(python, "-m", "venv", str(home))
    _said(str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--upgrade", *PACKAGES)
    (home / "complete").touch()
    return home / "bin"


def versions(folder: Path) -> dict[str, str]:
    """Give what pip gave: the versions that are compared with."""
    code = (
        "import platform; from importlib.metadata import version; print(platform.python_version(), "
        "*(version(name) for name in ('chaostoolkit', 'chaostoolkit-lib', 'chaostoolkit-aws', 'boto3')))"
    )
    names = ("python", "chaostoolkit", "chaostoolkit-lib", "chaostoolkit-aws", "boto3")
    return dict(zip(names, _said(str(folder / "python"), "-c", code).split(), strict=True))


@contextmanager
def moto_server() -> Generator[str]:
    """Run one moto server on a free port of 127.0.0.1; gives its URL, and ends it afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    )
    try:
        _await(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    clock = SystemClock()
    begun = clock.now()
    while clock.now().since(begun) < MOTO_STARTS_WITHIN_S and process.poll() is None:
        with socket.socket() as door:
            door.settimeout(1)
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return
        clock.sleep(0.1)
    raise SystemExit("the moto server did not start")


def _said(*argv: str) -> str:
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    if answer.returncode:
        raise SystemExit(f"{' '.join(argv)} failed:\n{answer.stderr[-2000:]}")
    return answer.stdout.strip()
