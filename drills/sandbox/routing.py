"""Which record sets Route 53 answers with, given which health checks are healthy. Pure.

Sources: Route 53 Developer Guide, "Choosing a routing policy" and "How Route 53 chooses records when health checking
is configured".
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from drills.sandbox.cloud import RecordView

_MOST_VALUES = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer a name may get, and its share: weights of the choices of a name are relative."""

    values: tuple[str, ...]
    ttl: int
    weight: int = 1
    set_id: str = ""


def choose(
    records: Iterable[RecordView], healthy: Callable[[str], bool]
) -> Mapping[tuple[str, str], tuple[Choice, ...]]:
    """Give the possible answers of every (name, type): one choice, or several with weights.

    ``healthy`` is asked for a health check id; a record without one is healthy.
    """
    groups: dict[tuple[str, str], list[RecordView]] = defaultdict(list)
    for record in records:
        groups[record.name, record.type].append(record)
    return {key: _group(members, healthy) for key, members in groups.items()}


def _group(members: list[RecordView], healthy: Callable[[str], bool]) -> tuple[Choice, ...]:
    def well(record: RecordView) -> bool:
        return not record.health_check or healthy(record.health_check)

    if any(record.failover for record in members):
        primary = [record for record in members if record.failover == "PRIMARY"]
        secondary = [record for record in members if record.failover == "SECONDARY"]
        # Both unhealthy: Route 53 answers with the primary.
        order = [*filter(well, primary), *filter(well, secondary), *primary, *secondary]
        return (_choice(order[0]),)
    if any(record.weight is not None for record in members):
        return _weighted(members, well)
    if any(record.multi_value for record in members):
        alive = [record for record in members if well(record)] or members
        values = tuple(value for record in alive[:_MOST_VALUES] for value in record.values)
        return (Choice(values, alive[0].ttl),)
    return (_choice(members[0]),)


def _weighted(members: list[RecordView], well: Callable[[RecordView], bool]) -> tuple[Choice, ...]:
    """Choose among healthy weights above zero; then among healthy zeros; then as if all were healthy."""
    heavy = [record for record in members if record.weight]
    for pool in (
        list(filter(well, heavy)),
        [record for record in members if not record.weight and well(record)],
        heavy,
    ):
        if pool:
            return tuple(_choice(record) for record in pool)
    return tuple(_choice(record) for record in members)


def _choice(record: RecordView) -> Choice:
    return Choice(record.values, record.ttl, max(record.weight or 1, 1), record.set_id)
