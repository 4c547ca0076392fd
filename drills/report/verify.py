"""Recompute what a drill claimed from its stored events and its observers' files, and name every difference.

Nothing here is estimated anew in another way: the judge of ``drills.report.judging`` is asked the same question
again, with the events that stood on the timeline when the drill was judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drills import __version__
from drills.engine.state import fold
from drills.errors import Unreadable
from drills.report import judging
from drills.report.evidence import EVIDENCE, UNFIT, Check, checks, located
from drills.report.rules import rules
from drills.timeline import events as ev
from drills.timeline.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.engine.state import State
    from drills.timeline.facts import Json

STORED = frozenset({"timeline", "plan"})
TOLD = frozenset({"real", "simulated"})
"""What a drill says of its surroundings: no number, and not computed from its evidence."""
PROSE = frozenset({"why", "decided_by", "detail", "told", "write_rate", "assumptions", "warnings"})
"""Sentences: another version may word them otherwise. What they say in figures stands beside them as figures."""
UNTOLD = ", before rules were written down"
"""Of a drill that was judged by a version that named no rules."""
LATER = frozenset({"exposure", "recovery", "observer"})
"""What versions before did not claim: where it is missing, nothing was claimed that could be wrong."""


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of one drill. ``head`` is the chain's: compare it with the one you kept elsewhere.

    ``judged_by``: the rules by which the drill was judged, as it wrote them down; ``rules``: those of today.
    """

    drill: str
    events: int
    head: str
    checks: tuple[Check, ...]
    judged_by: str = ""
    rules: str = ""

    @property
    def other_rules(self) -> bool:
        """Whether the drill was judged by other rules than those of today."""
        return self.judged_by != self.rules

    @property
    def intact(self) -> bool:
        """Whether every event and every sample is as it was written: what differs then is the judging."""
        return all(one.ok is True for one in self.checks if one.name in STORED or one.name.startswith(EVIDENCE))

    @property
    def exit_code(self) -> int:
        """0 all equal; 1 something differs or is damaged; 3 something could not be compared."""
        if any(one.ok is False for one in self.checks):
            return 1
        return 3 if any(one.ok is None for one in self.checks) else 0


def unread(drill: str, why: str, *, ok: bool | None) -> Verification:
    """Say that the timeline itself cannot be read, or that there is none (``ok`` None): nothing else can be checked."""
    return Verification(drill, 0, "", (Check("timeline", ok=ok, detail=why),))


def verify(folder: Path, events: Sequence[ev.Event], state: State, head: str) -> Verification:
    """Check a drill whose chain has been found whole and whose plan could be read (that is how it came here)."""
    events = [located(event, folder) for event in events]
    plan = state.plan
    opened = next((one.body for one in events if isinstance(one.body, ev.Opened)), None)
    by = "" if opened is None or opened.tool == __version__ else f", by drills {opened.tool} (this is {__version__})"
    judged_by = "" if opened is None or state.finished is None else state.finished.rules or f"{opened.tool}{UNTOLD}"
    found = [
        Check("timeline", ok=True, detail=f"{len(events)} events, every link of the chain holds"),
        Check(
            "plan", ok=True, detail=f"{plan.runbook}: {len(plan.steps)} steps, {len(plan.objectives)} objectives{by}"
        ),
        *checks(events),
        *_claims(events, state),
    ]
    return Verification(folder.resolve().name, len(events), head, tuple(found), judged_by, rules())


# -- claims ------------------------------------------------------------------------------------------------


def _claims(events: Sequence[ev.Event], state: State) -> Iterator[Check]:
    ends = [place for place, one in enumerate(events) if isinstance(one.body, ev.Finished)]
    if state.finished is None or not ends:
        why = "the drill never finished, so it claimed nothing (a journal whose end was cut off looks the same)"
        yield Check("claims", ok=None, detail=why)
        return
    claimed = state.finished
    if "error" in claimed.claims:
        why = f"judging failed in the drill, so it claimed nothing: {claimed.claims['error']}"
        yield Check("claims", ok=None, detail=why)
        return
    try:
        found = _recomputed(events[: ends[-1]], state, claimed)
    except Unreadable as error:
        yield Check("claims", ok=None, detail=f"cannot be recomputed: {error}")
        return
    except UNFIT as error:
        yield Check("claims", ok=False, detail=f"cannot be recomputed: {error}")
        return
    yield from _compared(claimed.claims, found.claims)
    yield _ending(claimed, found)


