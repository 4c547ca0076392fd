"""What moto holds, read and written in one place.

With ``schedules`` the only file that knows moto's internal attributes; ``tests/test_sandbox_moto_contract.py`` pins
each of them and each gap repaired here. Everything but ``forward`` is called with ``lock`` held:
moto is not thread-safe.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from drills.clock import NS, SystemClock
from drills.sandbox.wire import Reply, reply_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from wsgiref.types import WSGIEnvironment

_MOST_DATA = 20_000
_ALIVE = ("pending", "running")


@dataclass(frozen=True, slots=True)
class DbRef:
    """Where a database instance is registered: its account, region and identifier."""

    account: str
    region: str
    id: str

    @property
    def arn(self) -> str:
        """The ARN a cross-region replica names its source by."""
        return f"arn:aws:rds:{self.region}:{self.account}:db:{self.id}"


@dataclass(frozen=True, slots=True)
class RecordView:
    """One Route 53 record set: ``value``s with a routing policy."""

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]
    set_id: str = ""
    weight: int | None = None
    failover: str = ""
    multi_value: bool = False
    health_check: str = ""


@dataclass(frozen=True, slots=True)
class CheckView:
    """One Route 53 health check, as configured."""

    id: str
    account: str
    type: str
    address: str
    port: int
    host: str
    path: str
    search: str
    interval: int
    failure_threshold: int
    inverted: bool
    disabled: bool
    children: tuple[str, ...] = ()
    healthy_children: int = 0


def prepare_moto() -> None:
    """Set what moto reads at import: no default AMIs (0.9 s a region), no CORS headers, small pages kept."""
    import os

    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"


class Cloud:
    """moto's server application and its backends, behind one lock."""

    def __init__(self) -> None:
        prepare_moto()
        import warnings

        from moto.moto_server.werkzeug_app import DomainDispatcherApplication

        from drills.sandbox.repairs import repair_moto

        # moto warns of every error code that AWS does not model, as of ours.
        warnings.filterwarnings("ignore", module="moto.core.serialize")
        repair_moto()
        self.lock = threading.RLock()
        self._app = DomainDispatcherApplication(cast("Any", _create_app))

    def forward(self, environ: WSGIEnvironment, body: bytes, account: str) -> Reply:
        """Let moto answer one request on behalf of ``account``."""
        from werkzeug.test import run_wsgi_app

        inner = dict(environ)
        inner["wsgi.input"] = io.BytesIO(body)
        inner["CONTENT_LENGTH"] = str(len(body))
        inner["HTTP_X_MOTO_ACCOUNT_ID"] = account
        inner.pop("HTTP_TRANSFER_ENCODING", None)
        with self.lock:
            chunks, status, headers = run_wsgi_app(self._app, inner, buffered=True)
            return reply_of(chunks, status, headers.items())

    def backend(self, service: str, account: str, region: str) -> Any:
        """Give moto's backend of a service; Route 53 and IAM have one for the partition."""
        from moto.backends import get_backend

        backends = cast("Any", get_backend(cast("Any", service)))
        return backends[account]["aws" if service in {"route53", "iam", "sts"} else region]

    def account_of(self, access_key: str) -> str | None:
        """Give the account of a key made by IAM or STS of this sandbox, or None for a stranger's."""
        from moto.iam.models import iam_backends

        for account, partitions in list(cast("Any", iam_backends).items()):
            if access_key in partitions["aws"].access_keys:
                return str(account)
        return None

    # -- databases ------------------------------------------------------------------------------------------

    def database(self, ref: DbRef) -> Any | None:
        """Give moto's DB instance, or None when there is none of that name."""
        return self.backend("rds", ref.account, ref.region).databases.get(ref.id)

    def unlink_replica(self, ref: DbRef) -> None:
        """Clear the replica link on both sides, as AWS does when a promotion is complete."""
        database = self.database(ref)
        if database is None:
            return
        source = str(database.source_db_instance_identifier or "")
        database.is_replica = False
        database.source_db_instance_identifier = None
        primary = self.find_database(ref, source)
        if primary is not None:
            primary.replicas[:] = [name for name in primary.replicas if name not in {ref.id, ref.arn}]

    def find_database(self, near: DbRef, name: str) -> Any | None:
        """Give the DB instance called by an identifier (same region) or an ARN (any region)."""
        if not name:
            return None
        if not name.startswith("arn:"):
            return self.database(DbRef(near.account, near.region, name))
        _, _, _, region, account, _, identifier = name.split(":", 6)
        return self.database(DbRef(account, region, identifier))

    def group_lets_in(self, ref: DbRef) -> bool:
        """Say whether any security group of the database has an ingress rule."""
        database = self.database(ref)
        if database is None:
            return False
        ec2 = self.backend("ec2", ref.account, ref.region)
        groups = (ec2.get_security_group_from_id(group) for group in database.vpc_security_group_ids)
        return any(group is not None and len(group.ingress_rules) > 0 for group in groups)

    # -- networks and instances -----------------------------------------------------------------------------

    def network_cut(self, account: str, region: str, vpc: str) -> bool:
        """Say whether every subnet of the VPC has a network ACL that lets nothing in, or nothing out."""
        ec2 = self.backend("ec2", account, region)
        subnets = {subnet.id for zone in ec2.subnets.values() for subnet in zone.values() if subnet.vpc_id == vpc}
        cut: set[str] = set()
        for acl in ec2.network_acls.values():
            if acl.vpc_id == vpc and (_denies_all(acl, egress=False) or _denies_all(acl, egress=True)):
                cut |= {association.subnet_id for association in acl.associations}
        return bool(subnets) and subnets <= cut

    def all_instances(self, account: str, region: str, vpc: str) -> list[Any]:
        """Give moto's instances of the VPC, terminated ones too."""
        return [one for one in self.backend("ec2", account, region).all_instances() if one.vpc_id == vpc]

    def instances(self, account: str, region: str, vpc: str) -> tuple[str, ...]:
        """Give the ids of the VPC's instances that should run, oldest first."""
        found = [one for one in self.all_instances(account, region, vpc) if one.state in _ALIVE]
        return tuple(one.id for one in sorted(found, key=lambda one: (str(one.launch_time), one.id)))

    def group_members(self, account: str, region: str, vpc: str) -> Iterator[Any]:
        """Give moto's InstanceState of each member of an Auto Scaling group in the VPC."""
        for group in self.backend("autoscaling", account, region).autoscaling_groups.values():
            for state in group.instance_states:
                if state.instance.vpc_id == vpc:
                    yield state

    # -- Route 53 -------------------------------------------------------------------------------------------

    def records(self, accounts: Iterable[str]) -> tuple[RecordView, ...]:
        """Give every record set of every hosted zone of these accounts."""
        found: list[RecordView] = []
        for account in accounts:
            for zone in self.backend("route53", account, "aws").zones.values():
                found.extend(_record(record) for record in zone.rrsets if record.type not in {"NS", "SOA"})
        return tuple(found)

    def health_checks(self, accounts: Iterable[str]) -> tuple[CheckView, ...]:
        """Give every health check of these accounts."""
        return tuple(
            _check(account, check)
            for account in accounts
            for check in self.backend("route53", account, "aws").health_checks.values()
        )

    # -- CloudWatch -----------------------------------------------------------------------------------------

    def alarms(self, account: str, region: str) -> list[Any]:
        """Give moto's alarms on one metric (no composite ones)."""
        return [one for one in self.backend("cloudwatch", account, region).alarms.values() if one.metric_name]

    def data_points(self, account: str, region: str, alarm: Any) -> list[tuple[float, float]]:
        """Give (UTC seconds, value) of the alarm's metric, exactly its dimensions."""
        wanted = sorted((one.name, one.value) for one in alarm.dimensions)
        return [
            (datum.timestamp.replace(tzinfo=UTC).timestamp(), float(datum.value))
            for datum in self.backend("cloudwatch", account, region).metric_data
            if datum.name == alarm.metric_name
            and datum.namespace == alarm.namespace
            and hasattr(datum, "value")
            and sorted((one.name, one.value) for one in datum.dimensions) == wanted
        ]

    def put_metric(self, account: str, region: str, metric: str, value: float, dimensions: Mapping[str, str]) -> None:
        """Record one datum of ``metric``, written ``Namespace:Name``."""
        namespace, _, name = metric.partition(":")
        stamp = datetime.fromtimestamp(SystemClock().now().utc_ns / NS, UTC).replace(tzinfo=None)
        backend = self.backend("cloudwatch", account, region)
        if len(backend.metric_data) > _MOST_DATA:
            del backend.metric_data[: _MOST_DATA // 2]
        backend.put_metric_data(
            namespace,
            [
                {
                    "MetricName": name,
                    "Value": value,
                    "Timestamp": stamp,
                    "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
                }
            ],
        )


def _create_app(service: str | None) -> Any:
    from moto.moto_server.werkzeug_app import create_backend_app

    if service is None:
        message = "moto has no such service"
        raise NotImplementedError(message)
    return create_backend_app(cast("Any", service))


def _denies_all(acl: Any, *, egress: bool) -> bool:
    """Say whether the first rule for every address and protocol is a deny, or there is no rule (AWS's default)."""
    entries = [entry for entry in acl.network_acl_entries if str(entry.egress).lower() == str(egress).lower()]
    for entry in sorted(entries, key=lambda entry: int(entry.rule_number)):
        if entry.rule_action == "allow":
            return False
        if entry.cidr_block == "0.0.0.0/0" and str(entry.protocol) == "-1":
            return True
    return True


def _record(record: Any) -> RecordView:
    return RecordView(
        name=str(record.name).rstrip(".").lower(),
        type=str(record.type),
        ttl=int(record.ttl or 0),
        values=tuple(str(value) for value in record.records or ()),
        set_id=str(record.set_identifier or ""),
        weight=None if record.weight is None else int(record.weight),
        failover=str(record.failover or ""),
        multi_value=str(record.multi_value_answer).lower() == "true",
        health_check=str(record.health_check_id or ""),
    )


def _check(account: str, check: Any) -> CheckView:
    return CheckView(
        id=str(check.id),
        account=account,
        type=str(check.type_),
        address=str(check.ip_address or ""),
        port=int(check.port or 80),
        host=str(check.fqdn or ""),
        path=str(check.resource_path or "/"),
        search=str(check.search_string or ""),
        interval=int(check.request_interval or 30),
        failure_threshold=int(check.failure_threshold or 3),
        inverted=str(check.inverted).lower() == "true",
        disabled=str(check.disabled).lower() == "true",
        children=tuple(str(child) for child in check.children or ()),
        healthy_children=int(check.health_threshold or 0),
    )
