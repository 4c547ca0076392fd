"""``drills sandbox``: keep a two-site AWS world running on this machine, and use it from any AWS program."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from drills.sandbox.booted import Booted

_NAME = click.option("--name", default="default", show_default=True, help="Which standing sandbox.")
_JSON = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group(
    help="Keep a sandbox running: two AWS sites on this machine, real PostgreSQL and applications behind moto.\n\n"
    "\b\n"  # click keeps the lines of this paragraph as they are
    "drills sandbox up\n"
    'eval "$(drills sandbox env)"\n'
    "aws rds describe-db-instances\n"
    "drills sandbox down"
)
def sandbox() -> None:
    """Keep a sandbox running."""


@sandbox.command(short_help="Start one that outlives the command.")
@_NAME
@_JSON
@click.option(
    "--env", "environment", default="sandbox", show_default=True, help="The environment whose world is built."
)
@click.option(
    "--outage", type=click.Choice(["kill", "blackhole"]), help="How a lost site goes, if not as it says there."
)
def up(name: str, output: str, environment: str, outage: str | None) -> None:
    """Start a sandbox that outlives this command; ``drills sandbox down`` ends it."""
    from drills.runbook.find import environment_path
    from drills.runbook.load import load_environment
    from drills.sandbox.lifecycle import boot, standing_folder, world_spec

    spec = world_spec(load_environment(environment_path(environment)).model)
    running = boot(spec, standing_folder(name), private=False, outage=outage)
    facts = running.facts
    if output == "json":
        _print_json(facts)
        return
    click.echo(f"sandbox {name} is ready after {facts.ready_s:.1f} s at {facts.endpoint_url} (names: {facts.resolver})")
    for site in facts.sites.values():
        click.echo(
            f"  {site.name}: account {site.account} {site.region}, database {site.db}, application {site.direct}"
        )
    click.echo(f'use it:  eval "$(drills sandbox env{_named(name)})"')
    click.echo(f"end it:  drills sandbox down{_named(name)}")


@sandbox.command(short_help="End it and all its processes.")
@_NAME
def down(name: str) -> None:
    """End a standing sandbox and everything it started."""
    from drills.sandbox.lifecycle import find, standing_folder, stop

    stop(find(standing_folder(name)))
    click.echo(f"sandbox {name} ended")


@sandbox.command(short_help="Print the variables for the AWS CLI and boto3.")
@_NAME
@_JSON
def env(name: str, output: str) -> None:
    """Print the variables with which the AWS CLI and any boto3 program use the sandbox, and never the real AWS."""
    from drills.sandbox.lifecycle import find, standing_folder

    variables = find(standing_folder(name)).variables()
    if output == "json":
        click.echo(json.dumps(variables, indent=2))
        return
    click.echo("unset AWS_PROFILE AWS_SESSION_TOKEN")
    for key, value in variables.items():
        click.echo(f"export {key}={shlex.quote(value)}")


@sandbox.command(short_help="Show its sites and processes.")
@_NAME
@_JSON
def status(name: str, output: str) -> None:
    """Show how the sites of a standing sandbox are, and which processes it has."""
    from drills.sandbox import lifecycle

    facts = lifecycle.find(lifecycle.standing_folder(name))
    told: dict[str, Any] = lifecycle.status(facts)
    if output == "json":
        click.echo(json.dumps({"name": name, "endpoint_url": facts.endpoint_url, **told}, indent=2))
        return
    click.echo(f"sandbox {name} at {facts.endpoint_url}, {len(told['processes'])} processes")
    for site, state in told["sites"].items():
        role = {True: "writer", False: "standby", None: "database does not answer"}[state["writer"]]
        lost = f"LOST ({state['lost']})" if state["lost"] else "up"
        follows = ", streaming" if state["streaming"] else ""
        fenced = ", fenced" if state["fenced"] else ""
        click.echo(
            f"  {site}: {lost}, {state['db']} {role}{follows}{fenced}, {len(state['listening'])} instances listen"
        )


def _named(name: str) -> str:
    return "" if name == "default" else f" --name {name}"


def _print_json(facts: Booted) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())


COMMANDS = (sandbox,)
