"""When AWS says that a recovery point is: moto where it knows the call, an HTTP server of our own where it does not."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from aws_answers import Answers, answering
from aws_world import World, moto_server

from drills.clock import NS, SystemClock
from drills.errors import Rejected
from drills.services.backup_points import LatestRecoveryPoint, RestoredPoint
from drills.services.drs_points import LatestSnapshot as DrsSnapshot
from drills.services.dynamodb_points import Pitr, RestoredTo
from drills.services.ec2_points import LatestAmi, LatestEbsSnapshot
from drills.services.efs_points import LastReplicated
from drills.services.rds_points import (
    AuroraLatestSnapshot,
    AuroraRestorableTime,
    LatestSnapshot,
    ReplicatedBackup,
    RestorableTime,
)
from drills.services.recovery_point import utc_ns
from drills.services.s3_points import ReplicationStatus
from drills.work import Observation

CLOCK = SystemClock()
SERVER = "s-0123456789abcdef0"
ARN = "arn:aws:rds:us-east-1:111122223333:db:orders-a"
NOON = 1_790_000_000


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


@pytest.fixture
def answers() -> Generator[Answers]:
    with answering(Answers()) as served:
        yield served


def is_of_now(seen: Observation, since_ns: int) -> bool:
    return seen.happened_utc_ns is not None and since_ns - NS <= seen.happened_utc_ns <= CLOCK.now().utc_ns + NS


def test_an_instance_says_until_when_it_can_be_restored_and_as_a_gate_whether_that_is_young_enough(
    world: World,
) -> None:
    since, db = CLOCK.now().utc_ns, world.db()
    seen = RestorableTime(db=db).observe(world.read)
    assert (seen.ok, is_of_now(seen, since)) == (True, True)
    assert seen.detail.startswith(f"the latest restorable time of {db} is of 20")
    assert RestorableTime.model_validate({"db": db, "at_most": "1h"}).observe(world.read).ok is True
    with pytest.raises(Rejected, match="DBInstanceNotFound"):
        RestorableTime(db="nobody").observe(world.read)


def test_the_newest_usable_snapshot_of_an_instance_counts_and_a_copy_by_its_original(world: World) -> None:
    rds: Any = world.client("rds")
    db = world.db()
    none = LatestSnapshot(db=db).observe(world.read)
    by_hand = rds.describe_db_snapshots(DBInstanceIdentifier=db)["DBSnapshots"]
    assert (none.ok is True) is bool(by_hand)
    name = world.name("by-hand")
    since = CLOCK.now().utc_ns
    made = rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=db)["DBSnapshot"]
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=made["DBSnapshotArn"], TargetDBSnapshotIdentifier=f"{name}-copy")
    seen = LatestSnapshot(db=db).observe(world.read)
    assert is_of_now(seen, since)
    originals = {
        one["DBSnapshotIdentifier"]: one.get("OriginalSnapshotCreateTime", one["SnapshotCreateTime"])
        for one in rds.describe_db_snapshots(DBInstanceIdentifier=db)["DBSnapshots"]
    }
    assert originals[name] == originals[f"{name}-copy"]
    assert seen.happened_utc_ns == max(map(utc_ns, originals.values()))
    assert LatestSnapshot.model_validate({"db": db, "at_most": "0s"}).observe(world.read).ok is False


def test_an_instance_without_a_snapshot_or_a_replicated_backup_says_so(world: World) -> None:
    seen = LatestSnapshot(db="never-was").observe(world.read)
    assert (seen.ok, seen.happened_utc_ns, seen.detail) == (
        False,
        None,
        "never-was has no snapshot that is available",
    )


def test_a_cluster_says_until_when_it_can_be_restored_and_its_copied_snapshots_do_not_count(world: World) -> None:
    rds: Any = world.client("rds")
    name, since = world.name("aurora"), CLOCK.now().utc_ns
    rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="o", MasterUserPassword="of-no-value"
    )
    assert is_of_now(AuroraRestorableTime(cluster=name).observe(world.read), since)
    none = AuroraLatestSnapshot(cluster=name).observe(world.read)
    if none.ok is not True:
        assert "has no snapshot of its own" in none.detail
    shot = rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"{name}-s", DBClusterIdentifier=name)
    seen = AuroraLatestSnapshot(cluster=name).observe(world.read)
    assert seen.happened_utc_ns == utc_ns(shot["DBClusterSnapshot"]["SnapshotCreateTime"])


def test_a_table_says_until_when_it_can_be_restored_only_with_point_in_time_recovery(world: World) -> None:
    dynamodb = world.client("dynamodb")
    name, since = world.name("orders"), CLOCK.now().utc_ns
    keys = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
    dynamodb.create_table(
        TableName=name, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST", **keys
    )
    off = Pitr(table=name).observe(world.read)
    assert (off.ok, off.detail) == (False, f"point-in-time recovery of {name} is DISABLED: it has no restorable time")
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    seen = Pitr(table=name).observe(world.read)
    assert is_of_now(seen, since)
    plain = RestoredTo(table=name).observe(world.read)
    assert (plain.ok, "was not made by a restore" in plain.detail) == (False, True)
    dynamodb.restore_table_to_point_in_time(
        SourceTableName=name, TargetTableName=f"{name}-2", UseLatestRestorableTime=True
    )
    again = RestoredTo(table=f"{name}-2").observe(world.read)
    assert (again.ok is True) == (again.happened_utc_ns is not None)


def test_the_newest_snapshot_of_a_volume_and_the_newest_image_count(world: World) -> None:
    ec2: Any = world.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    none = LatestEbsSnapshot(volume=volume).observe(world.read)
    assert (none.ok, none.detail) == (False, f"{volume} has no snapshot of its own that is completed")
    made = [ec2.create_snapshot(VolumeId=volume)["SnapshotId"] for _ in range(2)]
    found = ec2.describe_snapshots(SnapshotIds=made)["Snapshots"]
    seen = LatestEbsSnapshot(volume=volume).observe(world.read)
    assert seen.happened_utc_ns == max(utc_ns(one["StartTime"]) for one in found)
    label = world.name("service")
    without = LatestAmi(tags={"service": label}).observe(world.read)
    assert (without.ok, f"no available image of this account with service={label}" in without.detail) == (False, True)
    image = ec2.create_image(InstanceId=world.instances(1)[0], Name=label)["ImageId"]
    ec2.create_tags(Resources=[image], Tags=[{"Key": "service", "Value": label}])
    seen = LatestAmi(tags={"service": label}).observe(world.read)
    assert (seen.ok, image in seen.detail) == (True, True)


def _points(*rows: tuple[str, str, float]) -> dict[str, Any]:
    return {
        "RecoveryPoints": [
            {"RecoveryPointArn": arn, "Status": status, "CreationDate": at, "BackupVaultName": "main"}
            for arn, status, at in rows
        ]
    }


def test_of_a_resource_the_newest_completed_recovery_point_counts_that_is_no_copy(answers: Answers) -> None:
    world = World(answers.address)
    probe = LatestRecoveryPoint(resource=ARN)
    answers.bodies["/resources/"] = _points()
    assert "has no recovery point that is COMPLETED" in probe.observe(world.read).detail
    answers.bodies["/resources/"] = _points(
        ("r:old", "COMPLETED", NOON - 900.0),
        ("r:half", "PARTIAL", NOON + 0.0),
        ("r:copy", "COMPLETED", NOON - 10.25),
        ("r:own", "COMPLETED", NOON - 300.5),
        ("r:going", "DELETING", NOON - 5.0),
    )
    vault = "arn:aws:backup:us-east-1:111122223333:backup-vault:"
    answers.bodies["r%3Acopy"] = {"BackupVaultArn": f"{vault}main", "SourceBackupVaultArn": f"{vault}elsewhere"}
    answers.bodies["r%3Aown"] = {"BackupVaultArn": f"{vault}main"}
    seen = probe.observe(world.read)
    assert (seen.happened_utc_ns, "recovery point r:own" in seen.detail) == (NOON * NS - 300_500_000_000, True)
    other = LatestRecoveryPoint(resource=ARN, vault="other").observe(world.read)
    assert (other.ok, "in vault other" in other.detail) == (False, True)


def test_the_restore_job_that_was_begun_last_says_which_point_it_brought_back(answers: Answers) -> None:
    world = World(answers.address)
    answers.bodies["/restore-jobs"] = {"RestoreJobs": []}
    assert "was never restored" in RestoredPoint(resource=ARN).observe(world.read).detail
    job = {"RestoreJobId": "j1", "CreationDate": NOON, "Status": "COMPLETED", "RecoveryPointCreationDate": NOON - 600}
    running = {**job, "RestoreJobId": "j2", "CreationDate": NOON + 60, "Status": "RUNNING"}
    answers.bodies["/restore-jobs"] = {"RestoreJobs": [job]}
    assert RestoredPoint(resource=ARN).observe(world.read).happened_utc_ns == (NOON - 600) * NS
    answers.bodies["/restore-jobs"] = {"RestoreJobs": [job, running]}
    seen = RestoredPoint(resource=ARN).observe(world.read)
    assert (seen.ok, seen.happened_utc_ns, "j2 is RUNNING" in seen.detail) == (False, None, True)


def test_an_object_is_as_old_as_the_version_that_arrived_and_only_a_replica_counts(answers: Answers) -> None:
    world = World(answers.address)
    probe = ReplicationStatus(bucket="orders-replica", source="orders-source", key="heartbeat.json")
    source = {"Last-Modified": "Mon, 21 Sep 2026 12:00:09 GMT", "x-amz-replication-status": "PENDING"}
    answers.headers["orders-source/heartbeat.json"] = source
    none = probe.observe(world.read)
    assert (none.ok, "it was never replicated; in orders-source it is of 2026" in none.detail) == (False, True)
    answers.headers["orders-replica/heartbeat.json"] = {"Last-Modified": "Mon, 21 Sep 2026 12:00:00 GMT"}
    plain = probe.observe(world.read)
    assert (plain.ok, "is no replica (its status is not replicated)" in plain.detail) == (False, True)
    answers.headers["orders-replica/heartbeat.json"]["x-amz-replication-status"] = "REPLICA"
    seen = probe.observe(world.read)
    assert (seen.ok, seen.happened_utc_ns) == (True, 1_789_992_000 * NS)
    assert "in orders-source it is of 2026-09-21T12:00:09+00:00, PENDING" in seen.detail
    del answers.headers["orders-source/heartbeat.json"]
    assert "orders-source gives no answer" in probe.observe(world.read).detail


def test_a_file_system_is_replicated_up_to_the_oldest_time_of_its_destinations(answers: Answers) -> None:
    world = World(answers.address)
    ends = [
        {"FileSystemId": "fs-2", "Region": "us-west-2", "Status": "ENABLED", "LastReplicatedTimestamp": NOON},
        {"FileSystemId": "fs-3", "Region": "eu-west-1", "Status": "ENABLED", "LastReplicatedTimestamp": NOON - 60},
        {"FileSystemId": "fs-4", "Region": "eu-west-1", "Status": "ERROR", "LastReplicatedTimestamp": NOON - 900},
    ]
    answers.bodies["/replication-configurations"] = {
        "Replications": [{"SourceFileSystemId": "fs-1", "Destinations": ends}]
    }
    seen = LastReplicated(file_system="fs-1").observe(world.read)
    assert (seen.happened_utc_ns, "the replica fs-3" in seen.detail) == ((NOON - 60) * NS, True)
    answers.bodies["/replication-configurations"]["Replications"][0]["Destinations"] = [ends[2]]
    broken = LastReplicated(file_system="fs-1").observe(world.read)
    assert (broken.ok, "fs-4 ERROR" in broken.detail) == (False, True)


def test_of_a_server_the_newest_snapshot_that_was_taken_counts_over_all_pages(answers: Answers) -> None:
    world = World(answers.address)
    items = [
        {"snapshotID": "pit-1", "sourceServerID": SERVER, "timestamp": "2026-09-21T11:50:00Z"},
        {"snapshotID": "pit-3", "sourceServerID": SERVER, "expectedTimestamp": "2026-09-21T12:10:00Z"},
        {"snapshotID": "pit-2", "sourceServerID": SERVER, "timestamp": "2026-09-21T12:00:00+00:00"},
    ]
    answers.bodies["/DescribeRecoverySnapshots"] = {"items": items}
    seen = DrsSnapshot(server=SERVER).observe(world.read)
    assert (seen.happened_utc_ns, "pit-2" in seen.detail) == (1_789_992_000 * NS, True)
    answers.bodies["/DescribeRecoverySnapshots"] = {"items": items[1:2]}
    assert "no recovery snapshot that was taken" in DrsSnapshot(server=SERVER).observe(world.read).detail
    many = [{**items[0], "snapshotID": f"pit-{number}"} for number in range(1001)]
    answers.bodies["/DescribeRecoverySnapshots"] = {"items": many}
    with pytest.raises(Rejected, match="lists more than 1,000: the newest could be missed"):
        DrsSnapshot(server=SERVER).observe(world.read)


def test_replicated_backups_reach_as_far_as_the_latest_that_can_be_restored_from(answers: Answers) -> None:
    world = World(answers.address)
    told = "".join(
        f"<DBInstanceAutomatedBackup><Status>{status}</Status><RestoreWindow><LatestTime>{at}</LatestTime>"
        "</RestoreWindow></DBInstanceAutomatedBackup>"
        for status, at in (("active", "2026-09-21T12:00:00.5Z"), ("pending", "2026-09-21T12:30:00Z"))
    )
    page = (
        f"<R><DescribeDBInstanceAutomatedBackupsResult><DBInstanceAutomatedBackups>{told}</DBInstanceAutomatedBackups>"
    )
    answers.bodies["/"] = f"{page}</DescribeDBInstanceAutomatedBackupsResult></R>"
    seen = ReplicatedBackup(db="orders-a").observe(world.read)
    assert seen.happened_utc_ns == 1_789_992_000 * NS + NS // 2
    answers.bodies["/"] = answers.bodies["/"].replace("active", "pending")
    none = ReplicatedBackup(db="orders-a").observe(world.read)
    assert none.detail == "orders-a has no automated backup in us-east-1 that can be restored from"
