"""What a ready sandbox tells, as it stands in ``sandbox.json``: addresses, values, processes, what is real."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from drills.runbook.world import SandboxValues
from drills.sandbox.wire import SECRET

SANDBOX_JSON: Final = "sandbox.json"

REAL: Final = (
    "PostgreSQL: a primary, and a streaming standby at each other site; real commits, promotion and loss",
    "The application: one HTTP process for each instance, which answers 200 only when its database takes a write",
    "The name server: real DNS answers with a TTL, changed when a Route 53 change takes effect",
    "The loss of a site: its processes are killed, or nothing reaches them any more; its replication is cut as well",
    "AWS API calls: real HTTP, botocore's retries and errors; every call is in audit.jsonl",
    "What AWS says of health, alarms and replica lag: read from the processes, never assumed",
)
SIMULATED: Final = (
    "AWS itself: moto keeps the resources; what moto would only pretend is refused with 501 NotImplemented",
    "Regions: two groups of processes on one machine, one kernel and one clock; the WAN is a delaying proxy",
    "How long AWS takes: profile.yaml (network ACLs, DNS propagation, instance boot, health checks, metrics)",
    "Sizes: one PostgreSQL a site, one application process an instance, no load balancer; a last snapshot is a folder",
    "Permissions: any role of the environment's accounts can be assumed, and no policy is evaluated",
)


def real_and_simulated() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the sentences a report prints about what a rehearsal proves and what it does not."""
    return REAL, SIMULATED


class SiteFacts(msgspec.Struct, frozen=True):
    """One site of a ready sandbox: its place, what was seeded there, and where it really answers."""

    name: str
    account: str
    region: str
    db: str
    asg: str
    others_alarm: str
    vpc: str
    dsn: str
    """PostgreSQL as clients reach it (fenced and cut with the site)."""
    direct: str
    """The site's own entrance, without DNS."""
    truth_dsn: str
    """PostgreSQL itself, reachable whatever happens to the network: for the truth recorder only."""


class Booted(msgspec.Struct, frozen=True):
    """A ready sandbox. ``process`` names the world's process so that a reused pid is not mistaken for it."""

    endpoint_url: str
    resolver: str
    folder: str
    private: bool
    url: str
    zone: str
    record: str
    environment: str
    primary: str
    outage: str
    sites: Mapping[str, SiteFacts]
    accounts: tuple[str, ...]
    pid: int
    process: str
    started_utc_ns: int
    ready_s: float
    real: tuple[str, ...] = REAL
    simulated: tuple[str, ...] = SIMULATED
    pids: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])

    def values(self) -> SandboxValues:
        """Give what the compiler of plans needs."""
        return SandboxValues(
            endpoint_url=self.endpoint_url,
            resolver=self.resolver,
            folder=self.folder,
            private=self.private,
            values={"url": self.url, "zone": self.zone},
            sites={
                name: {
                    "vpc": site.vpc,
                    "dsn": site.dsn,
                    "direct": site.direct,
                    "address": urlsplit(site.direct).hostname or "",
                }
                for name, site in self.sites.items()
            },
        )

    def variables(self) -> dict[str, str]:
        """Give the environment with which the AWS CLI and any boto3 program use this sandbox, and nothing else."""
        primary = self.sites[self.primary]
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": primary.account,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": primary.region,
            "AWS_REGION": primary.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "DRILLS_SANDBOX": self.folder,
            "DRILLS_RESOLVER": self.resolver,
            "DRILLS_URL": self.url,
        }


def write(booted: Booted, path: Path) -> None:
    """Write ``sandbox.json`` whole or not at all, readable by its owner only."""
    import msgspec

    draft = path.with_suffix(".tmp")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(booted), indent=2) + b"\n")
    draft.replace(path)


def read(path: Path) -> Booted:
    """Read ``sandbox.json``; ``OSError`` or ``msgspec.MsgspecError`` when there is none."""
    import msgspec

    return msgspec.json.decode(path.read_bytes(), type=Booted)
