"""Before a drill for real: which accounts ask, what every gate says, and whether a person means it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from drills.cli.binding import declared_direction
from drills.engine.plan import Mode
from drills.errors import Refused

if TYPE_CHECKING:
    from drills.aws.sessions import Accounts
    from drills.engine.plan import Plan
    from drills.runbook.load import LoadedEnvironment
    from drills.timeline import events as ev
    from drills.timeline.events import Gated


@dataclass(frozen=True, slots=True)
class Meant:
    """What a person said to show that they mean it: the environment's name, and that a stale lock may be taken."""

    confirm: str
    takeover: bool
    began: tuple[ev.Began, ...] = ()
    observe_only: bool = False


def aloud(told: str) -> None:
    """Say to a person what stdout must not hold."""
    click.echo(told, err=True)


def before_direction(place: LoadedEnvironment, to_site: str, mode: Mode) -> Accounts:
    """Give the accounts that ask which site is active: STS at the site that is to take over, else at home."""
    from drills.aws.holder import Terms
    from drills.aws.sessions import Accounts

    model = place.model
    taking_over = model.sites.get(to_site)
    glass = model.break_glass.profile if model.break_glass and mode is Mode.INCIDENT else ""
    region = taking_over.region if taking_over else model.home
    return Accounts(terms=Terms(sts_region=region, break_glass=glass, aloud=aloud))


def asked(compiled: Plan, *, takeover: bool = False) -> tuple[Gated, ...]:
    """Ask every gate, now."""
    from drills import catalog
    from drills.aws.sessions import Accounts
    from drills.cli.compose import terms_of
    from drills.clock import NS, SystemClock
    from drills.engine.gates.question import Question
    from drills.engine.gates.table import answers
    from drills.runtime.stops import standing_here

    now = datetime.fromtimestamp(SystemClock().now().utc_ns / NS, UTC)
    accounts = Accounts(terms=terms_of(compiled, aloud))
    halted = standing_here(compiled.environment)
    return tuple(answers(Question(compiled, accounts, catalog.load, now, halted=halted, takeover=takeover)))


def meant_here(name: str, confirm: str) -> None:
    """Refuse a ``--confirm`` that names another environment."""
    if confirm not in ("", name):
        raise Refused(f"not started: --confirm says {confirm!r}, and the environment is {name!r}; nothing was changed")


def confirmed(name: str, confirm: str, compiled: Plan, *, asks: bool) -> None:
    """Hear from a person that this environment is meant."""
    if confirm == name:
        return
    if not asks:
        raise Refused(f"not started: say --confirm {name} where nobody can be asked; nothing was changed")
    click.echo(f"{compiled.title}: {compiled.from_site} -> {compiled.to_site}, {len(compiled.steps)} steps", err=True)
    if click.prompt(f"type {name} to begin", default="", show_default=False, err=True) != name:
        raise Refused("not started: the name was not typed; nothing was changed")


def begins_as_made(place: LoadedEnvironment, sites: tuple[str, str], standing: str) -> None:
    """Refuse at once a standing sandbox that has failed over: the site left behind cannot take over unasked."""
    primary = declared_direction(place, "")[0]
    if sites[0] != primary:
        raise Refused(
            f"not started: the sandbox {standing} has failed over, {sites[0]} is active there and {primary} is what it "
            f"left; say --to {primary} for the way back, or make it anew; nothing was changed"
        )


def not_stopped(environment: str, mode: Mode) -> None:
    """Refuse at once what the global stop of this machine will refuse; the warden asks the home region too."""
    from drills.runtime.stops import standing_here

    flag = standing_here(environment)
    if flag is not None and mode is not Mode.INCIDENT:
        raise Refused(f"not started: {flag.told()}; `drills stop --clear` lifts it; nothing was changed")
