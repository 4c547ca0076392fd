"""What acts are carried out with: accounts, retries, observers, and who watches over it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drills.aws.holder import Standing
    from drills.aws.narrow import Needed
    from drills.clock import Clock
    from drills.engine.crew import Token
    from drills.engine.plan import Step
    from drills.engine.state import State
    from drills.work import Aws, Kind, Place


class Accounts(Protocol):
    """Gives the sessions of a place; the reading one refuses to write."""

    def read(self, place: Place) -> Aws:
        """Give a session that refuses every write."""
        ...

    def write(self, place: Place) -> Aws:
        """Give a session that writes, each call at most once."""
        ...

    def standing(self, place: Place, needed: Needed | None = None) -> Standing:
        """Say who drills is at a place and how long that lasts; ``needed``: narrowed to these permissions."""
        ...

    def worked(self, place: Place) -> bool:
        """Say whether a call at this place has been answered well before."""
        ...

    def renew(self, place: Place) -> None:
        """Forget credentials and clients of a place: they are read anew."""
        ...

    def renewal(self, place: Place) -> str:
        """Say what a person does to get new credentials for a place."""
        ...


class Retrying(Protocol):
    """The one retry policy: repeats what may be repeated, bounded in count and time."""

    def __call__(
        self,
        call: Callable[[], Any],
        *,
        attempts: int,
        limit_s: float,
        reads: bool,
        on_retry: Callable[[int, str], None],
    ) -> Any:
        """Call until it answers; raise the last ``WorkError`` when the bounds are reached."""
        ...


class Observers(Protocol):
    """The stages of observing; each gives the events it comes to, and may be asked again after a crash."""

    def stage(self, name: str, state: State, cancelled: Token) -> Iterable[ev.Body]:
        """Do one stage: watch, baseline, settled, collected."""
        ...


class Warden(Protocol):
    """Watches over a drill from outside of it: whether it may still change anything."""

    def watch(self, tell: Callable[[ev.Body], None]) -> None:
        """Begin to watch; what comes up is told as facts."""
        ...

    def before(self, step: Step) -> None:
        """Say, right before a change, that it may be made; ``Rejected`` (nothing was changed) when it may not."""
        ...

    def close(self) -> None:
        """End watching."""
        ...


class NoWarden:
    """For a drill that nobody but its own process can stop."""

    def watch(self, tell: Callable[[ev.Body], None]) -> None:
        """Watch nothing."""

    def before(self, step: Step) -> None:
        """Let every change be made."""

    def close(self) -> None:
        """Do nothing."""


class NoObservers:
    """For a drill that watches nothing: it has no stages."""

    def stage(self, name: str, state: State, cancelled: Token) -> Iterable[ev.Body]:
        """Say that there is nothing to wait for."""
        _ = state, cancelled
        return (ev.Ready(name, ok=True, detail="nothing is watched"),)


class Means(msgspec.Struct, frozen=True):
    """What acts are carried out with."""

    accounts: Accounts
    retrying: Retrying
    clock: Clock
    load: Callable[[Kind, str], Any]
    observers: Observers
    conclude: Callable[[State], ev.Finished]
    warden: Warden = msgspec.field(default_factory=NoWarden)
