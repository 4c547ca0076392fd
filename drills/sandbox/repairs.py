"""The gaps of moto that are repaired by replacing one of its methods, each with why.

Few on purpose: what can be mended around a call stands in ``operations``. ``tests/test_sandbox_moto_contract.py``
shows that moto still has each gap, so that an upgrade which closes one is seen.
"""

from __future__ import annotations

import sys
from typing import Any, cast

from drills.clock import NS, SystemClock

COUNTED = frozenset({"Pending", "InService"})
"""Lifecycle states that count towards an Auto Scaling group's capacity."""
REAL_ADDRESS = "drills_address"
"""Attribute of moto's DBInstance that holds where its PostgreSQL listens."""
_KEPT = "drills_kept_create_db_instance_read_replica"


def repair_moto() -> None:
    """Replace what would make moto contradict the real processes. Safe to call twice."""
    from moto.autoscaling.models import FakeAutoScalingGroup
    from moto.fis.models import Experiment
    from moto.moto_api import state_manager
    from moto.rds.models import DBInstance, RDSBackend

    group = cast("Any", FakeAutoScalingGroup)
    # moto counts InService only, and would launch the whole group again while its instances are still Pending.
    group.active_instances = _active_instances
    # moto answers "now", a recovery point of zero seconds that nothing here can restore: no answer is honest.
    database = cast("Any", DBInstance)
    database.latest_restorable_time = None
    # moto makes up an address that nothing answers; the world tells where the real PostgreSQL listens.
    database.address = property(_address)
    # moto ends an experiment when it is looked at; here it goes as ``experiments`` carries it out.
    state_manager.set_transition("fis::experiment", {"progression": "manual", "times": sys.maxsize})
    cast("Any", Experiment).TERMINAL_STATUSES = ["completed", "stopped", "failed", "cancelled"]
    cast("Any", Experiment)._sync_state = _state_of_experiment  # noqa: SLF001 - moto sets its actions' states there
    # moto looks for a cross-region replica's subnet group in the source's region.
    backend = cast("Any", RDSBackend)
    if not hasattr(backend, _KEPT):
        setattr(backend, _KEPT, backend.create_db_instance_read_replica)
        backend.create_db_instance_read_replica = _create_read_replica


def _address(database: Any) -> str:
    return str(getattr(database, REAL_ADDRESS, "not-listening.invalid"))


def _state_of_experiment(experiment: Any) -> str:
    """Give the state, and when it ended; its actions have their own, set by ``experiments``."""
    if experiment.status in experiment.TERMINAL_STATUSES and experiment.end_time is None:
        experiment.end_time = SystemClock().now().utc_ns / NS
    return str(experiment.status)


def _create_read_replica(backend: Any, db_kwargs: Any) -> Any:
    group = db_kwargs.pop("db_subnet_group_name", None)
    replica = getattr(backend, _KEPT)(db_kwargs)
    if group:
        replica.db_subnet_group_name = group
    return replica


def _active_instances(group: Any) -> list[Any]:
    return [state for state in group.instance_states if state.lifecycle_state in COUNTED]
