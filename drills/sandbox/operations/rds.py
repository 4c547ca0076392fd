"""RDS: read replicas that are PostgreSQL standbys, promotions that promote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drills.sandbox.cloud import DbRef
from drills.sandbox.operations import not_simulated, op
from drills.sandbox.state import Work
from drills.sandbox.wire import ApiError

if TYPE_CHECKING:
    from drills.sandbox.operations import Visit
    from drills.sandbox.state import Site
    from drills.sandbox.wire import Reply

_UNSIMULATED_CHANGES = ("NewDBInstanceIdentifier", "MultiAZ", "DBInstanceClass", "EngineVersion", "AllocatedStorage")


@op("rds", "PromoteReadReplica")
def promote_read_replica(visit: Visit) -> Reply:
    """Begin a promotion: ``modifying`` until PostgreSQL accepts writes, and the link is cleared only then.

    AWS refuses a database that is no read replica or is not ``available``; moto accepts both, and is done at once.
    """
    ref = _ref(visit)
    database, site = _database(visit, ref)
    if not database.is_replica:
        raise _wrong_state(f"DB Instance {ref.id} is not a read replica.")
    if database.status != "available":
        raise _wrong_state(f"DB Instance {ref.id} is in {database.status} state, must be available to be promoted.")
    site.work = Work.PROMOTING
    database.status = "modifying"
    retention = visit.call.parameters().get("BackupRetentionPeriod")
    if retention is not None:
        database.backup_retention_period = int(retention)
    return visit.answer({"DBInstance": database})


@op("rds", "CreateDBInstanceReadReplica")
def create_read_replica(visit: Visit) -> Reply:
    """Make a site's PostgreSQL a standby of another's: ``creating`` until it streams.

    The site must have no DB instance any more (its old one deleted), as its PostgreSQL is overwritten.
    """
    ref = _ref(visit)
    world = visit.world
    site = world.free_site(ref)
    if site is None:
        why = "each site has one PostgreSQL, and the one of this region still has its DB instance: delete that first"
        raise not_simulated(visit.call, why)
    source = world.cloud.find_database(ref, str(visit.call.parameters().get("SourceDBInstanceIdentifier", "")))
    origin = None if source is None else world.site_of(DbRef(ref.account, source.region, source.db_instance_identifier))
    reply = visit.forward()
    database = world.cloud.database(ref)
    if origin is None or database is None:
        return reply
    own_replica(database, ref.region)
    database.status = "creating"
    site.db, site.work, site.sync_from = ref, Work.CREATING, origin.name
    return visit.answer({"DBInstance": database})


@op("rds", "DeleteDBInstance")
def delete_db_instance(visit: Visit) -> Reply:
    """Delete a DB instance; its PostgreSQL is fenced until a new replica is made of it.

    A final snapshot is real: nothing writes to the files any more, and they are copied before they are overwritten.
    """
    ref = _ref(visit)
    _, site = _database(visit, ref)
    reply = visit.forward()
    if visit.world.cloud.database(ref) is None:
        for other in visit.world.sites.values():
            database = None if other.db is None else visit.world.cloud.database(other.db)
            if database is not None:
                database.replicas[:] = [name for name in database.replicas if name not in {ref.id, ref.arn}]
        site.db, site.work = None, Work.NONE
        site.last_snapshot = str(visit.call.parameters().get("FinalDBSnapshotIdentifier") or "")
    return reply


@op("rds", "ModifyDBInstance")
def modify_db_instance(visit: Visit) -> Reply:
    """Change settings; a fence (security groups without ingress) takes effect in the reconcile loop.

    A failed database takes new security groups too: its host may come back, and must then find the fence.
    """
    database, _ = _database(visit, _ref(visit))
    named = [name for name in _UNSIMULATED_CHANGES if name in visit.call.parameters()]
    if named:
        raise not_simulated(visit.call, f"{', '.join(named)} would change only in words")
    if database.status not in {"available", "failed"}:
        raise _wrong_state(f"Database instance is not in available state: {database.status}.")
    return visit.forward()


def own_replica(database: Any, region: str) -> None:
    """Give a replica what moto let it share with its source: lists, zone, resource id."""
    import secrets

    database.tags = [dict(tag) for tag in database.tags]
    database.vpc_security_group_ids = list(database.vpc_security_group_ids)
    database.enabled_cloudwatch_logs_exports = list(database.enabled_cloudwatch_logs_exports)
    database.domain_memberships = []
    database.availability_zone = f"{region}a"
    database.dbi_resource_id = f"db-{secrets.token_hex(13).upper()}"


def _ref(visit: Visit) -> DbRef:
    return DbRef(visit.account, visit.region, str(visit.call.parameters().get("DBInstanceIdentifier", "")).lower())


def _database(visit: Visit, ref: DbRef) -> tuple[Any, Site]:
    database, site = visit.world.cloud.database(ref), visit.world.site_of(ref)
    if database is None or site is None:
        raise ApiError("DBInstanceNotFound", f"DBInstance {ref.id} not found.", 404)
    return database, site


def _wrong_state(message: str) -> ApiError:
    return ApiError("InvalidDBInstanceState", message)
