"""Where drills are kept, and how a new one is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drills.clock import Stamp


JOURNAL = "journal.db"
"""The file in a drill's folder that holds its timeline."""


def home() -> Path:
    """Give the folder that holds all drills: ``DRILLS_HOME``, else ``.drills`` in the working directory."""
    return Path(os.environ.get("DRILLS_HOME") or ".drills")


def new_drill_id(runbook: str, now: Stamp) -> str:
    """Name a drill so that names sort by time and never collide: ``20260102-030405-orders-1f2e``."""
    import secrets
    from datetime import UTC, datetime

    from drills.clock import NS

    moment = datetime.fromtimestamp(now.utc_ns / NS, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{runbook}-{secrets.token_hex(2)}"
