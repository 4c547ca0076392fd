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
    FAILBACK_STARTED = "failback_started"
    FAILED_BACK = "failed_back"
    REDUNDANCY_RESTORED = "redundancy_restored"


OBSERVED = frozenset({Mark.RECOVERY_POINT, Mark.SERVICE_RESTORED})
"""Marks a step may never set."""
