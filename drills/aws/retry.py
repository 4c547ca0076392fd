"""The one retry policy. Nobody else repeats a call.

Repeated are calls that were told "not now" (``Busy``) and reads that nobody answered. A write that nobody answered
is never repeated here: whether it happened has to be looked at first. Waits grow exponentially with full jitter
("Exponential Backoff And Jitter", AWS Architecture Blog, 2015), bounded in count and in time.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from drills.aws.classify import classify
from drills.clock import Clock, Stamp, SystemClock
from drills.errors import Busy, Unanswered, WorkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

T = TypeVar("T")


class Chance(Protocol):
    """Where the jitter comes from: ``random.Random`` in life, a seeded one in tests."""

    def uniform(self, a: float, b: float) -> float:
        """Give a number between ``a`` and ``b``."""
        ...


class Retry(msgspec.Struct, frozen=True):
    """Calls until it is answered, within bounds. ``first_s`` and ``most_s`` bound the wait before each repeat."""

    clock: Clock = msgspec.field(default_factory=SystemClock)
    chance: Chance = msgspec.field(default_factory=random.SystemRandom)
    first_s: float = 0.2
    most_s: float = 10.0

    def __call__(
        self,
        call: Callable[[], T],
        *,
        attempts: int,
        limit_s: float,
        reads: bool,
        on_retry: Callable[[int, str], None],
    ) -> T:
        """Call at most ``attempts`` times within ``limit_s`` seconds; ``on_retry`` hears each attempt that failed.

        Raises the last error as a ``WorkError``, or as it was if it is none of AWS's.
        """
        begun = self.clock.now()
        # The first call stays free of tenacity, whose import alone costs 40 ms.
        try:
            return _once(call, reads=reads)
        except (Busy, Unanswered) as error:
            if attempts <= 1 or not _again(error, reads=reads) or not self._wait(1, error, (begun, limit_s), on_retry):
                raise
        return self._repeat(call, reads=reads, attempts=attempts, bounds=(begun, limit_s), on_retry=on_retry)

    def _repeat(
        self,
        call: Callable[[], T],
        *,
        reads: bool,
        attempts: int,
        bounds: tuple[Stamp, float],
        on_retry: Callable[[int, str], None],
    ) -> T:
        from tenacity import Retrying, retry_if_exception

        def stop(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            number = state.attempt_number + 1
            return number >= attempts or not self._wait(number, error, bounds, on_retry)

        policy = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, WorkError) and _again(error, reads=reads)),
            stop=stop,
            sleep=lambda _: None,
            reraise=True,
        )
        return policy(lambda: _once(call, reads=reads))

    def _wait(
        self,
        attempt: int,
        error: BaseException | None,
        bounds: tuple[Stamp, float],
        on_retry: Callable[[int, str], None],
    ) -> bool:
        """Wait before the attempt after ``attempt``; False when the time left is too short for it."""
        begun, limit_s = bounds
        wait_s = self.chance.uniform(0.0, min(self.most_s, self.first_s * 2.0 ** (attempt - 1)))
        if self.clock.now().since(begun) + wait_s >= limit_s:
            return False
        on_retry(attempt, str(error))
        self.clock.sleep(wait_s)
        return True


def _again(error: WorkError, *, reads: bool) -> bool:
    return isinstance(error, Busy) or (reads and isinstance(error, Unanswered))


def _once(call: Callable[[], T], *, reads: bool) -> T:
    try:
        return call()
    except WorkError:
        raise
    except Exception as error:
        known = classify(error, writes=not reads)
        if known is None:
            raise
        raise known from error
