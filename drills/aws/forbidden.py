"""What no drill ever does: calls that end a retention, destroy what a recovery needs, or blind an auditor.

Denied when a runbook is read, and again by the seam of every writing session, where nothing has been sent yet. There
is no switch. One exemption: where a rule says ``own``, a thing whose name begins with ``drills-`` was made by a drill
and may be deleted by it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from drills.aws.readonly import READ_VERBS
from drills.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.model import OperationModel

OWN: Final = "drills-"


class Forbidden(Rejected):
    """A call that no drill makes; nothing was sent."""


class Rule(msgspec.Struct, frozen=True):
    """One kind of call that is denied: service and operation as patterns, the reason, and when it applies.

    ``when`` looks at the parameters; a rule without it always applies. ``own`` names the parameter whose value, when
    it begins with ``drills-``, exempts the call.
    """

    service: str
    operation: str
    reason: str
    when: Callable[[Mapping[str, Any]], bool] | None = None
    own: str = ""


def _for_good(given: Mapping[str, Any]) -> bool:
    """AWS takes no snapshot unless told its name, and deletes the automated backups unless told not to."""
    unsaved = bool(given.get("SkipFinalSnapshot")) or not given.get("FinalDBSnapshotIdentifier")
    return unsaved or given.get("DeleteAutomatedBackups") is not False


def _cluster_for_good(given: Mapping[str, Any]) -> bool:
    """DocumentDB and Neptune know no DeleteAutomatedBackups: they delete them always, and the snapshot is all."""
    return bool(given.get("SkipFinalSnapshot")) or not given.get("FinalDBSnapshotIdentifier")


def _compliance(given: Mapping[str, Any]) -> bool:
    return "COMPLIANCE" in str(given).upper() or "${" in str(given)


def _version(given: Mapping[str, Any]) -> bool:
    return "VersionId" in str(given)


def _no_backups(given: Mapping[str, Any]) -> bool:
    days = given.get("BackupRetentionPeriod")
    return days is not None and (isinstance(days, str) or int(days) == 0)


def _no_recovery(given: Mapping[str, Any]) -> bool:
    return _inside(given, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") is not True


def _unversioned(given: Mapping[str, Any]) -> bool:
    return _inside(given, "VersioningConfiguration", "Status") != "Enabled"


def _inside(given: Mapping[str, Any], record: str, name: str) -> Any:
    found = given.get(record)
    return cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None


def _at_once(given: Mapping[str, Any]) -> bool:
    return bool(given.get("ForceDeleteWithoutRecovery"))


_RDS: Final = "it deletes the database for good; give a final snapshot and DeleteAutomatedBackups: false"
_SNAPSHOT: Final = "it deletes a backup that a recovery may need"
_LOCK: Final = "a retention lock in compliance mode cannot be lifted by anybody, AWS included, until it ends"
_KEY: Final = "what is encrypted with the key is lost with it, backups too"
_TRAIL: Final = "it ends the record that shows what the drill did"
_WATCH: Final = "it blinds what watches the account"
_WHO: Final = "it takes away people's or programs' way into the account; a drill never touches identities"

RULES: Final = (
    # Retention
    Rule("backup", "PutBackupVaultLockConfiguration", f"{_LOCK}, and a vault's lock becomes one by itself"),
    Rule("backup", "DeleteBackupVaultLockConfiguration", "it lifts the lock that protects the backups"),
    Rule("glacier", "*", "archives and vault locks are there to be kept for years"),
    Rule("s3", "PutObjectLockConfiguration", _LOCK, _compliance),
    Rule("s3", "PutObjectRetention", _LOCK, _compliance),
    Rule("s3", "PutObjectLegalHold", "a legal hold is a lawyer's decision"),
    Rule("ec2", "LockSnapshot", _LOCK, _compliance),
    Rule("s3", "PutBucketLifecycleConfiguration", "a lifecycle rule deletes objects later, when nobody looks"),
    Rule("s3", "PutBucketLifecycle", "a lifecycle rule deletes objects later, when nobody looks"),
    Rule("s3", "PutBucketVersioning", "without versions an object that is overwritten is gone", _unversioned),
    # Backups and recovery points
    Rule("backup", "DeleteRecoveryPoint", _SNAPSHOT),
    Rule("backup", "DeleteBackupVault", _SNAPSHOT),
    Rule("backup", "DeleteBackupPlan", "without its plan nothing is backed up any more"),
    Rule("backup", "DeleteBackupSelection", "what is no longer selected is no longer backed up"),
    Rule("backup", "DisassociateRecoveryPoint*", _SNAPSHOT),
    Rule("backup", "UpdateRecoveryPointLifecycle", "a shorter lifecycle deletes a backup later, when nobody looks"),
    Rule("rds", "DeleteDB*AutomatedBackup", _SNAPSHOT),
    Rule("rds", "DeleteDB*Snapshot", _SNAPSHOT),
    Rule("docdb", "DeleteDB*Snapshot", _SNAPSHOT),
    Rule("neptune", "DeleteDB*Snapshot", _SNAPSHOT),
    Rule("rds", "StopDBInstanceAutomatedBackupsReplication", "the other region would get no more backups"),
    Rule("rds", "ModifyDB*", "a retention of 0 days deletes all automated backups at once", _no_backups),
    Rule("dynamodb", "DeleteBackup", _SNAPSHOT),
    Rule("dynamodb", "UpdateContinuousBackups", "switching it off deletes every point to recover to", _no_recovery),
    Rule("ec2", "DeleteSnapshot", _SNAPSHOT),
    Rule("ec2", "DeregisterImage", "instances of the image could not be started any more"),
    Rule("elasticache", "Delete*Snapshot", _SNAPSHOT),
    Rule("memorydb", "DeleteSnapshot", _SNAPSHOT),
    Rule("fsx", "DeleteBackup", _SNAPSHOT),
    Rule("fsx", "DeleteSnapshot", _SNAPSHOT),
    Rule("redshift", "*Delete*ClusterSnapshot*", _SNAPSHOT),
    Rule("drs", "DeleteSourceServer", "its points to recover to are deleted with it"),
    Rule("drs", "Disconnect*", "it ends the replication of a server for good"),
    # Data
    Rule("rds", "DeleteDBInstance", _RDS, _for_good, own="DBInstanceIdentifier"),
    Rule("rds", "DeleteDBCluster", _RDS, _for_good, own="DBClusterIdentifier"),
    Rule("docdb", "DeleteDBCluster", _RDS, _cluster_for_good, own="DBClusterIdentifier"),
    Rule("neptune", "DeleteDBCluster", _RDS, _cluster_for_good, own="DBClusterIdentifier"),
    Rule("rds", "DeleteTenantDatabase", "it deletes a database for good"),
    Rule("dynamodb", "DeleteTable", "it deletes the table and all its points to recover to", own="TableName"),
    Rule("s3", "DeleteBucket", "the name is free for anybody in the world at once", own="Bucket"),
    Rule("s3control", "DeleteBucket", "the name is free for anybody in the world at once"),
    Rule("s3control", "DeleteMultiRegionAccessPoint", "its name and its routes are lost for good"),
    Rule("s3", "DeleteObject", "a version that is deleted by its id is gone", _version),
    Rule("s3", "DeleteObjects", "versions that are deleted by their ids are gone", _version),
    Rule("efs", "DeleteFileSystem", "it deletes all files for good"),
    Rule("fsx", "DeleteFileSystem", "it deletes all files for good"),
    Rule("fsx", "DeleteVolume", "it deletes all files for good"),
    Rule("ec2", "DeleteVolume", "it deletes a disk for good"),
    Rule(
        "elasticache", "DeleteReplicationGroup", "it deletes the cache and what is only there", own="ReplicationGroupId"
    ),
    Rule("redshift", "DeleteCluster", "it deletes a warehouse for good"),
    Rule("opensearch", "DeleteDomain", "it deletes all indexes for good"),
    Rule("kinesis", "DeleteStream", "records that nobody has read are lost"),
    Rule("sqs", "DeleteQueue", "messages that nobody has read are lost"),
    Rule("sqs", "PurgeQueue", "messages that nobody has read are lost"),
    Rule("ecr", "*Delete*", "images that a recovery starts from are lost"),
    Rule("logs", "DeleteLog*", _TRAIL),
    Rule("cloudformation", "DeleteStack*", "it deletes all that the stack made, data stores too", own="StackName"),
    # Keys and secrets
    Rule("kms", "ScheduleKeyDeletion", _KEY),
    Rule("kms", "DeleteImportedKeyMaterial", _KEY),
    Rule("kms", "DeleteCustomKeyStore", _KEY),
    Rule("cloudhsm*", "DeleteCluster", _KEY),
    Rule("secretsmanager", "DeleteSecret", "without a time to recover it a secret is gone at once", _at_once),
    Rule("acm*", "DeleteCertificate*", "certificates that are deleted cannot be had back"),
    # Names and ways in
    Rule("route53", "DeleteHostedZone", "a zone made anew has other name servers: the domain stays dark for days"),
    Rule("route53", "*DNSSEC", "wrong signatures make a domain unreachable until all caches forget"),
    Rule("route53", "*KeySigningKey", "wrong signatures make a domain unreachable until all caches forget"),
    Rule("route53domains", "*", "who holds a domain is nothing to play with"),
    Rule("iam", "Delete*", _WHO),
    Rule("iam", "Disable*", _WHO),
    Rule("iam", "Deactivate*", _WHO),
    Rule("identitystore", "*", _WHO),
    Rule("sso-admin", "*", _WHO),
    Rule("organizations", "*", "it acts on accounts that are none of this drill's"),
    Rule("account", "*", "it closes accounts, switches regions off, or changes who is called at night"),
    # Those who watch
    Rule("cloudtrail", "StopLogging", _TRAIL),
    Rule("cloudtrail", "Delete*", _TRAIL),
    Rule("cloudtrail", "UpdateTrail", _TRAIL),
    Rule("cloudtrail", "PutEventSelectors", _TRAIL),
    Rule("config", "StopConfigurationRecorder", _TRAIL),
    Rule("config", "DeleteConfigurationRecorder", _TRAIL),
    Rule("config", "DeleteDeliveryChannel", _TRAIL),
    Rule("guardduty", "Delete*", _WATCH),
    Rule("guardduty", "Stop*", _WATCH),
    Rule("guardduty", "Disassociate*", _WATCH),
    Rule("securityhub", "*Disable*", _WATCH),
    Rule("macie2", "Disable*", _WATCH),
    Rule("inspector2", "Disable", _WATCH),
    Rule("savingsplans", "*", "it binds money for years"),
    Rule("ec2", "Purchase*", "it binds money for years"),
    Rule("rds", "Purchase*", "it binds money for years"),
)
"""Every call that is denied, and why; the first rule that fits is told."""


def reason(service: str, operation: str, given: Mapping[str, Any]) -> str:
    """Say why a call is denied; empty when it is not. ``given``: its parameters, as boto3 takes them."""
    if READ_VERBS.match(operation):
        return ""
    for rule in RULES:
        if not (fnmatchcase(service, rule.service) and fnmatchcase(operation, rule.operation)):
            continue
        if rule.own and str(given.get(rule.own, "")).startswith(OWN):
            continue
        if rule.when is None or rule.when(given):
            return rule.reason
    return ""


def refuse_forbidden(params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
    """Refuse what no drill does; a handler for botocore's ``before-parameter-build``.

    Raises ``Forbidden`` naming the call.
    """
    service, operation = model.service_model.service_name, model.name
    told = reason(service, operation, params)
    if told:
        raise Forbidden(f"{service}:{operation} refused: {told}; no drill does this, nothing was sent")
