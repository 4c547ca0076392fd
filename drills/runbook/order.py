"""After what each step runs: the order rule, cycles, and the steps that could never begin. Pure, in O(edges)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Needs: TypeAlias = "dict[str, tuple[str, ...]]"

MAX_EDGES: Final = 200_000


class TooManyEdges(ValueError):
    """Two wide blocks follow each other: every step of one would wait for every step of the other."""


class Ordered(NamedTuple):
    """One step for the order rule: ``needs`` None means that the rule decides."""

    id: str
    needs: tuple[str, ...] | None = None


def order(blocks: Iterable[Sequence[Ordered]]) -> Needs:
    """Say what each step waits for.

    ``blocks`` in reading order; a step alone is a block of one. Without ``needs`` a step waits for the sinks of
    what stands above its block: those steps above which nothing above waits for. ``needs`` replaces that.
    Raises ``TooManyEdges`` beyond ``MAX_EDGES``.
    """
    needs: Needs = {}
    sinks: dict[str, None] = {}
    edges = 0
    for block in blocks:
        above = tuple(sinks)
        for step in block:
            waits_for = above if step.needs is None else tuple(dict.fromkeys(step.needs))
            edges += len(waits_for)
            if edges > MAX_EDGES:
                raise TooManyEdges(step.id)
            needs[step.id] = waits_for
        for step in block:
            sinks[step.id] = None
        for step in block:
            for need in needs[step.id]:
                sinks.pop(need, None)
    return needs


def topological(needs: Mapping[str, Collection[str]]) -> tuple[list[str], tuple[str, ...]]:
    """Give the steps in an order in which they could run, and those that never could (in or after a cycle)."""
    waiting = {step: sum(need in needs for need in of) for step, of in needs.items()}
    followers: dict[str, list[str]] = {step: [] for step in needs}
    for step, of in needs.items():
        for need in of:
            if need in followers:
                followers[need].append(step)
    done = [step for step, count in waiting.items() if not count]
    for step in done:
        for follower in followers[step]:
            waiting[follower] -= 1
            if not waiting[follower]:
                done.append(follower)  # the loop reads on
    reached = set(done)
    return done, tuple(step for step in needs if step not in reached)


def cycles(needs: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """Give one closed walk for each group of steps that wait for each other, such as ``(a, b, a)``."""
    stuck = set(topological(needs)[1])
    found: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for start in needs:
        if start not in stuck or start in seen:
            continue
        walk: dict[str, None] = {}
        step = start
        while step not in walk and step not in seen:
            walk[step] = None
            step = next(need for need in needs[step] if need in stuck)
        if step in walk:
            ring = list(walk)[list(walk).index(step) :]
            found.append((*ring, step))
        seen.update(walk)
    return found


def bridged(needs: Mapping[str, tuple[str, ...]], left_out: Collection[str]) -> Needs:
    """Take steps out; who waited for one of them waits for what it waited for. ``needs`` must have no cycle."""
    through: Needs = {}
    for step in topological(needs)[0]:
        waits: dict[str, None] = {}
        for need in needs[step]:
            waits.update(dict.fromkeys(through[need] if need in left_out else (need,)))
        through[step] = tuple(waits)
    return {step: through[step] for step in needs if step in through and step not in left_out}


def ancestors(needs: Mapping[str, Collection[str]], step: str) -> set[str]:
    """Give every step that ends before ``step`` begins."""
    found: set[str] = set()
    todo = list(needs.get(step, ()))
    while todo:
        need = todo.pop()
        if need not in found:
            found.add(need)
            todo.extend(needs.get(need, ()))
    return found
