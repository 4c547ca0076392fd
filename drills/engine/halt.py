"""The global stop: a flag that refuses new drills and turns running ones back.

It stands on this machine, and as an SSM parameter in the home region of each account, where every laptop sees it:
``/drills/stop/all`` for every drill, ``/drills/stop/env/NAME`` for those of one environment. A drill reads it in the
account of the surviving site and never asks the impaired one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from drills.aws.classify import mapped
from drills.aws.place import Place
from drills.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_ssm import SSMClient

    from drills.engine.plan import Plan

ROOT: Final = "/drills/stop"
ALL: Final = "all"


class Halt(msgspec.Struct, frozen=True):
    """Who stopped all drills, when (UTC, ISO 8601), and why."""

    by: str
    at: str
    why: str = ""
    environment: str = ""
    """Empty: every environment."""
    places: tuple[Place, ...] = ()
    """On this machine only: where else the flag was set."""
    homes: tuple[str, ...] = ()
    """On this machine only: the other folders of drills in which it was set."""

    def told(self) -> str:
        """Say it in one sentence."""
        which = f"the drills of {self.environment}" if self.environment else "all drills"
        return f"{self.by} stopped {which} at {self.at}" + (f": {self.why}" if self.why else "")


def parameter(environment: str) -> str:
    """Name the flag of one environment, or with no name that of all."""
    return f"{ROOT}/env/{environment}" if environment else f"{ROOT}/{ALL}"


def home_of(plan: Plan) -> Place:
    """Give where a drill reads the flag: the surviving site's account, in the home region."""
    place = next((one for one in plan.places if one.name == plan.to_site), None)
    if place is None:
        raise Rejected(f"the plan of {plan.runbook} names no place called {plan.to_site}")
    return replace(place, region=plan.home)


def raise_flag(client: SSMClient, halt: Halt) -> None:
    """Set the flag in one account; safe twice. ``WorkError`` when AWS refuses or does not answer."""
    with mapped(writes=True):
        client.put_parameter(
            Name=parameter(halt.environment),
            Value=msgspec.json.encode(msgspec.structs.replace(halt, places=(), homes=())).decode(),
            Type="String",
            Description="drills: while this is here no drill starts, and running ones turn back",
            Overwrite=True,
        )


def clear_flag(client: SSMClient, environment: str) -> bool:
    """Take the flag away in one account; False when there was none."""
    with mapped(writes=True):
        answer = client.delete_parameters(Names=[parameter(environment)])
    return bool(answer["DeletedParameters"])


def look(client: SSMClient, environment: str, *others: str) -> tuple[Halt | None, frozenset[str]]:
    """Read, in one call, the flags that bind an environment; also say which of the ``others`` are there."""
    wanted = [parameter(""), parameter(environment), *others]
    with mapped(writes=False):
        answer = client.get_parameters(Names=wanted)
    found = {one.get("Name", ""): one.get("Value", "") for one in answer["Parameters"]}
    flags = (found.get(name) for name in wanted[:2])
    return first(decode(flag) for flag in flags), frozenset(found) & frozenset(others)


def decode(text: str | None) -> Halt | None:
    """Read a flag; one that cannot be read still stops, for somebody has set it."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Halt)
    except msgspec.MsgspecError:
        return Halt("somebody", "an unknown time", text[:200])


def first(flags: Iterable[Halt | None]) -> Halt | None:
    """Give the first flag that is set."""
    return next((flag for flag in flags if flag is not None), None)
