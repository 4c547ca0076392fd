"""The closed vocabulary of moments between which objectives are measured."""

from __future__ import annotations

from enum import StrEnum


class Mark(StrEnum):
    """A moment of a drill. Observers alone set ``service_restored`` and ``recovery_point``."""

    RECOVERY_POINT = "recovery_point"
    DISASTER = "disaster"
    DETECTED = "detected"
    DECLARED = "declared"
    DECIDED = "decided"
    WRITES_STOPPED = "writes_stopped"
    DATA_RESTORED = "data_restored"
    SERVICE_RESTORED = "service_restored"
    WORK_RECOVERED = "work_recovered"
    """People work again as before: data checked, backlogs worked off. It ends the work recovery time (WRT)."""
    FAILBACK_STARTED = "failback_started"
    FAILED_BACK = "failed_back"
    REDUNDANCY_RESTORED = "redundancy_restored"


class Basis(StrEnum):
    """What an objective that begins at a recovery point is judged by."""

    MARKERS = "markers"
    """Rows that were acknowledged and are absent: the loss itself."""
    RESTORED_POINT = "restored_point"
    """What a service says its recovery point was: evidence, for where markers cannot reach."""


class Unit(StrEnum):
    """What a figure counts."""

    SECONDS = "s"
    ROWS = "rows"


class Limits(StrEnum):
    """What an objective limits."""

    INTERVAL = "interval"
    """The time between two marks."""
    DOWNTIME = "downtime"
    """How long the service was down in all while it was watched; with or without a disaster."""
    LOST_ROWS = "lost_rows"
    """How many acknowledged rows the survivor lacks, over all stores; with or without a disaster."""

    @property
    def unit(self) -> Unit:
        """What the target counts."""
        return Unit.ROWS if self is Limits.LOST_ROWS else Unit.SECONDS


OBSERVED = frozenset({Mark.RECOVERY_POINT, Mark.SERVICE_RESTORED})
"""Marks a step may never set."""