def _recomputed(events: Sequence[ev.Event], state: State, claimed: ev.Finished) -> ev.Finished:
    """Judge again as the drill did when it ended, from the events before its end.

    Between the judge's look at the timeline and the end a few facts may have been written (a note, a guard): the
    first look that gives the claims is taken, or at least their figures, else the one with all events.
    """
    last = max((place for place, one in enumerate(events, 1) if isinstance(one.body, ev.Ready)), default=len(events))
    claims = _numbers(claimed.claims)
    whole: ev.Finished | None = None
    alike: ev.Finished | None = None
    for upto in range(len(events), last - 1, -1):
        found = _judged(events[:upto], state)
        if found.claims == claims:
            return found
        if _without_prose(_known_then({**claims}, {**found.claims})) == _without_prose({**claims}):
            alike = alike or found
        whole = whole or found
    return alike or whole or ev.Finished("", 0)


def _judged(events: Sequence[ev.Event], state: State) -> ev.Finished:
    then = fold(state.plan, events)
    return judging.finished(judging.claims_of(events, then), then)


def _numbers(claims: Facts) -> Facts:
    return Facts(**{name: value for name, value in claims.items() if name not in TOLD})


def _compared(claimed: Facts, found: Facts) -> Iterator[Check]:
    """Compare part by part; of the objectives the verdicts are told apart from the numbers."""
    for name in dict.fromkeys([*found, *_numbers(claimed)]):
        if name in LATER and name not in claimed:
            yield Check(name, ok=True, detail="not claimed: the version that judged the drill did not know this figure")
            continue
        then = claimed.get(name)
        now = _known_then(then, found.get(name))
        apart = () if name in PROSE else tuple(differences(_without_prose(then), _without_prose(now), name))
        known = {_path(one) for one in apart}
        reworded = tuple(one for one in differences(then, now, name) if _path(one) not in known)
        if name == "objectives":
            said = tuple(one for one in apart if _is_verdict(one))
            apart = tuple(one for one in apart if not _is_verdict(one))
            told = ", ".join(f"{one.get('name')} {one.get('verdict')}" for one in _records(then))
            yield Check("verdicts", ok=not said, detail=told or "none", differences=said)
        count = leaves(then)
        told = f"{count} value{'' if count == 1 else 's'}{', worded otherwise' if reworded else ''}"
        yield Check(name, ok=not apart, detail=told, differences=apart, reworded=reworded)


def _known_then(then: Json, now: Json) -> Json:
    """Leave out of what was recomputed what the version that judged the drill did not know."""
    if isinstance(then, dict) and isinstance(now, dict):
        known = {name: one for name, one in now.items() if name in then or name not in LATER}
        return {name: _known_then(then.get(name), one) for name, one in known.items()}
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [_known_then(before, one) for before, one in zip(then, now, strict=True)]
    return now


def _without_prose(value: Json) -> Json:
    """Leave the sentences out: figures, verdicts, counts and names stay."""
    if isinstance(value, dict):
        return {name: _without_prose(one) for name, one in value.items() if name not in PROSE}
    return [_without_prose(one) for one in value] if isinstance(value, list) else value


def _path(difference: str) -> str:
    return difference.partition(": ")[0]


def _is_verdict(difference: str) -> bool:
    return _path(difference).endswith(".verdict")


def _ending(claimed: ev.Finished, found: ev.Finished) -> Check:
    then: dict[str, Json] = {"status": claimed.status, "exit_code": claimed.exit_code}
    now: dict[str, Json] = {"status": found.status, "exit_code": found.exit_code}
    apart = tuple(differences(then, now, "finished"))
    return Check("ending", ok=not apart, detail=f"{claimed.status}, exit {claimed.exit_code}", differences=apart)


def _records(value: Json) -> list[dict[str, Json]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def leaves(value: Json) -> int:
    """Count the single values in a JSON value; nothing (null) counts too, for it was claimed as such."""
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 1


def differences(then: Json, now: Json, path: str, words: tuple[str, str] = ("claimed", "recomputed")) -> Iterator[str]:
    """Name every value that differs: ``objectives.rto.high_s: claimed 8.31, recomputed 8.42``."""
    if isinstance(then, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*then, *now]):
            yield from differences(then.get(name), now.get(name), f"{path}.{name}", words)
    elif isinstance(then, list) and isinstance(now, list):
        yield from differences(_keyed(then), _keyed(now), path, words)
    elif then != now:
        yield f"{path}: {words[0]} {_shown(then)}, {words[1]} {_shown(now)}"


def _keyed(items: list[Json]) -> dict[str, Json]:
    """Give the items by their names where each has one of its own, else by their places."""
    records = _records(items)
    for key in ("name", "store"):
        names = [one.get(key) for one in records]
        if len(records) == len(items) and len({str(name) for name in names}) == len(items) and None not in names:
            return {str(one[key]): one for one in records}
    return {str(place): one for place, one in enumerate(items)}


def _shown(value: Json) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return f"{leaves(value)} values"
    return repr(value) if isinstance(value, str) else str(value)
