"""A storm in front of AWS: calls that are refused, lost, answered too late or only in part, by chance and by seed.

A hook on botocore's own ``before-send``: the client above it, its retries and its parsers are the real ones. Half of
the faults come before the call took effect and half after, for that is what nobody can tell apart afterwards.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class Weather(StrEnum):
    """What may happen to a call."""

    THROTTLED = "throttled"
    FAILED = "5xx before the effect"
    LOST = "timeout before the effect"
    REFUSED = "connection reset before the effect"
    UNREACHABLE = "endpoint gone"
    EXPIRED = "expired token"
    UNHEARD = "timeout after the effect"
    CUT = "connection reset after the effect"
    BROKEN = "5xx after the effect"
    TRUNCATED = "answer truncated after the effect"


ALL: Final = tuple(Weather)
GONE_FOR: Final = 4
"""An endpoint that is gone stays gone for so many calls to it."""

_SAYS: Final = {
    Weather.THROTTLED: (400, "Throttling", "Rate exceeded"),
    Weather.EXPIRED: (400, "ExpiredToken", "The security token included in the request is expired"),
    Weather.FAILED: (503, "ServiceUnavailable", "Service is unavailable"),
    Weather.BROKEN: (500, "InternalFailure", "An internal error has occurred"),
}


class Storm:
    """Decides for each call what happens to it. ``rate`` 0..1; the same seed and calls give the same weather.

    ``told`` counts what happened. Safe to use from many threads, though their order is then no longer the seed's.
    """

    def __init__(self, rate: float, seed: int, kinds: tuple[Weather, ...] = ALL) -> None:
        self.rate = rate
        self.kinds = kinds
        self.told: Counter[Weather] = Counter()
        self._chance = random.Random(seed)  # noqa: S311 - weather, no secrets
        self._gone: Counter[str] = Counter()
        self._lock = threading.Lock()

    def seed(self, seed: int) -> None:
        """Begin another weather; no endpoint is gone."""
        with self._lock:
            self._chance.seed(seed)
            self._gone.clear()

    def over(self, client: Any) -> None:
        """Put a client under the weather."""

        def before_send(request: Any, event_name: str = "", **_: Any) -> Any:
            weather = self.draw(request.url.partition("?")[0])
            return None if weather is None else _happen(weather, client, request, event_name)

        client.meta.events.register_first("before-send", before_send)

    def draw(self, endpoint: str) -> Weather | None:
        """Choose what happens to the next call to ``endpoint``; None: nothing."""
        with self._lock:
            if self._gone[endpoint]:
                self._gone[endpoint] -= 1
                weather = Weather.UNREACHABLE
            elif self._chance.random() >= self.rate:
                return None
            else:
                weather = self._chance.choice(self.kinds)
                if weather is Weather.UNREACHABLE:
                    self._gone[endpoint] = self._chance.randrange(GONE_FOR)
            self.told[weather] += 1
            return weather


def _happen(weather: Weather, client: Any, request: Any, event_name: str) -> Any:
    """Give the answer that the client gets; raises what the transport would."""
    from botocore import exceptions as boto

    url = request.url
    match weather:
        case Weather.THROTTLED | Weather.EXPIRED | Weather.FAILED:
            return _answer(weather, client, url)
        case Weather.LOST:
            raise boto.ReadTimeoutError(endpoint_url=url)
        case Weather.REFUSED:
            raise boto.ConnectionClosedError(endpoint_url=url)
        case Weather.UNREACHABLE:
            raise boto.EndpointConnectionError(endpoint_url=url, error=f"the endpoint is gone ({event_name})")
        case _:
            return _after(weather, client, request)


def _after(weather: Weather, client: Any, request: Any) -> Any:
    """Send the call for real, and spoil its answer."""
    from botocore import exceptions as boto

    given = client._endpoint.http_session.send(request.prepare() if hasattr(request, "prepare") else request)  # noqa: SLF001 - the only way to send once and keep the answer
    if weather is Weather.UNHEARD:
        raise boto.ReadTimeoutError(endpoint_url=request.url)
    if weather is Weather.CUT or (weather is Weather.TRUNCATED and not given.content):
        raise boto.ConnectionClosedError(endpoint_url=request.url)
    if weather is Weather.BROKEN:
        return _answer(weather, client, request.url)
    return response(given.url, given.status_code, dict(given.headers), given.content[: len(given.content) // 2])


def _answer(weather: Weather, client: Any, url: str) -> Any:
    status, code, message = _SAYS[weather]
    service = client.meta.service_model
    kind, body = _BODIES.get(service.resolved_protocol, _xml)(code, message)
    return response(url, status, {"Content-Type": kind, "x-amzn-RequestId": "drills-storm"}, body)


def response(url: str, status: int, headers: Any, body: bytes) -> Any:
    """Make an answer as botocore's transport gives it."""
    from botocore.awsrequest import AWSResponse

    return AWSResponse(url, status, headers, _Body(body))


class _Body:
    """A body as urllib3 gives it: in pieces."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> list[bytes]:
        """Give all of it."""
        return [self._body]


def _xml(code: str, message: str) -> tuple[str, bytes]:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return "text/xml", f"<ErrorResponse>{error}<RequestId>drills-storm</RequestId></ErrorResponse>".encode()


def _ec2(code: str, message: str) -> tuple[str, bytes]:
    error = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    return "text/xml", f"<Response>{error}<RequestID>drills-storm</RequestID></Response>".encode()


def _json(code: str, message: str) -> tuple[str, bytes]:
    return "application/x-amz-json-1.1", f'{{"__type": "{code}", "message": "{message}"}}'.encode()


def _cbor(code: str, message: str) -> tuple[str, bytes]:
    words = b"".join(b"\x78" + bytes([len(word)]) + word.encode() for word in ("__type", code, "message", message))
    return "application/cbor", b"\xa2" + words


_BODIES: Final[dict[str, Callable[[str, str], tuple[str, bytes]]]] = {
    "ec2": _ec2,
    "query": _xml,
    "rest-xml": _xml,
    "json": _json,
    "rest-json": _json,
    "smithy-rpc-v2-cbor": _cbor,
}
