"""Let processes race for the lock of one target, kill those who hold it, pre-empt them, and look for two at once.

``python benchmarks/lock_race.py [--rounds 20]``: in each round eight processes want the lock (an SSM parameter that is
only ever created) three times each, against one moto server; three are killed with SIGKILL while they hold it, so that
the next has to wait until the lease has run out; two incidents take it from whoever holds it. The witness is the
kernel's file lock, which no engine knows of, and the order of lines in one file.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from record import Bar, finish, tell

from drills.clock import SystemClock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

RIVALS, TURNS, KILLS, INCIDENTS = 8, 3, 3, 2
CLOCK = SystemClock()


def main() -> int:
    """Race, and write what came of it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=20)
    chosen = words.parse_args()
    from aws_world import moto_server
    from test_engine_lock import HOLDS, check, race

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    begun, held, kills, taken, stalled = CLOCK.now(), 0, 0, 0, 0
    bad: list[str] = []
    with moto_server() as endpoint:
        for number in range(chosen.rounds):
            with tempfile.TemporaryDirectory(prefix="drills-race-") as folder:
                lines, killed = race(endpoint, Path(folder), RIVALS, TURNS, KILLS, incidents=INCIDENTS)
            began = [rival for _, rival, word in lines if word.rstrip("!") in HOLDS]
            held += len(began)
            kills += len(killed)
            taken += sum(rival.startswith("i") for rival in began)
            try:
                stalled += check(lines, killed)
            except AssertionError as error:
                bad.append(f"round {number}: {error}")
                tell(bad[-1])
            tell(f"{number + 1} rounds: held {held} times, {kills} holders killed, {taken} incidents, {len(bad)} bad")
    bars = [
        Bar(
            f"rounds with two holders at once, of {chosen.rounds} in which the lock was held {held} times", len(bad), 0
        ),
        Bar("holders that were to be killed and were not", chosen.rounds * KILLS - kills, 0),
        Bar("incidents that did not get the lock", chosen.rounds * INCIDENTS - taken, 0),
    ]
    told = {
        "rounds": chosen.rounds,
        "rivals": RIVALS,
        "held": held,
        "killed": kills,
        "incidents": taken,
        "stalled": stalled,
        "bad": bad,
    }
    return finish("lock-race", bars, {**told, "seconds": round(CLOCK.now().since(begun), 1)})


if __name__ == "__main__":
    sys.exit(main())
