"""When the garbage collector works: seldom while a command runs, and not at all at its end.

What a command reads stays as long as it runs, a plan as long as its drill; the collector would look through all of it
again and again, a tenth of the time of reading, and find nothing to free.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 200_000
"""So many more containers made than freed begin a sweep: some 20 MB at most wait for it."""


def seldom() -> None:
    """Sweep only when much is new."""
    gc.set_threshold(NEW_OBJECTS)


def no_more() -> None:
    """Spare the sweeps of the interpreter's own end: the process gives everything back at once."""
    gc.freeze()
