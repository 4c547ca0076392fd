"""What ``kills.py`` looks at: the kinds of drills it kills, and what stands in a sandbox, seen without any engine."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills.runtime.journal import read_drill
from drills.timeline import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNBOOK = Path("runbooks/warm-standby.yaml")
MADE: Counter[str] = Counter(
    CreateNetworkAcl=1,
    ReplaceNetworkAclAssociation=2,
    UpdateAutoScalingGroup=1,
    CreateSecurityGroup=1,
    ModifyDBInstance=1,
)
"""What the steps before the promotion call, each once: two subnets are cut off, one group is made."""
UNMADE: Counter[str] = Counter(
    DeleteNetworkAcl=1,
    ReplaceNetworkAclAssociation=2,
    UpdateAutoScalingGroup=1,
    DeleteSecurityGroup=1,
    ModifyDBInstance=1,
)
PROMOTED: Counter[str] = Counter(PromoteReadReplica=1)
SHIFTED: Counter[str] = Counter(ChangeResourceRecordSets=1)
HARMLESS = frozenset({"RevokeSecurityGroupEgress", "CreateTags", "PutParameter", "DeleteParameters"})
"""Parts of making a group, which change nothing by themselves; and the lock of the target, renewed often."""


@dataclass(frozen=True)
class Case:
    """One kind of drill: its runbook, how it ends, what then stands, and which calls were made in all."""

    name: str
    runbook: Path
    ends: tuple[str, int]
    stands: frozenset[str]
    calls: Counter[str]
    undo: bool = False
    may_miss: frozenset[str] = frozenset()
    """Calls that come in pairs or not at all: the fence is a best effort, and the drill may turn back without it."""


def variants(folder: Path) -> list[Case]:
    """Write the runbooks of all kinds."""
    text = RUNBOOK.read_text(encoding="utf-8").replace("schema=schema.json", "schema=none")
    serving = _changed(text, '          count: "${capacity}"\n', "          count: 7\n")
    never_serving = _limited(serving, "      - id: serving", "timeout: 15m", "timeout: 3s")
    dead = _changed(
        text,
        '    mark: data_restored\n    with:\n      dsn: "${to.dsn}"',
        '    mark: data_restored\n    with:\n      dsn: "${from.dsn}"',
    )
    never_writing = _limited(dead, "  - id: writer", "timeout: 30m", "timeout: 3s")
    fails, held = folder / "fails.yaml", folder / "held.yaml"
    fails.write_text(never_serving, encoding="utf-8")
    held.write_text(never_writing, encoding="utf-8")
    everything = frozenset({"lose", "fence", "scale", "promote", "shift"})
    return [
        Case("goes well", RUNBOOK, ("met", 0), everything, MADE + PROMOTED + SHIFTED),
        Case(
            "fails before the point of no return",
            fails,
            ("failed", 9),
            frozenset(),
            MADE + UNMADE,
            may_miss=frozenset({"CreateSecurityGroup", "ModifyDBInstance", "DeleteSecurityGroup"}),
        ),
        Case(
            "held past it, then undone",
            held,
            ("failed", 9),
            frozenset({"promote"}),
            MADE + PROMOTED + UNMADE,
            undo=True,
        ),
    ]


def _changed(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise SystemExit(f"{RUNBOOK} has changed: {old!r} stands there {text.count(old)} times")
    return text.replace(old, new)


def _limited(text: str, step: str, old: str, new: str) -> str:
    head, found, tail = text.partition(step)
    if not found or old not in tail:
        raise SystemExit(f"{RUNBOOK} has changed: no {step!r} with {old!r}")
    return head + found + tail.replace(old, new, 1)


class World:
    """What stands in a sandbox, asked of its AWS by plain boto3, and compared with how it was when it was fresh."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._fresh = self._look()

    def changed(self) -> frozenset[str]:
        """Name the steps whose change stands."""
        now = self._look()
        return frozenset(step for step, seen in now.items() if seen != self._fresh[step])

    def _look(self) -> dict[str, Any]:
        east, west = self._facts["sites"]["east"], self._facts["sites"]["west"]
        filters = [{"Name": "vpc-id", "Values": [east["vpc"]]}]
        acls = self._client("ec2", east).describe_network_acls(Filters=filters)["NetworkAcls"]
        old, new = self._database(east), self._database(west)
        groups = self._client("autoscaling", west).describe_auto_scaling_groups(AutoScalingGroupNames=[west["asg"]])
        group = groups["AutoScalingGroups"][0]
        records = self._client("route53", east).list_resource_record_sets(HostedZoneId=self._facts["zone"])
        return {
            "lose": sorted((one["SubnetId"], acl["NetworkAclId"]) for acl in acls for one in acl["Associations"]),
            "fence": sorted(one["VpcSecurityGroupId"] for one in old["VpcSecurityGroups"]),
            "scale": (group["MinSize"], group["DesiredCapacity"], group["MaxSize"]),
            "promote": new.get("ReadReplicaSourceDBInstanceIdentifier", ""),
            "shift": sorted(
                (str(one.get("SetIdentifier")), one.get("Weight")) for one in records["ResourceRecordSets"]
            ),
        }

    def _database(self, site: dict[str, Any]) -> dict[str, Any]:
        return self._client("rds", site).describe_db_instances(DBInstanceIdentifier=site["db"])["DBInstances"][0]

    def _client(self, service: str, site: dict[str, Any]) -> Any:
        import boto3.session

        session: Any = boto3.session.Session()
        return session.client(
            service,
            region_name=site["region"],
            endpoint_url=self._facts["endpoint_url"],
            aws_access_key_id=site["account"],
            aws_secret_access_key="any",  # noqa: S106 - never checked
        )


def effects_of(home: Path) -> list[str]:
    """Give the calls that changed something in the standing sandbox, from its audit log, oldest first."""
    audit = home / "sandboxes" / "default" / "audit.jsonl"
    calls: list[dict[str, Any]] = []
    for line in audit.read_text(encoding="utf-8").splitlines() if audit.exists() else ():
        try:
            calls.append(json.loads(line))
        except ValueError:
            continue  # a line that is being written
    return [
        one["operation"]
        for one in calls
        if one["mutating"] and one["status"] < 300 and one["operation"] not in HARMLESS  # noqa: PLR2004 - HTTP
    ]


def gaps(folder: Path, widest_s: float) -> Iterator[str]:
    """Say which observer was not adopted, or did not look, while the drill was killed and resumed."""
    import sqlite3

    events, _ = read_drill(folder)
    seen: dict[str, ev.Watching] = {}
    for event in events:
        body = event.body
        if isinstance(body, ev.Watching):
            if body.observer in seen and body.pid != seen[body.observer].pid:
                yield f"observer {body.observer} was not adopted"
            seen[body.observer] = body
    for body in seen.values():
        table = "markers" if body.observer == "orders" else "samples"
        with sqlite3.connect(body.file) as db:
            sent = [int(row[0]) for row in db.execute(f"SELECT sent FROM {table} ORDER BY sent")]  # noqa: S608 - a name of ours
        widest = max((later - earlier for earlier, later in pairwise(sent)), default=0) / 1e9
        if widest > widest_s:
            yield f"observer {body.observer} did not look for {widest:.1f} s"


def processes_of(home: Path) -> list[str]:
    """Give the command lines of the drill's processes that are left: drivers and observers, not the sandbox."""
    left: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        line = " ".join(os.fsdecode(word) for word in words)
        if str(home) in line and "drills.observe" in line:
            left.append(line)
    return left
