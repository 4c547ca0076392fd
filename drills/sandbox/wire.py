"""The AWS wire: whose call is it, to which operation, with which parameters; and answers in its protocol.

moto's own parsers, routers and serialisers do the work, so that an extension operation speaks every protocol
and every SDK. Nothing else in the sandbox touches HTTP bodies.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moto.core.model import OperationModel
    from moto.core.request import Request

ACCOUNT = re.compile(r"\d{12}")
"""An access key id that is an account number stands for that account: the keys this sandbox hands out."""

SECRET = "sandbox"  # noqa: S105 - a signature is never checked; this opens nothing
"""The secret key the sandbox hands out with each account."""

READS = re.compile(r"(Describe|Get|List|Head|BatchGet|Query|Scan|Search|Lookup|Select|Simulate)")
"""What an operation's name begins with when it changes nothing; everything else counts as mutating."""

_CREDENTIAL = re.compile(r"Credential=([^/,&\s]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
_SERVICE_OF_SCOPE = {
    "monitoring": "cloudwatch",
    "email": "sesv2",
    "states": "stepfunctions",
    "elasticfilesystem": "efs",
    "elasticmapreduce": "emr",
    "es": "opensearch",
    "tagging": "resourcegroupstaggingapi",
    "cloudformation": "cloudformation",
    "ssmmessages": "ssm",
    "airflow": "mwaa",
    "kafka": "kafka",
    "aps": "amp",
}
"""Signing names that differ from botocore's service name (all others are equal)."""
_LOAD_BALANCER_V2 = "2015-12-01"


class ApiError(Exception):
    """An AWS error answer: a code, a sentence and an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Unsigned(Exception):
    """The request carries no SigV4 credential scope."""


class Reply(msgspec.Struct, frozen=True):
    """One HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    hang_up: bool = False
    """Close the connection without an answer, as a lost region does."""

    def header(self, name: str) -> str:
        """Give the first header of that name (any case), or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class Call(msgspec.Struct, frozen=True):
    """One AWS API call as it arrived, taken apart."""

    account: str | None
    """The account of a handed-out key; None for a key that only moto's IAM knows (an assumed role)."""
    access_key: str
    region: str
    service: str
    operation: str
    request: Request
    model: OperationModel | None = None
    route: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def mutating(self) -> bool:
        """Whether the operation may change something, judged by its verb."""
        return READS.match(self.operation) is None

    def parameters(self) -> dict[str, Any]:
        """Parse the call's parameters, in botocore's names."""
        from moto.core.parse import PROTOCOL_PARSERS
        from moto.core.request import determine_request_protocol

        if self.model is None:
            return {}
        protocol = determine_request_protocol(self.model.service_model, self.request.content_type)
        parser = PROTOCOL_PARSERS[protocol](self.model)
        return parser.parse(
            {
                "method": self.request.method,
                "values": self.request.values,
                "headers": self.request.headers,
                "body": self.request.data,
                "url_path": self.request.path,
                "url_params": dict(self.route),
            }
        )

    def answer(self, result: object) -> Reply:
        """Write ``result`` (a mapping in botocore's names, or moto's own objects inside one)."""
        return self._serialise(result, status=None)

    def refuse(self, error: ApiError) -> Reply:
        """Write an error in the protocol of the call, so that the client raises its modelled exception."""
        if self.model is None:
            return self._refuse_unmodelled(error)
        return self._serialise(error, status=error.status)

    def _serialise(self, result: object, *, status: int | None) -> Reply:
        from moto.core.request import determine_request_protocol
        from moto.core.serialize import SerializationContext, XFormedAttributePicker, get_serializer_class

        model = cast("Any", self.model)
        protocol = determine_request_protocol(model.service_model, self.request.content_type)
        request_id = str(uuid.uuid4())
        serializer = get_serializer_class(model.service_model.service_name, protocol)(
            operation_model=model, context=SerializationContext(request_id), value_picker=XFormedAttributePicker()
        )
        answer = cast("dict[str, Any]", serializer.serialize(result))
        body = answer["body"]
        headers = [(name, str(value)) for name, value in answer["headers"].items()]
        headers.append(("x-amzn-RequestId", request_id))
        return Reply(
            status or int(answer["status_code"]),
            tuple(headers),
            body if isinstance(body, bytes) else str(body).encode(),
        )

    def _refuse_unmodelled(self, error: ApiError) -> Reply:
        import json
        from xml.sax.saxutils import escape

        content = self.request.content_type or ""
        if content.startswith("application/x-www-form-urlencoded") or self.service in {"s3", "route53", "cloudfront"}:
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(error.code)}</Code>"
                f"<Message>{escape(error.message)}</Message></Error></ErrorResponse>"
            )
            return Reply(error.status, (("Content-Type", "text/xml"),), text.encode())
        text = json.dumps({"__type": error.code, "message": error.message})
        headers = (("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", error.code))
        return Reply(error.status, headers, text.encode())


def identify(request: Request) -> Call:
    """Take a request apart: account and region from its SigV4 scope, operation by moto's routers.

    Raises ``Unsigned`` when there is no scope. An operation botocore does not know is called by its ``Action``,
    its target or its method and path.
    """
    found = _CREDENTIAL.search(request.headers.get("Authorization", "")) or _CREDENTIAL.search(
        f"Credential={request.args.get('X-Amz-Credential', '')}"
    )
    if found is None:
        raise Unsigned
    access_key, _, region, scope = found.groups()
    service = _service(scope, request)
    model, route = _operation(service, request)
    return Call(
        account=access_key if ACCOUNT.fullmatch(access_key) else None,
        access_key=access_key,
        region=region,
        service=service,
        operation=str(model.name) if model is not None else _raw_name(request),
        request=request,
        model=model,
        route=route,
    )


def _service(scope: str, request: Request) -> str:
    if scope == "elasticloadbalancing":
        return "elbv2" if request.values.get("Version", "") == _LOAD_BALANCER_V2 else "elb"
    if scope == "dynamodb" and request.headers.get("X-Amz-Target", "").startswith("DynamoDBStreams"):
        return "dynamodbstreams"
    return _SERVICE_OF_SCOPE.get(scope, scope)


def _operation(service: str, request: Request) -> tuple[OperationModel | None, Mapping[str, Any]]:
    from botocore.exceptions import BotoCoreError
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import HTTPException

    try:
        return get_service_router(service).match(request)
    except (BotoCoreError, HTTPException, NotImplementedError):
        return None, {}


def _raw_name(request: Request) -> str:
    action = request.values.get("Action", "") or request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    return str(action or f"{request.method} {request.path}")


def reply_of(chunks: Iterable[bytes], status: str, headers: Iterable[tuple[str, str]]) -> Reply:
    """Make a reply of what a WSGI application answered."""
    return Reply(int(status.split(" ", 1)[0]), tuple(headers), b"".join(chunks))
