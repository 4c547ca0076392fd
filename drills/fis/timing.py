"""When the actions of a template begin and end, and when the first of them is taken back by FIS itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from drills.fis.catalogue import FisAction, Heals, actions
from drills.fis.template import duration, table, tables, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.fis.template import Table


_SECONDS: Final = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Span:
    """When an action begins at the earliest, and for how long it lasts then; from the begin of the experiment."""

    begins: timedelta
    lasts: timedelta

    @property
    def ends(self) -> timedelta:
        """When it ends."""
        return self.begins + self.lasts


def lasts(action: FisAction, given: Table) -> timedelta:
    """Give how long an action lasts by its parameters; nothing where none of them says so."""
    return duration(given.get(action.lasts)) or timedelta()


def on_host(given: Table) -> timedelta | None:
    """Give how long a command of Systems Manager lasts on the host, by the parameters of its action; None: unknown."""
    text = given.get("documentParameters")
    try:
        held: object = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    seconds = str(cast("Table", held).get("DurationSeconds", "")) if isinstance(held, dict) else ""
    return timedelta(seconds=int(seconds)) if _SECONDS.fullmatch(seconds) else None


def cycle(template: Table) -> tuple[str, ...]:
    """Name actions that wait for each other in a ring; nothing when there is none."""
    waits = _waits(template)
    while free := [name for name, after in waits.items() if not after & waits.keys()]:
        for name in free:
            del waits[name]
    return tuple(sorted(waits))


def spans(template: Table) -> Mapping[str, Span]:
    """Give the span of every action that is known and not part of a ring, by its name in the template."""
    waits, given = _waits(template), tables(template.get("actions"))
    found: dict[str, Span] = {}
    while free := [name for name, after in waits.items() if not after & waits.keys()]:
        for name in free:
            begins = max((found[one].ends for one in waits[name] if one in found), default=timedelta())
            known = actions().get(str(given[name].get("actionId", "")))
            long = timedelta() if known is None else lasts(known, table(given[name].get("parameters")))
            found[name] = Span(begins, long)
        for name in free:
            del waits[name]
    return found


def whole(template: Table) -> timedelta:
    """Give how long the experiment lasts, without what FIS needs to begin and to end its actions."""
    return max((one.ends for one in spans(template).values()), default=timedelta())


def heals_after(template: Table) -> timedelta | None:
    """Give when FIS takes the first effect back by itself; None when it takes none back.

    What comes back by itself counts from its begin, and so does an action of which nothing is known.
    """
    given, found = tables(template.get("actions")), spans(template)
    moments = (_healed(one, found.get(name, Span(timedelta(), timedelta()))) for name, one in given.items())
    return min((moment for moment in moments if moment is not None), default=None)


def _healed(given: Table, span: Span) -> timedelta | None:
    known = actions().get(str(given.get("actionId", "")))
    if known is None or known.heals is Heals.ITSELF:
        return span.begins
    healed = known.heals is Heals.FIS or (known.heals is Heals.LASTS and takes_back(known, given))
    if not healed:
        return None
    # A command ends on its host when its own time is over, however long the action watches it.
    held = on_host(table(given.get("parameters")))
    return span.ends if held is None else min(span.ends, span.begins + held)


def takes_back(action: FisAction, given: Table) -> bool:
    """Say whether an action with these fields leaves nothing behind when its experiment is over."""
    if action.heals is Heals.LASTS:
        return action.lasts in table(given.get("parameters"))
    return action.heals is not Heals.NEVER


def _waits(template: Table) -> dict[str, set[str]]:
    given = tables(template.get("actions"))
    return {name: {other for other in texts(one.get("startAfter")) if other in given} for name, one in given.items()}
