"""Wait for new credentials: those that ended in mid-drill pause the step they were needed for, and fail nothing.

A call that is refused for its credentials was not carried out, so it is made again once others are there. The wait
ends with the step's own time, with the drill's, or when the drill turns back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from drills.engine.progress import Status
from drills.errors import Disowned, Expired, Partly, WorkError
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.clock import Clock
    from drills.engine.plan import Step
    from drills.engine.state import State
    from drills.work import Place

FIRST_S: Final = 0.25
AGAIN_S: Final = 2.0
"""How often the call is made again with credentials read anew, one refused call each time: sooner at first."""


class Renewable(Protocol):
    """Accounts whose credentials can be read anew."""

    def worked(self, place: Place) -> bool:
        """Say whether a call at this place has been answered well before."""
        ...

    def renew(self, place: Place) -> None:
        """Forget credentials and clients of a place."""
        ...

    def renewal(self, place: Place) -> str:
        """Say what a person does to get new credentials."""
        ...


class Waiter(Protocol):
    """What says that nobody waits for a step any more."""

    def is_set(self) -> bool:
        """Say whether nobody waits."""
        ...

    def wait(self, seconds: float) -> bool:
        """Let that many seconds pass, or fewer when it is set meanwhile."""
        ...


class Renewal:
    """Makes calls for one drill, and waits wherever their credentials have ended."""

    def __init__(self, state: State, accounts: Renewable, clock: Clock, tell: Callable[[ev.Body], None]) -> None:
        self._state = state
        self._accounts = accounts
        self._clock = clock
        self._tell = tell

    def through(self, step: Step, call: Callable[[], Any], limit_s: float, token: Waiter | None) -> Any:
        """Call, and wait up to ``limit_s`` for credentials; then, or when ``token`` is set, the refusal is raised."""
        begun, waited, again_s = self._clock.now(), False, FIRST_S
        while True:
            try:
                answer = call()
            except WorkError as error:
                if not self._mendable(step, error):
                    self._back(step, waited=waited)
                    raise
                if not waited:
                    waited = True
                    place = self._state.plan.place(step.place)
                    self._tell(ev.CredentialsEnded(step.id, place.name, str(error), self._accounts.renewal(place)))
                if not self._wait(step, again_s, limit_s - self._clock.now().since(begun), token):
                    raise
                again_s = min(2 * again_s, AGAIN_S)
                self._accounts.renew(self._state.plan.place(step.place))
            else:
                self._back(step, waited=waited)
                return answer

    def _back(self, step: Step, *, waited: bool) -> None:
        if waited:
            self._tell(ev.CredentialsBack(step.id))

    def _mendable(self, step: Step, error: WorkError) -> bool:
        """Say whether new credentials mend it: they ended, or are not known any more though they once were."""
        cause = error.__cause__ if isinstance(error, Partly) and step.idempotent else error
        if isinstance(cause, Disowned):
            return self._accounts.worked(self._state.plan.place(step.place)) or self._state.resumed
        return isinstance(cause, Expired)

    def _wait(self, step: Step, seconds: float, left_s: float, token: Waiter | None) -> bool:
        """Wait a moment before the next try; False when there is no time for one, or nobody waits for it."""
        if left_s <= AGAIN_S or token is None or self._unwanted(step):
            return False
        return not token.wait(seconds) and not self._unwanted(step)

    def _unwanted(self, step: Step) -> bool:
        """Say whether the drill has turned back before the step began."""
        return self._state.stop is not None and self._state.progress[step.id].status is Status.WAITING
