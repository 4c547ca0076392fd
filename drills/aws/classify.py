"""The one map from what botocore raises to what drills understands.

The question is always the same: may the call have changed something? A refusal that was answered changed nothing
(``Rejected``, or ``Busy`` when asking again is safe). A connection that never stood sent nothing (``Busy``). All
else is silence (``Unanswered``): a read may be repeated, a write is UNKNOWN.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from drills.errors import Busy, Disowned, Expired, Missing, Rejected, Unanswered, WorkError

if TYPE_CHECKING:
    from collections.abc import Generator

    from botocore.exceptions import BotoCoreError, ClientError

THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Codes by which AWS says "too fast". botocore's list without LimitExceededException, which is most often a quota."""

PASSING: Final = frozenset(
    {
        "ConcurrentModification",
        "ConcurrentModificationException",
        "IncorrectInstanceState",
        "IncorrectState",
        "InvalidDBClusterStateFault",
        "InvalidDBInstanceState",
        "InvalidDBInstanceStateFault",
        "InvalidGlobalClusterStateFault",
        "OperationAborted",
        "ResourceContention",
        "ResourceContentionFault",
        "ResourceInUse",
        "ResourceInUseException",
        "ResourceInUseFault",
        "ResourceNotReadyException",
        "ScalingActivityInProgress",
        "ScalingActivityInProgressFault",
    }
)
"""Codes of states that pass by themselves: refused now, perhaps taken in a moment."""

EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})

STRANGE: Final = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"})
"""Codes for keys that AWS does not know: never known, or deleted, or a session that was ended."""

NO_CAPACITY: Final = frozenset(
    {
        "InsufficientAddressCapacity",
        "InsufficientCapacity",
        "InsufficientCapacityException",
        "InsufficientDBInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientVolumeCapacity",
    }
)
"""EC2 answers these with status 500, yet they are a considered no."""

DENIED: Final = frozenset({"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"})

ABSENT: Final = ("NotFound", "NoSuch", "DoesNotExist")
"""Part of every code by which a service says that what was named is not there."""

LOG_IN: Final = "set AWS_PROFILE or log in (`aws sso login`), nothing was sent"
UNKNOWN_KEYS: Final = "these keys are not known there"
GET_NEW: Final = "get new credentials (for example `aws sso login`) and go on"

LONGEST: Final = 400
"""Characters of a message that are kept: a broken proxy answers with a whole page."""

_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500
_NOT_IMPLEMENTED: Final = 501


def classify(error: Exception, *, writes: bool) -> WorkError | None:
    """Say what an exception means; None when it is none of AWS's (a bug of ours, which must not be renamed).

    ``writes`` says whether the call may have changed something.
    """
    if isinstance(error, WorkError):
        return error
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    if isinstance(error, ClientError):
        return _answered(error)
    if isinstance(error, BotoCoreError):
        return _unanswered(error, writes=writes)
    if isinstance(error, RuntimeError) and "are still expired" in str(error):
        return Expired(f"{error}; get new credentials and go on")  # botocore has no class for it
    if isinstance(error, ResponseParserError):
        return Unanswered(f"the answer could not be read: {error}")
    return None


def error_code(error: Exception) -> str:
    """Give the code of an answered error, such as ``InvalidDBInstanceState``; empty when AWS did not answer."""
    from botocore.exceptions import ClientError

    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def is_of_credentials(told: str) -> bool:
    """Say whether a sentence of these errors tells that there are no credentials, or none that count any more."""
    return any(phrase in told for phrase in (LOG_IN, UNKNOWN_KEYS, GET_NEW))


@contextmanager
def mapped(*, writes: bool) -> Generator[None]:
    """Turn what botocore raises inside the block into drills' own errors; leave everything else as it is."""
    try:
        yield
    except Exception as error:
        known = classify(error, writes=writes)
        if known is None or known is error:
            raise
        raise known from error


def _answered(error: ClientError) -> WorkError:
    fault = error.response.get("Error", {})
    code = fault.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{error.operation_name}: {code}: {fault.get('Message', '')[:LONGEST]}"
    if code in THROTTLED or status == _TOO_MANY_REQUESTS:
        return Busy(f"throttled: {said}")
    if code in EXPIRED:
        return Expired(f"{said}; {GET_NEW}")
    if code in STRANGE or (code == "AuthFailure" and "validate the provided access credentials" in said):
        return Disowned(f"{said}; {UNKNOWN_KEYS}")
    if code in PASSING:
        return Busy(said)
    if code in NO_CAPACITY:
        return Rejected(said)
    if status == _NOT_IMPLEMENTED:
        return Rejected(f"{said}; this call is not simulated here")
    if status >= _SERVER_ERROR:
        return Unanswered(f"the service failed (HTTP {status}): {said}")
    if code in DENIED:
        return Rejected(f"{said}; allow it to the role, `drills plan` lists all permissions needed")
    return Missing(said) if any(part in code for part in ABSENT) else Rejected(said)


def _unanswered(error: BotoCoreError, *, writes: bool) -> WorkError:
    from botocore import exceptions as boto

    never_sent = (boto.ConnectTimeoutError, boto.EndpointConnectionError, boto.ProxyConnectionError)
    if isinstance(error, never_sent):
        return Busy(f"no connection, nothing was sent: {error}")
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Rejected(f"{error}; nothing was sent")
    if isinstance(error, boto.HTTPClientError | boto.ResponseStreamingError | boto.IncompleteReadError):
        return Unanswered(str(error))
    credentials = (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.ProfileNotFound,
        boto.TokenRetrievalError,
        boto.SSOError,
        boto.NoAuthTokenError,
    )
    if isinstance(error, credentials):
        return Disowned(f"{error}; {LOG_IN}")
    # What is left botocore finds out before it sends: parameters, unknown services, configuration.
    return Rejected(f"not sent: {error}") if not writes or _before_sending(error) else Unanswered(str(error))


def _before_sending(error: BotoCoreError) -> bool:
    from botocore import exceptions as boto

    return isinstance(
        error,
        boto.ParamValidationError
        | boto.ValidationError
        | boto.DataNotFoundError
        | boto.UnknownRegionError
        | boto.NoRegionError
        | boto.EndpointProviderError
        | boto.UnsupportedSignatureVersionError
        | boto.MissingParametersError,
    )
