"""The one door in front of moto.

In plain order: whose call, which operation · nobody's real credentials · fault rules · one lock · extension
operations · moto · a clean 501 for what is not simulated · audit · wake the reconcile loop.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from msgspec import structs

from drills.sandbox.faults import FaultKind
from drills.sandbox.lines import Lines
from drills.sandbox.operations import Visit, not_simulated, table
from drills.sandbox.wire import ApiError, Call, Reply, Unsigned, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from drills.clock import Clock
    from drills.sandbox.faults import FaultRule, FaultTable
    from drills.sandbox.state import World

_log = logging.getLogger(__name__)
_MOST_BODY = 64 * 1024 * 1024
_HTTP_NOT_FOUND = 404
_HTTP_OK = 200
_OWN_PATHS = "/_drills/"
_WRONG_REGION = ApiError("SignatureDoesNotMatch", "Credential should be scoped to a valid region.", 403)


class Audit:
    """Every call that came through the door, as lines of JSON."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._file = Lines(path)

    def add(self, call: Call, account: str, status: int, fault: str = "") -> None:
        """Append one call; ``fault`` is the id of the rule that struck it, or nothing."""
        self._file.add(
            {
                "time": self._clock.now().iso(),
                "account": account,
                "key": call.access_key,
                "region": call.region,
                "service": call.service,
                "operation": call.operation,
                "status": status,
                "mutating": call.mutating,
                "fault": fault,
            }
        )


@dataclass(slots=True)
class Gateway:
    """A WSGI application: AWS calls, and the sandbox's own control endpoint under ``/_drills/``."""

    world: World
    faults: FaultTable
    audit: Audit
    control: Callable[[str, str, bytes], Reply]
    settled: Callable[[Call], None]
    """Called with moto's lock held after a changing call, before its answer leaves: writes reality back."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        body = _body(environ)
        path = str(environ.get("PATH_INFO", ""))
        if path.startswith(_OWN_PATHS):
            reply = self.control(str(environ["REQUEST_METHOD"]), path.removeprefix(_OWN_PATHS), body)
        elif path.startswith("/moto-api"):
            reply = Reply(403, (("Content-Type", "text/plain"),), b"the sandbox owns moto: its own API is closed\n")
        else:
            reply = self._aws(environ, body)
            self.world.wake.set()
        if reply.hang_up:
            _hang_up(environ)
        start_response(f"{reply.status} {'OK' if reply.status == _HTTP_OK else 'drills'}", list(reply.headers))
        return [reply.body]

    def _aws(self, environ: WSGIEnvironment, body: bytes) -> Reply:
        from moto.moto_server.werkzeug_app import BackendRequest

        request = BackendRequest({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        try:
            call = identify(request)
        except Unsigned:
            return Reply(
                403, (("Content-Type", "text/plain"),), b"MissingAuthenticationToken: the call is not signed\n"
            )
        account = self._account(call)
        if account is None or call.region not in regions():
            reply = call.refuse(self._stranger(call) if account is None else _WRONG_REGION)
            self.audit.add(call, account or "", reply.status)
            return reply
        call = structs.replace(call, account=account)
        rule = self.faults.pick(call)
        reply = self._strike(call, rule) or self._answer(call, account, environ, body)
        if rule is not None and rule.kind is FaultKind.LOST_ANSWER:
            reply = structs.replace(reply, hang_up=True)
        self.audit.add(call, account, reply.status, rule.id if rule else "")
        return reply

    def _strike(self, call: Call, rule: FaultRule | None) -> Reply | None:
        """Do what a rule does before the call is carried out; no lock is held while it waits."""
        if rule is None:
            return None
        if rule.latency_s:
            self.world.clock.sleep(rule.latency_s)
        if rule.kind is FaultKind.OUTAGE:
            return Reply(0, (), b"", hang_up=True)
        if rule.kind in {FaultKind.THROTTLE, FaultKind.ERROR}:
            return call.refuse(rule.error())
        return None

    def _answer(self, call: Call, account: str, environ: WSGIEnvironment, body: bytes) -> Reply:
        world = self.world
        try:
            with world.cloud.lock:
                visit = Visit(call, account, world, lambda: self._moto(call, environ, body, account))
                operation = table().get((call.service, call.operation))
                reply = operation(visit) if operation else visit.forward()
                if call.mutating:
                    self.settled(call)
                return reply
        except ApiError as error:
            return call.refuse(error)
        except Exception:  # noqa: BLE001 - whatever broke, the caller gets an AWS error and the log the traceback
            _log.exception("%s:%s failed inside the sandbox", call.service, call.operation)
            return call.refuse(ApiError("InternalFailure", "the sandbox failed; see world.log in its folder", 500))

    def _account(self, call: Call) -> str | None:
        """Give the account of a key this sandbox handed out; None for anybody else's."""
        if call.account:
            return call.account if call.account in self.world.accounts else None
        with self.world.cloud.lock:
            return self.world.cloud.account_of(call.access_key)

    def _stranger(self, call: Call) -> ApiError:
        code = "InvalidClientTokenId" if call.service in {"sts", "iam", "rds"} else "UnrecognizedClientException"
        known = ", ".join(self.world.accounts)
        told = f"this is a drills sandbox: it takes only its own keys (accounts {known}), never real ones"
        return ApiError(code, told, 403)

    def _moto(self, call: Call, environ: WSGIEnvironment, body: bytes, account: str) -> Reply:
        """Let moto answer; whatever it says when it has no such operation becomes one clean error."""
        try:
            reply = self.world.cloud.forward(environ, body, account)
        except NotImplementedError as error:
            _log.info("moto cannot answer %s:%s: %r", call.service, call.operation, error)
            raise not_simulated(call) from error
        # S3 answers a bare 404 to HEAD; elsewhere a page in HTML, or none, is moto saying that it has no such route.
        page = reply.header("Content-Type").startswith("text/html") and reply.status >= _HTTP_NOT_FOUND
        blank = reply.status == _HTTP_NOT_FOUND and (not reply.body or b"Not yet implemented" in reply.body)
        if (page or blank) and call.service != "s3":
            raise not_simulated(call)
        return reply


@cache
def regions() -> frozenset[str]:
    """Give the regions of AWS's main partition, and its name for services without a region."""
    import boto3

    session: Any = boto3.Session()
    return frozenset(session.get_available_regions("ec2")) | {"aws-global"}


def _body(environ: WSGIEnvironment) -> bytes:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        return stream.read(_MOST_BODY)
    return stream.read(min(int(environ.get("CONTENT_LENGTH") or 0), _MOST_BODY))


def _hang_up(environ: WSGIEnvironment) -> None:
    """Close the connection under the answer: the caller sees a reset, as when an endpoint is gone."""
    import contextlib
    import socket

    connection = cast("socket.socket | None", environ.get("werkzeug.socket"))
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
