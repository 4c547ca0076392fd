"""Capacity as an answer tells it: a service that answers 200 with a tenth of its instances is not restored."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from drills import expression
from drills.observe.answer import MOST_DETAIL, Answer

if TYPE_CHECKING:
    from collections.abc import Callable


def reader(path: str) -> Callable[[bytes], object]:
    """Give a function that finds what a JMESPath expression names in a JSON body; None where it is not there."""

    def find(body: bytes) -> object:
        try:
            return expression.search(path, json.loads(body))
        except (ValueError, RecursionError):  # no JSON, or an expression that does not fit what came: no number
            return None

    return find


def enough(found: object, least: float, good: Answer) -> Answer:
    """Give ``good`` if what was found is a number of at least ``least``, else a hard failure that says what was found.

    Text that is a number counts: a header and a column of SQL come so. No number is no capacity that was shown.
    """
    number = _number(found)
    if number is None:
        said = f"no number where the capacity should stand: {found!r}"
    elif number >= least:
        return Answer(up=True, by=good.by, status=good.status, detail=f"capacity {number:g}")
    else:
        said = f"capacity {number:g}, at least {least:g} is needed"
    return Answer(up=False, by=good.by, status=good.status, detail=said[:MOST_DETAIL], hard=True)


def _number(found: object) -> float | None:
    if isinstance(found, bool) or found is None:
        return None
    try:
        number = float(str(found))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
