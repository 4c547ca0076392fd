"""``drills calibrate``: prove on this machine that what drills measures is true."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from drills.calibrate.run import Report


@click.command()
@click.option("--thorough", is_flag=True, help="Hundreds of outages, about six minutes.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def calibrate(*, thorough: bool, output: str) -> int:
    """Make real outages with known truth on this machine, measure them, and compare.

    Breaks a service of its own in ten ways, fails a name over, and kills PostgreSQL primaries, all on 127.0.0.0/8;
    the real prober and marker writer look on, the real estimators judge. Then it measures in several ways that are
    known to be wrong, and each must be seen to be wrong.

    \b
    drills calibrate                 under a minute
    drills calibrate --thorough      about six minutes

    Exit 0: every bracket holds the truth, every wrong way was detected. Exit 1: not so.
    """  # noqa: D301 - the backslash is for click: it keeps the lines below it as they are
    from drills.calibrate.run import SHORT, THOROUGH
    from drills.calibrate.run import calibrate as calibrated

    settings = THOROUGH if thorough else SHORT
    outages = sum(lane.count for lane in settings.lanes) + 2 * settings.failovers + len(settings.stores)
    click.echo(f"calibrating with {outages} outages, about {'6 minutes' if thorough else '50 s'} ...", err=True)
    return conclude(calibrated(settings), output)


def conclude(report: Report, output: str) -> int:
    """Print a calibration and give the exit code."""
    from drills.calibrate.telling import as_json, told
    from drills.report.paint import show

    if output == "json":
        click.echo(json.dumps(as_json(report), indent=2))
    else:
        show(sys.stdout, told(report))
    return 1 if report.failures else 0


COMMANDS = (calibrate,)
