"""The seam that makes a session read-only: a botocore ``before-call`` handler which lets reads through by verb.

An allow-list, because a list of writes is never complete: ``TestFailover`` fails a cluster over, and tomorrow's
operation has a verb nobody thought of. Secret values are refused too: what a probe saw is written down.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from drills.errors import Rejected

if TYPE_CHECKING:
    from botocore.model import OperationModel

READ_VERBS: Final = re.compile(
    r"(?:Describe|Get|List|Head|BatchGet|Query|Scan|Search|Lookup|Select|Simulate)(?=[A-Z0-9]|$)"
)

READS: Final = (
    ("cloudformation", "EstimateTemplateCost"),
    ("cloudformation", "ValidateTemplate"),
    ("dynamodb", "TransactGetItems"),
    ("logs", "FilterLogEvents"),
    ("logs", "StartQuery"),
    ("route53", "TestDNSAnswer"),
)
"""Operations that only read, though their verb does not say so."""

SECRETS: Final = (
    ("codeartifact", "GetAuthorizationToken"),
    ("cognito-identity", "GetCredentialsForIdentity"),
    ("cognito-identity", "GetOpenIdToken"),
    ("cognito-identity", "GetOpenIdTokenForDeveloperIdentity"),
    ("ec2", "GetPasswordData"),
    ("ecr", "GetAuthorizationToken"),
    ("lightsail", "GetInstanceAccessDetails"),
    ("redshift", "GetClusterCredentials"),
    ("redshift", "GetClusterCredentialsWithIAM"),
    ("redshift-serverless", "GetCredentials"),
    ("secretsmanager", "BatchGetSecretValue"),
    ("secretsmanager", "GetSecretValue"),
    ("sso", "GetRoleCredentials"),
    ("sts", "GetFederationToken"),
    ("sts", "GetSessionToken"),
)
"""Operations that answer with a secret. Those of SSM do so only with ``WithDecryption``."""


class WriteRefused(Rejected):
    """A session that may only read was asked for something else; nothing was sent."""


def only_reads(service: str, operation: str) -> bool:
    """Say whether an operation (as in ``DescribeDBInstances``) reads, and reads no secret."""
    name = (service, operation)
    return name in READS or (READ_VERBS.match(operation) is not None and name not in SECRETS)


def refuse_writes(model: OperationModel, params: dict[str, Any], **_: Any) -> None:
    """Refuse a call that is not a read; a handler for botocore's ``before-call``.

    Raises ``WriteRefused`` naming the call.
    """
    service, operation = model.service_model.service_name, model.name
    if not only_reads(service, operation):
        raise WriteRefused(f"{service}:{operation} refused: this session only reads; nothing was sent")
    if service == "ssm" and operation.startswith("GetParameter") and _decrypts(params.get("body")):
        raise WriteRefused(f"ssm:{operation} WithDecryption refused: it answers with a secret; nothing was sent")


def _decrypts(body: Any) -> bool:
    if not isinstance(body, str | bytes):
        return False
    given: Any = json.loads(body or "{}")
    return bool(given.get("WithDecryption"))
