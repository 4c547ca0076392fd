"""How long simulated things take: ``profile.yaml``, where each value has its source beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class HealthCheckTimes:
    """How often Route 53's checkers ask, and how long they wait. Seconds."""

    interval_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class CloudWatchTimes:
    """How often metrics appear, and how long a minute of an alarm's period lasts. Seconds."""

    publish_every_s: float
    minute_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Every simulated duration, in seconds; see ``profile.yaml`` for what each means and where it comes from."""

    reconcile_every_s: float
    isolation_effect_s: float
    security_group_effect_s: float
    dns_propagation_s: float
    instance_boot_s: float
    replace_unhealthy_after_s: float
    max_instances_per_site: int
    health_check: HealthCheckTimes
    cloudwatch: CloudWatchTimes


@cache
def load_profile() -> Profile:
    """Read the profile that is shipped; ``msgspec.ValidationError`` if a value is missing or of the wrong kind."""
    import msgspec.yaml

    text = resources.files("drills.sandbox").joinpath("profile.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=Profile)
