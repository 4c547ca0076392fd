"""A drill with the credentials of a role, driven by a process of its own in a sandbox that is running.

``python credentials_drill.py FOLDER SANDBOX`` begins the drill in FOLDER, or goes on with it. Its steps: one change,
one question, a second change.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from drills.cli import compose
from drills.engine.plan import Mode, Plan
from drills.engine.state import State
from drills.report.ask import interrupt_prompt
from drills.sandbox.booted import Booted
from drills.sandbox.lifecycle import find
from drills.testing import plan, step
from drills.timeline import events as ev
from drills.timeline.facts import Facts
from drills.work import Kind, Place

ROLE = "arn:aws:iam::111122223333:role/drills"


def place(world: Booted) -> Place:
    """The old site, by a role that is assumed with the sandbox's own key."""
    site = world.sites["east"]
    return Place("here", site.account, site.region, ROLE, world.endpoint_url, None, site.account)


def the_plan(world: Booted) -> Plan:
    """Grow a group, ask, tag its largest size once more."""
    asg = world.sites["east"].asg
    sizes = [Facts(asg=asg, min=1, desired=2, max=most) for most in (9, 10)]
    name = "autoscaling.set_capacity"
    declared = ("autoscaling:DescribeAutoScalingGroups", "autoscaling:UpdateAutoScalingGroup")
    return plan(
        step("first", uses=name, params=sizes[0], permissions=declared, timeout_s=60.0),
        step("go", Kind.OPERATOR, "first", uses="confirm", timeout_s=120.0),
        step("second", Kind.ACTION, "go", uses=name, params=sizes[1], permissions=declared, timeout_s=60.0),
        mode=Mode.RUN,
        places=(place(world),),
        home="us-east-2",
    )


def in_silence(events: Sequence[ev.Event], state: State) -> None:
    """Show nothing."""
    del events, state


def main(folder: Path, sandbox: Path) -> int:
    """Drive the drill, as the command line would."""
    world = find(sandbox)
    show = compose.Show(in_silence, interrupt_prompt, lambda: None)
    accounts = compose.recorded_accounts(folder, the_plan(world))
    if (folder / "journal.db").exists():
        state = compose.take_over(folder, accounts, show, world_alive=lambda _: True, outside=lambda _: None)
    else:
        state = compose.open_drill(folder, the_plan(world), accounts, show, outside=None)
    return compose.exit_code(state)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
