"""A process that wants a lock again and again, and writes down when it had it.

``python lock_rival.py ENDPOINT NAME LOG RIVAL TURNS LEASE_S``. Each line of LOG: generation, rival, begin or end.
A line is one ``write`` to a file opened for appending, so that lines of several processes never mix.
"""

from __future__ import annotations

import os
import random
import sys

from drills.aws.place import Place
from drills.aws.sessions import Accounts
from drills.clock import SystemClock
from drills.engine import lock
from drills.engine.plan import Mode
from drills.errors import WorkError

CLOCK = SystemClock()
WITHIN_S = 60.0


def main(endpoint: str, name: str, log: str, rival: str, turns: int, lease_s: float) -> None:
    """Hold the lock that many times, each time long enough that others come by."""
    place = Place("home", "123456789012", "us-east-2", endpoint_url=endpoint, access_key="AKIATEST00000000")
    ssm = Accounts().write(place).client("ssm")
    chance = random.Random(rival)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    begun, held = CLOCK.now(), 0
    while held < turns and CLOCK.now().since(begun) < WITHIN_S:
        me = lock.Holder(f"drill-{rival}", "somebody", f"host-{rival}", Mode.RUN, lease_s, lease_s)
        mine = lock.Lock(ssm, name, me, CLOCK)
        try:
            seen = mine.look()
            how = lock.standing(seen, me, takeover=True, ended=False)
            if not lock.may_take(how) or not mine.take(seen):
                CLOCK.sleep(chance.uniform(0.0, 0.05))
                continue
            held += 1
            hold(mine, file, rival, chance)
        except WorkError:
            CLOCK.sleep(0.05)


def hold(mine: lock.Lock, file: int, rival: str, chance: random.Random) -> None:
    """Do something that only the holder may do, renewing in between; then give the lock back."""
    os.write(file, f"{mine.generation} {rival} begin\n".encode())
    for _ in range(chance.randint(1, 4)):
        CLOCK.sleep(chance.uniform(0.0, 0.1))
        if not mine.renew():
            return
    if mine.held():
        os.write(file, f"{mine.generation} {rival} end\n".encode())
        mine.free()


if __name__ == "__main__":
    _, address, lock_name, log_file, me, times, lease = sys.argv
    main(address, lock_name, log_file, me, int(times), float(lease))
