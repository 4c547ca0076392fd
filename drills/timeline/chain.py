"""The hash chain of a timeline: each line is bound to the one before it. Imports nothing heavy: `status` checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

GENESIS = "0" * 64


def link(previous: str, text: str) -> str:
    """Chain one line to the one before it: SHA-256 over both, as hex."""
    return digest.of(f"{previous}\n{text}")


def broken_at(rows: Iterable[tuple[int, str, str]]) -> int | None:
    """Give the first event, by its number, at which a chain of (number, line, link) from 1 on is broken; None: none."""
    head = GENESIS
    for expected, (seq, line, said) in enumerate(rows, 1):
        head = link(head, line)
        if seq != expected or head != said:
            return expected
    return None
