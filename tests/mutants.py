"""Rules broken on purpose: whoever breaks one must be found out by a generated world."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

MOST_WORLDS = 30_000


def found_out(
    monkeypatch: pytest.MonkeyPatch,
    patches: Iterable[tuple[object, str, Callable[..., object]]],
    holds: Callable[[Random], bool],
) -> bool:
    """Say whether some world no longer holds with what is put in the place of rules, and holds with the rules."""
    with monkeypatch.context() as patch:
        for module, seam, instead in patches:
            patch.setattr(module, seam, instead)
        killer = next((seed for seed in range(MOST_WORLDS) if not holds(Random(seed))), None)
    return killer is not None and holds(Random(killer))
