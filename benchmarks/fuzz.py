"""Give broken files and damaged drills to the doors of drills: no traceback, no hang, nothing damaged called met.

``python benchmarks/fuzz.py --files 5000 --drills 5000 [--seed N]``: each input is a function of its number; one in
two hundred goes through a process of its own, the others through the same door in this one. An input that went wrong
is kept, and printed with its number.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from record import Bar, finish, tell

from drills.clock import SystemClock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

CLOCK = SystemClock()
TOGETHER = 250
A_PROCESS_EVERY = 200
ALONE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""A drill that is taken up again finds no account."""


def some(kind: str, first: int, count: int) -> list[str]:
    """Give the inputs of a few numbers to their doors."""
    os.environ.update(ALONE)
    from fuzzing import broken_yaml, fuzz_file, ran, ran_for_real
    from fuzzing_drills import fuzz_drill, whole_drills

    faults: list[str] = []
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(prefix="drills-fuzz-", dir=memory) as name:
        folder = Path(name)
        whole = whole_drills(folder / "whole") if kind == "drill" else []
        for number in range(first, first + count):
            (folder / "now").write_text(f"{kind} {number}")
            run = ran if number % A_PROCESS_EVERY else ran_for_real
            found = fuzz_drill(number, folder, whole, run) if whole else fuzz_file(number, folder, run)
            if found and kind == "file":
                kept = Path(tempfile.gettempdir()) / f"drills-fuzz-bad-{number}.yaml"
                kept.write_bytes(broken_yaml(number))
                found = [f"{one} (kept as {kept})" for one in found]
            faults += found
    return faults


def main() -> int:
    """Give them all, and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--files", type=int, default=5000)
    words.add_argument("--drills", type=int, default=5000)
    words.add_argument("--seed", type=int, default=0, help="the first number")
    chosen = words.parse_args()
    begun = CLOCK.now()
    wanted = {"file": chosen.files, "drill": chosen.drills}
    jobs = [
        (kind, chosen.seed + first, min(TOGETHER, count - first))
        for kind, count in wanted.items()
        for first in range(0, count, TOGETHER)
    ]
    faults: list[str] = []
    context = get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        asked: list[Future[list[str]]] = [pool.submit(some, *job) for job in jobs]
        for done, (job, future) in enumerate(zip(jobs, asked, strict=True), 1):
            faults += _came(job, future)
            tell(f"{done} of {len(jobs)} parts: {len(faults)} bad")
    for fault in faults:
        tell(fault)
    crashes = sum("Traceback" in one or "traceback" in one or "died" in one for one in faults)
    met = sum("says met" in one for one in faults)
    all_in = chosen.files + chosen.drills
    bars = [
        Bar(f"tracebacks, of {all_in} inputs", crashes, 0),
        Bar("damaged drills called met", met, 0),
        Bar("other wrong answers", len(faults) - crashes - met, 0),
    ]
    told = {"seed": chosen.seed, **wanted, "seconds": round(CLOCK.now().since(begun), 1), "faults": faults[:50]}
    return finish("fuzz", bars, told)


def _came(job: tuple[str, int, int], future: Future[list[str]]) -> list[str]:
    try:
        return future.result()
    except BrokenProcessPool:
        return [f"a process died while it was given {job[2]} inputs of kind {job[0]} from {job[1]} on"]


if __name__ == "__main__":
    sys.exit(main())
