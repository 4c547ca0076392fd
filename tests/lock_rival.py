"""A process that wants a lock again and again, and writes down when it had it.

``python lock_rival.py ENDPOINT NAME LOG RIVAL TURNS LEASE_S MODE``. Each line of LOG: generation, rival, and what it
did: it found the lock free (begin), an incident took it (over), or its lease had run out (stale); act; end. A line is
one ``write`` to a file opened for appending, so that lines of several processes never mix. The witness is the kernel's
own lock on ``LOG.witness``, held as long as the rival believes in its lock, and let go by the kernel when the rival is
killed: who cannot have it has met somebody who still believes in it, and says so by a ``!``.
"""

from __future__ import annotations

import fcntl
import os
import random
import sys
from collections.abc import Callable

from drills.aws.place import Place
from drills.aws.sessions import Accounts
from drills.clock import SystemClock
from drills.engine import lock
from drills.engine.plan import Mode
from drills.errors import WorkError

CLOCK = SystemClock()
WITHIN_S = 120.0


def main(endpoint: str, name: str, log: str, rival: str, turns: int, me: lock.Holder) -> None:
    """Hold the lock that many times, each time long enough that others come by."""
    place = Place("home", "123456789012", "us-east-2", endpoint_url=endpoint, access_key="AKIATEST00000000")
    ssm = Accounts().write(place).client("ssm")
    chance = random.Random(rival)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    witness = os.open(f"{log}.witness", os.O_RDWR | os.O_CREAT)
    begun, held = CLOCK.now(), 0
    while held < turns and CLOCK.now().since(begun) < WITHIN_S:
        mine = lock.Lock(ssm, name, me, CLOCK)
        try:
            seen = mine.look()
            how = lock.standing(seen, me, takeover=True, ended=False)
            if not lock.may_take(how) or not mine.take(seen):
                CLOCK.sleep(chance.uniform(0.0, 0.05))
                continue
            held += 1
            said = f"{mine.generation} {rival}"
            found = "begin" if how is lock.Standing.FREE else "stale" if seen.stale else "over"
            alone = _alone(witness)
            _write(file, f"{said} {found}{'' if alone else '!'}")
            _hold(mine, witness, chance, lambda word, said=said: _write(file, f"{said} {word}"))
        except WorkError:
            CLOCK.sleep(0.05)


def _write(file: int, line: str) -> None:
    os.write(file, f"{line}\n".encode())


def _hold(mine: lock.Lock, witness: int, chance: random.Random, say: Callable[[str], None]) -> None:
    """Do something that only the holder may do, renewing in between; then give the lock back."""
    try:
        for _ in range(chance.randint(1, 4)):
            CLOCK.sleep(chance.uniform(0.0, 0.1))
            if not mine.renew():
                return
            say("act")
        if mine.held():
            say("end")
            fcntl.flock(witness, fcntl.LOCK_UN)
            mine.free()
    finally:
        fcntl.flock(witness, fcntl.LOCK_UN)


def _alone(witness: int) -> bool:
    try:
        fcntl.flock(witness, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    _, address, lock_name, log_file, named, times, lease, kind = sys.argv
    wanted = lock.Holder(f"drill-{named}", "somebody", f"host-{named}", Mode[kind.upper()], float(lease), float(lease))
    main(address, lock_name, log_file, named, int(times), wanted)
