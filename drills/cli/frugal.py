"""What a process that lives as long as one command spares itself.

What a command reads stays as long as it runs, a plan as long as its drill; the garbage collector would look through
all of it again and again, a tenth of the time of reading, and find nothing to free. And pydantic would load, and look
through, what tells of every installed package, for plugins that nobody here uses: 50 ms and 3 MB.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from types import ModuleType
from typing import Any

WHILE_READING = 200_000
"""So many more containers made than freed begin a sweep while files are read: hardly any of them is garbage."""
WHILE_DRIVING = 20_000
"""The same of a drill under way, whose calls leave garbage: a few MB at most wait for a sweep."""


def begin() -> None:
    """Sweep only when very much is new, and load no plugins; called before the heavy libraries are."""
    gc.set_threshold(WHILE_READING)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if "importlib.metadata" not in sys.modules:
        later = sys.modules["importlib.metadata"] = _Later("importlib.metadata")
        importlib.__dict__["metadata"] = later  # as the import of any module leaves it with its package


def drives() -> None:
    """Keep what was read for good, as plan and models live as long as the drill; sweep what it makes from now on."""
    gc.freeze()
    gc.set_threshold(WHILE_DRIVING)


def end() -> None:
    """Spare the sweeps of the interpreter's own end: the process gives everything back at once."""
    gc.freeze()


class _Later(ModuleType):
    """Stands in for a module until somebody asks it for something."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
