"""Run the tests that are too long for every day: those marked ``prove``, and what ``DRILLS_PROVE`` makes longer.

Usage: proofs.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from record import ROOT, Bar, finish

LONGER = ("tests/test_gates_closed.py", "tests/test_dead_man.py")
"""Files that are longer as a whole when a proof is asked for."""
LIMIT_S = 2 * 3600


def main() -> int:
    """Run them in two goes, and write ``results/proofs.json``."""
    goes = {"marked": ("-m", "prove"), "longer": ("-m", "not prove", *LONGER)}
    counts: dict[str, dict[str, int]] = {}
    for name, words in goes.items():
        run = subprocess.run(
            (sys.executable, "-m", "pytest", "-q", "--timeout=3600", *words),
            cwd=ROOT,
            env={**os.environ, "DRILLS_PROVE": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        print(run.stdout[-4000:])
        counts[name] = {
            word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", run.stdout)
        }
    bars = [
        Bar(f"tests not passed, {name}", sum(one.values()) - one.get("passed", 0), 0) for name, one in counts.items()
    ]
    bars += [Bar(f"no test ran, {name}", float(not one.get("passed")), 0) for name, one in counts.items()]
    return finish("proofs", bars, {"tests": counts})


if __name__ == "__main__":
    sys.exit(main())
