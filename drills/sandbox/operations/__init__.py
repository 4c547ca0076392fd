"""Extension operations: where the sandbox answers an AWS call itself, or around moto. One file a service.

``@op("rds", "PromoteReadReplica")`` puts a function in the table; it gets a ``Visit`` and gives a ``Reply``. It runs
with moto's lock held, so it reads, decides and returns; what takes time is left to the reconcile loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from drills.sandbox.wire import ApiError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.sandbox.state import World
    from drills.sandbox.wire import Call

_FILES = ("autoscaling", "ec2", "fis", "rds", "route53", "sts", "unsimulated")


@dataclass(frozen=True, slots=True)
class Visit:
    """One call at the door of an extension operation."""

    call: Call
    account: str
    world: World
    forward: Callable[[], Reply]
    """Let moto answer."""

    @property
    def region(self) -> str:
        """The region the caller signed for."""
        return self.call.region

    def backend(self, service: str) -> Any:
        """Give moto's backend for the caller's account and region."""
        return self.world.cloud.backend(service, self.account, self.region)

    def answer(self, result: object) -> Reply:
        """Answer with a result in botocore's names."""
        return self.call.answer(result)


Operation: TypeAlias = "Callable[[Visit], Reply]"
_TABLE: dict[tuple[str, str], Operation] = {}


def op(service: str, *operations: str) -> Callable[[Operation], Operation]:
    """Put a function in the table for these operations of a botocore service."""

    def enter(function: Operation) -> Operation:
        for operation in operations:
            _TABLE[service, operation] = function
        return function

    return enter


def table() -> dict[tuple[str, str], Operation]:
    """Load every file of this package and give the table."""
    for name in _FILES:
        import_module(f"{__name__}.{name}")
    return _TABLE


def not_simulated(call: Call, why: str = "") -> ApiError:
    """Make the error of a call this sandbox does not simulate: it fails, it never pretends."""
    told = why or "moto has no such operation"
    return ApiError("NotImplemented", f"{call.service}:{call.operation} is not simulated by this sandbox: {told}", 501)
