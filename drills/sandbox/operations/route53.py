"""Route 53: record sets that name servers really serve, health checks that really check."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from drills.clock import NS
from drills.sandbox.operations import not_simulated, op
from drills.sandbox.wire import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.sandbox.operations import Visit
    from drills.sandbox.state import Change
    from drills.sandbox.wire import Reply

_NO_POLICY = ("AliasTarget", "GeoLocation", "GeoProximityLocation", "CidrRoutingConfig", "Region")
_CHECKED = {"HTTP", "TCP", "HTTP_STR_MATCH", "CALCULATED"}


@op("route53", "ChangeResourceRecordSets")
def change_resource_record_sets(visit: Visit) -> Reply:
    """Change record sets all or none; PENDING until the name server serves them.

    moto says INSYNC at once, accepts a DELETE that names other values, and by set identifier deletes other names.
    """
    parameters = visit.call.parameters()
    zone = _zone(visit, str(parameters.get("HostedZoneId", "")))
    changes: list[dict[str, Any]] = parameters.get("ChangeBatch", {}).get("Changes", [])
    kept = list(zone.rrsets)
    try:
        for change in changes:
            _apply(visit, zone, str(change["Action"]), change["ResourceRecordSet"])
        _refuse_shares(visit, zone)
    except ApiError:
        zone.rrsets = kept
        raise
    return visit.answer({"ChangeInfo": _told(visit.world.submit_change())})


@op("route53", "GetChange")
def get_change(visit: Visit) -> Reply:
    """Say whether a change is served yet."""
    name = str(visit.call.parameters().get("Id", "")).rpartition("/")[2]
    change = visit.world.changes.get(f"/change/{name}")
    if change is None:
        raise ApiError("NoSuchChange", f"Could not find resource with ID: {name}", 404)
    return visit.answer({"ChangeInfo": _told(change)})


@op("route53", "CreateHealthCheck")
def create_health_check(visit: Visit) -> Reply:
    """Create a health check of a kind that is really made here."""
    kind = str(visit.call.parameters().get("HealthCheckConfig", {}).get("Type", ""))
    if kind not in _CHECKED:
        raise not_simulated(visit.call, f"{kind} checks are not made, only {', '.join(sorted(_CHECKED))}")
    return visit.forward()


@op("route53", "GetHealthCheckStatus")
def get_health_check_status(visit: Visit) -> Reply:
    """Give what the checker found last; moto says Success of anything."""
    name = str(visit.call.parameters().get("HealthCheckId", ""))
    if name not in visit.backend("route53").health_checks:
        raise ApiError("NoSuchHealthCheck", f"A health check with id {name} does not exist.", 404)
    found = visit.world.health.get(name)
    if found is None:
        return visit.answer({"HealthCheckObservations": []})
    report = {"Status": found.detail, "CheckedTime": _time(found.checked_utc_ns)}
    observed = {"Region": "us-east-1", "IPAddress": "127.0.0.1", "StatusReport": report}
    return visit.answer({"HealthCheckObservations": [observed]})


def _zone(visit: Visit, zone_id: str) -> Any:
    zone = visit.backend("route53").zones.get(zone_id.rpartition("/")[2])
    if zone is None:
        raise ApiError("NoSuchHostedZone", f"No hosted zone found with ID: {zone_id}", 404)
    return zone


def _apply(visit: Visit, zone: Any, action: str, record: Mapping[str, Any]) -> None:
    name = str(record["Name"]).rstrip(".").lower() + "."
    policy = next((field for field in _NO_POLICY if field in record), None)
    if policy is not None:
        raise not_simulated(visit.call, f"records with {policy} are not served; use simple, failover or weighted ones")
    if not name.endswith(f".{zone.name}") and name != zone.name:
        raise _invalid(f"RRSet with DNS name {name} is not permitted in zone {zone.name}")
    check = record.get("HealthCheckId")
    if check and check not in visit.backend("route53").health_checks:
        raise ApiError("NoSuchHealthCheck", f"No health check exists with the specified ID: {check}", 404)
    key = (name, record["Type"], record.get("SetIdentifier"))
    same = [one for one in zone.rrsets if (one.name, one.type, one.set_identifier) == key]
    if action == "CREATE" and same:
        raise _invalid(
            f"Tried to create resource record set [name='{name}', type='{record['Type']}'] but it already exists"
        )
    if record["Type"] != "A":
        raise not_simulated(visit.call, f"the name server of the sandbox has A records only, no {record['Type']}")
    plain = _plain(name, record)
    if action == "DELETE":
        if not any(_values(one) == _values_wanted(plain) for one in same):
            raise _invalid(
                f"Tried to delete resource record set [name='{name}', type='{record['Type']}'] but not found"
            )
        zone.rrsets = [one for one in zone.rrsets if one not in same]
    else:
        zone.rrsets = list(zone.rrsets)
        zone.upsert_rrset(plain)


def _refuse_shares(visit: Visit, zone: Any) -> None:
    """Refuse what needs an answer drawn by lot for each query: two weights above zero for one name."""
    weights = Counter((one.name, one.type) for one in zone.rrsets if int(one.weight or 0) > 0)
    shared = [name for (name, _), count in weights.items() if count > 1]
    if shared:
        raise not_simulated(visit.call, f"{shared[0]} would have two weights above 0, and answers are not drawn by lot")


def _plain(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    values = [str(item["Value"]) for item in record.get("ResourceRecords", [])]
    return {**record, "Name": name, "ResourceRecords": values}


def _values(record: Any) -> tuple[int, tuple[str, ...]]:
    return int(record.ttl or 0), tuple(record.records or ())


def _values_wanted(plain: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    return int(plain.get("TTL") or 0), tuple(plain["ResourceRecords"])


def _told(change: Change) -> dict[str, object]:
    status = "INSYNC" if change.in_sync else "PENDING"
    return {"Id": change.id, "Status": status, "SubmittedAt": _time(change.submitted_utc_ns)}


def _time(utc_ns: int) -> datetime:
    return datetime.fromtimestamp(utc_ns / NS, UTC)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidChangeBatch", f"[{message}]")
