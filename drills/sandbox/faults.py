"""API faults on the wire: throttles, errors, latency and whole regions that do not answer.

A rule travels with its heal: ``times`` counts it down, ``for_s`` ends it, and ``clear`` takes it away.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from drills.sandbox.wire import ApiError

if TYPE_CHECKING:
    from drills.clock import Clock
    from drills.sandbox.wire import Call

_MAX_RULES = 200
_MAX_HOLD_S = 60.0


class FaultKind(StrEnum):
    """What a rule does to the calls it meets."""

    THROTTLE = "throttle"
    """Refuse with a throttle code, as AWS does: nothing was changed."""
    ERROR = "error"
    """Refuse with ``code`` and ``status`` before the call is carried out."""
    LOST_ANSWER = "lost_answer"
    """Carry the call out, then hang up: the caller cannot know."""
    LATENCY = "latency"
    """Answer ``latency_s`` later."""
    OUTAGE = "outage"
    """Hang up before the call is carried out (after ``latency_s``): the endpoint is gone."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One API fault: where it applies (empty means everywhere) and what it does.

    Route 53, IAM and STS's global endpoint are signed for us-east-1, so that an outage of us-east-1 takes them too.
    """

    id: str
    kind: FaultKind
    account: str = ""
    region: str = ""
    service: str = ""
    operation: str = ""
    key: str = ""
    """An access key id: credentials that have expired, with the code ``ExpiredToken`` and the status 403."""
    code: str = ""
    message: str = "made by a fault rule of the sandbox"
    status: int = 0
    latency_s: float = 0.0
    probability: float = 1.0
    times: int | None = None
    for_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            message = f"probability {self.probability} is not in (0, 1]"
            raise ValueError(message)
        if not 0 <= self.latency_s <= _MAX_HOLD_S:
            message = f"latency_s {self.latency_s} is not in [0, {_MAX_HOLD_S:g}]"
            raise ValueError(message)

    def meets(self, call: Call) -> bool:
        """Say whether the rule speaks of this call."""
        wanted = (
            (self.account, call.account),
            (self.region, call.region),
            (self.service, call.service),
            (self.operation, call.operation),
            (self.key, call.access_key),
        )
        return all(not mine or mine == theirs for mine, theirs in wanted)

    def error(self) -> ApiError:
        """Give the error answer of a throttle or error rule."""
        if self.kind is FaultKind.THROTTLE:
            return ApiError(self.code or "ThrottlingException", self.message, self.status or 400)
        return ApiError(self.code or "InternalFailure", self.message, self.status or 500)


@dataclass(slots=True)
class _Live:
    rule: FaultRule
    since_ns: int
    left: int | None = None


@dataclass(slots=True)
class FaultTable:
    """The rules in force, in the order they were set; the first that meets a call decides."""

    clock: Clock
    seed: int = 0
    _live: dict[str, _Live] = field(default_factory=dict[str, _Live])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable faults, no secret

    def set(self, rule: FaultRule) -> None:
        """Put a rule in force, in place of one with the same id; ``ValueError`` when there are too many."""
        with self._lock:
            if len(self._live) >= _MAX_RULES and rule.id not in self._live:
                message = f"more than {_MAX_RULES} fault rules"
                raise ValueError(message)
            self._live[rule.id] = _Live(rule, self.clock.now().mono_ns, rule.times)

    def clear(self, rule_id: str = "") -> int:
        """Take one rule away, or all; give how many went."""
        with self._lock:
            gone = [key for key in self._live if not rule_id or key == rule_id]
            for key in gone:
                del self._live[key]
            return len(gone)

    def rules(self) -> tuple[FaultRule, ...]:
        """Give the rules in force."""
        with self._lock:
            self._expire()
            return tuple(live.rule for live in self._live.values())

    def pick(self, call: Call) -> FaultRule | None:
        """Give the rule that strikes this call, and count it."""
        with self._lock:
            self._expire()
            for live in self._live.values():
                if not live.rule.meets(call) or self._random.random() >= live.rule.probability:
                    continue
                if live.left is not None:
                    live.left -= 1
                return live.rule
            return None

    def _expire(self) -> None:
        now_ns = self.clock.now().mono_ns
        for key, live in list(self._live.items()):
            spent = live.left is not None and live.left <= 0
            over = live.rule.for_s is not None and now_ns - live.since_ns > live.rule.for_s * 1e9
            if spent or over:
                del self._live[key]
