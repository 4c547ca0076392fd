"""All gates in plain order, and how they are asked. A new gate is one file and one line of ``GATES``.

Every gate fails closed: an error, silence, or no answer in time is a no. In an incident the same answers are advice,
each given at most three seconds, but for what no incident excuses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drills.clock import SystemClock
from drills.engine.gates import (
    account,
    alarms,
    change_calendar,
    cost,
    credentials,
    freshness,
    home,
    impaired,
    one_way,
    organization,
    other_drill,
    quotas,
    regions,
    remediation,
    retention,
    scope,
    self_expiry,
    stop,
    target,
    window,
)
from drills.engine.gates import permissions as permissions_
from drills.engine.gates.question import Question, unknown, why
from drills.engine.plan import Mode
from drills.errors import Refused
from drills.timeline.events import Gated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.clock import Clock
    from drills.engine.plan import Plan

ANSWER_S: Final = 60.0
"""How long one gate may take before a drill; no answer by then is a no."""
ADVICE_S: Final = 3.0
"""How long one gate may take in an incident, where nobody waits for advice."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One question; ``permissions`` are the IAM actions it reads by.

    ``binds_incidents``: its no refuses an incident too, and with ``doubt_binds`` so does no answer. ``concerns``:
    whether a plan gives it anything to ask AWS.
    """

    name: str
    ask: Callable[[Question], Iterable[Gated]]
    permissions: tuple[str, ...] = ()
    binds_incidents: bool = False
    doubt_binds: bool = False
    concerns: Callable[[Plan], bool] = lambda _: True


GATES: Final = (
    Gate(account.NAME, account.ask, account.PERMISSIONS, binds_incidents=True, doubt_binds=True),
    Gate(credentials.NAME, credentials.ask, credentials.PERMISSIONS),
    Gate(organization.NAME, organization.ask, organization.PERMISSIONS),
    Gate(home.NAME, home.ask),
    Gate(regions.NAME, regions.ask, regions.PERMISSIONS),
    Gate(stop.NAME, stop.ask, stop.PERMISSIONS),
    Gate(other_drill.NAME, other_drill.ask, other_drill.PERMISSIONS),
    Gate(target.NAME, target.ask, binds_incidents=True),
    Gate(scope.NAME, scope.ask),
    Gate(retention.NAME, retention.ask),
    Gate(window.NAME, window.ask),
    Gate(
        change_calendar.NAME,
        change_calendar.ask,
        change_calendar.PERMISSIONS,
        concerns=lambda plan: bool(plan.rules.calendars),
    ),
    Gate(alarms.NAME, alarms.ask, alarms.PERMISSIONS, concerns=lambda plan: bool(plan.rules.alarms)),
    Gate(permissions_.NAME, permissions_.ask, permissions_.PERMISSIONS),
    Gate(quotas.NAME, quotas.ask, quotas.PERMISSIONS, concerns=quotas.concerns),
    Gate(freshness.NAME, freshness.ask),
    Gate(remediation.NAME, remediation.ask, remediation.PERMISSIONS),
    Gate(impaired.NAME, impaired.ask),
    Gate(self_expiry.NAME, self_expiry.ask),
    Gate(cost.NAME, cost.ask),
    Gate(one_way.NAME, one_way.ask),
)
"""Every gate, in the order in which it is asked and shown."""


def answers(question: Question, gates: Sequence[Gate] = GATES, clock: Clock | None = None) -> Iterator[Gated]:
    """Give every gate's answers, in order. Reads only.

    Before a drill one gate is asked after the other; in an incident all at once, so that the whole takes three
    seconds at most.
    """
    clock = clock or SystemClock()
    if question.plan.mode is Mode.INCIDENT:
        begun = clock.now()
        asked = [_Asked(gate, question) for gate in gates]
        for one in asked:
            left_s = max(0.0, ADVICE_S - clock.now().since(begun))
            said = one.answers(left_s, ADVICE_S)
            yield from (given if _binds(one.gate, given) else _as_advice(given) for given in said)
        return
    for gate in gates:
        yield from _Asked(gate, question).answers(ANSWER_S, ANSWER_S)


def refuse(given: Iterable[Gated], mode: Mode) -> None:
    """Raise ``Refused`` for the first gate that did not say yes; in an incident only for what no incident excuses."""
    binding = {gate.name for gate in GATES if gate.binds_incidents}
    for one in given:
        binds = not one.advises and (mode is not Mode.INCIDENT or one.gate.partition(":")[0] in binding)
        if one.ok is not True and binds:
            raise Refused(f"not started: {one.gate}: {one.detail}; nothing was changed")


def permissions(plan: Plan, gates: Sequence[Gate] = GATES) -> tuple[str, ...]:
    """Give the IAM actions that the gates themselves read by, sorted."""
    return tuple(sorted({action for gate in gates if gate.concerns(plan) for action in gate.permissions}))


class _Asked:
    """One gate being asked in a thread of its own: what it has said by the deadline is what it said."""

    def __init__(self, gate: Gate, question: Question) -> None:
        self.gate = gate
        self._question = question
        self._said: list[Gated] = []
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True, name=f"drills-gate-{gate.name}").start()

    def _run(self) -> None:
        try:
            for one in self.gate.ask(self._question):
                self._said.append(one)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
            self._said.append(unknown(self.gate.name, f"no answer ({why(error)})"))
        finally:
            self._over.set()

    def answers(self, wait_s: float, limit_s: float) -> tuple[Gated, ...]:
        """Wait for the gate until its time is over; one that is not done by then has not said yes."""
        if self._over.wait(wait_s):
            return tuple(self._said)
        return (*self._said, unknown(self.gate.name, f"no answer within {limit_s:g}s"))


def _binds(gate: Gate, given: Gated) -> bool:
    """Say whether an answer counts in an incident as it counts before a drill."""
    return gate.binds_incidents and (given.ok is not None or gate.doubt_binds)


def _as_advice(one: Gated) -> Gated:
    return Gated(one.gate, one.ok, one.detail, advises=True)
