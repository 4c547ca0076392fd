"""The same experiment in the words of both tools: as many steps, doing the same things in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

NOOP_MODULE: Final = "noop.py"
ENVIRONMENT: Final = """\
# yaml-language-server: $schema=schema.json
environment: bench
kind: sandbox
home: us-east-2
sites:
  east:
    account: "123456789012"
    region: us-east-1
  west:
    account: "123456789012"
    region: us-west-2
world:
  primary: east
  record: bench.drills.test
"""
"""A sandbox whose world is never built: its endpoint is given when the drill is run."""


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of step, as each tool writes it (YAML, indented for its list)."""

    name: str
    ours: str
    theirs: str


NOTHING: Final = Work(
    "no-op",
    "    probe: flow.wait\n    with:\n      for: 0s\n",
    "    provider:\n      type: python\n      module: noop\n      func: nothing\n",
)
READ: Final = Work(
    "read",
    """\
    probe: aws.read
    at: to
    with:
      service: ec2
      operation: DescribeInstances
      parameters:
        Filters:
          - Name: instance-state-name
            Values:
              - running
      expect: length(Reservations) == `0`
""",
    """\
    provider:
      type: python
      module: chaosaws.ec2.probes
      func: describe_instances
      arguments:
        filters:
          - Name: instance-state-name
            Values:
              - running
""",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files with the same content, and the folder they lie in."""

    folder: Path
    ours: Path
    theirs: Path
    environment: Path


def write(folder: Path, work: Work, steps: int) -> Pair:
    """Write both files, and our environment."""
    folder.mkdir(parents=True)
    (folder / NOOP_MODULE).write_text(
        '"""A function that does nothing."""\n\n\ndef nothing():\n    """Do nothing."""\n'
    )
    pair = Pair(folder, folder / "runbook.yaml", folder / "experiment.yaml", folder / "environment.yaml")
    pair.environment.write_text(ENVIRONMENT)
    head = f"runbook: bench\ntitle: {steps} steps\nsteps:\n"
    pair.ours.write_text(head + "".join(f"  - id: step-{n}\n    say: Step {n}\n{work.ours}" for n in range(steps)))
    head = f"title: {steps} steps\ndescription: The same steps in the other tool's words\nmethod:\n"
    pair.theirs.write_text(head + "".join(f"  - type: probe\n    name: step-{n}\n{work.theirs}" for n in range(steps)))
    return pair


def graph(folder: Path, width: int, depth: int, sleep: str) -> Path:
    """Write a runbook of ``width`` chains of ``depth`` sleeps each; every step needs two of the row above."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["runbook: bench-graph", f"title: {width * depth} sleeps", "steps:", "  - parallel:"]
    for row in range(depth):
        for column in range(width):
            lines += [f"      - id: s{row}-{column}", "        probe: flow.wait", f"        every: {sleep}"]
            if row:
                above = sorted({column, (column + 1) % width})
                lines += ["        needs:", *(f"          - s{row - 1}-{one}" for one in above)]
            lines += ["        with:", f"          for: {sleep}"]
    path = folder / "runbook.yaml"
    path.write_text("\n".join(lines) + "\n")
    (folder / "environment.yaml").write_text(ENVIRONMENT)
    return path
