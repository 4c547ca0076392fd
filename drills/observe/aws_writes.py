"""What the answer to one AWS call means for a marker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.aws.classify import classify
from drills.errors import Unanswered
from drills.observe.ledger import Answer

if TYPE_CHECKING:
    from collections.abc import Callable


def outcome(call: Callable[[], object], primary: str) -> Answer:
    """Make one call. Acked; not done, when it was refused or never sent; else nobody knows. A bug of ours is raised."""
    try:
        call()
    except Exception as error:
        known = classify(error, writes=True)
        if known is None:
            raise
        return Answer(None if isinstance(known, Unanswered) else False, why=str(known))
    return Answer(acked=True, primary=primary)
