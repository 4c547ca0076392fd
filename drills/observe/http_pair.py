"""Markers behind any two HTTP addresses: POST or PUT to the one; GET the list, or each by its id, from the other.

A marker goes out as JSON: ``{"id", "drill", "store", "writer", "seq", "primary", "sent_ns"}``. ``{id}`` in an address
stands for the id. A list is JSON: an array, or an object with ``items`` and perhaps ``next``, the address of the next
page; its items are ids, or objects with an ``id``. No redirect is followed and nothing is sent twice.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import quote, urljoin, urlsplit

from drills.errors import Refused, Rejected, Unanswered
from drills.observe.ledger import Answer, Found, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse, PoolManager

    from drills.aws.sessions import Accounts
    from drills.observe.ledger import Ask, Row, Spot
    from drills.timeline.samples import Marker

ID: Final = "{id}"
CONNECT_S, READ_S = 5.0, 10.0
_MOST_PAGES = 20_000
_MOST_BYTES = 64 * 1024 * 1024
_READERS = 8
_OK, _MULTIPLE, _CLIENT, _SERVER = 200, 300, 400, 500
_TIMED_OUT = 408
_GONE: Final = (404, 410)


def identity(url: str) -> str:
    """Name who answers at an address, when no header does."""
    return f"http/{urlsplit(without_secrets(url)).netloc}"


def writer(spot: Spot, timeout_s: float, lanes: int) -> HttpWriter:
    """Open the address that is written."""
    return HttpWriter(spot, timeout_s, _pool(timeout_s, timeout_s, lanes))


def reader(spot: Spot, accounts: Accounts) -> HttpReader:
    """Open the survivor's address."""
    del accounts
    return HttpReader(spot, _pool(CONNECT_S, READ_S, _READERS))


def _pool(connect_s: float, read_s: float, most: int) -> PoolManager:
    import urllib3

    patience = urllib3.Timeout(connect=connect_s, read=read_s)
    return urllib3.PoolManager(num_pools=4, maxsize=most, timeout=patience, retries=False)


def _headers(spot: Spot) -> dict[str, str]:
    return {"Accept": "application/json", **{one.name: one.value for one in spot.options.headers}}


class HttpWriter:
    """The address that is written; its connections serve all lanes."""

    def __init__(self, spot: Spot, timeout_s: float, pool: PoolManager) -> None:
        self.shown = without_secrets(spot.address)
        self._url = spot.address
        self._method = spot.options.method or ("PUT" if ID in spot.address else "POST")
        self._headers = _headers(spot) | {"Content-Type": "application/json"}
        self._served_by = spot.options.served_by
        self._primary = identity(spot.address)
        self._timeout_s = timeout_s
        self._pool = pool

    def prepare(self) -> None:
        """See that somebody listens there; whether it takes markers only a marker can tell. ``Refused`` when not."""
        import socket

        parts = urlsplit(self._url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), self._timeout_s).close()
        except (OSError, ValueError) as error:
            raise Refused(f"markers cannot be written to {self.shown}: {error}") from error

    def lane(self) -> HttpWriter:
        """Give itself: the pool is made for many threads."""
        return self

    def write(self, row: Row) -> Answer:
        """Send one request; 2xx is an ack, 4xx a refusal, and after silence or 5xx nobody knows."""
        import urllib3.exceptions as broken

        body = {
            "id": row.id,
            "drill": row.drill,
            "store": row.store,
            "writer": row.writer,
            "seq": row.seq,
            "primary": self._primary,
            "sent_ns": row.sent,
        }
        url = self._url.replace(ID, quote(row.id, safe="~"))
        try:
            answer = self._pool.request(self._method, url, body=json.dumps(body), headers=self._headers, redirect=False)
        except (broken.NewConnectionError, broken.ConnectTimeoutError, broken.NameResolutionError) as error:
            return Answer(acked=False, why=f"cannot connect: {error}")
        except broken.HTTPError as error:
            return Answer(None, why=f"no answer: {error}")
        status = answer.status
        if _OK <= status < _MULTIPLE:
            return Answer(acked=True, primary=self._named(answer))
        surely_not = status < _SERVER and status != _TIMED_OUT
        return Answer(False if surely_not else None, why=f"{self.shown} answered HTTP {status}")

    def _named(self, answer: BaseHTTPResponse) -> str:
        """Say who executed it: what the answer names, in front of the address it was asked at."""
        name = answer.headers.get(self._served_by, "") if self._served_by else ""
        return f"{self._primary}/{name}" if name else self._primary

    def close(self) -> None:
        """Leave the connections to the other lanes."""


class HttpReader:
    """The survivor's address. It knows no identity of its own, so a row's executor is the one that acked it."""

    consumes: ClassVar[bool] = False

    def __init__(self, spot: Spot, pool: PoolManager) -> None:
        self.server = identity(spot.address)
        self._url = spot.address
        self._headers = _headers(spot)
        self._pool = pool

    def batches(self, ask: Ask) -> Iterator[list[Found]]:
        """Read the list page by page, or ask for every marker that was ever sent."""
        executors = {(one.writer, one.seq): one.primary for one in ask.known}
        if ID in self._url:
            yield from self._each(ask)
            return
        url = self._url
        for _ in range(_MOST_PAGES):
            status, body = self._get(url)
            if not _OK <= status < _MULTIPLE:
                raise Rejected(f"{without_secrets(url)} answered HTTP {status} to the question for the list")
            identifiers, following = _page(body, url)
            keys = [key for key in map(ask.key, identifiers) if key is not None]
            yield [Found(*key, executors.get(key, "")) for key in keys]
            if not following:
                return
            url = urljoin(url, following)
            if urlsplit(url).netloc != urlsplit(self._url).netloc:
                raise Rejected(f"the next page lies at another host, {without_secrets(url)}: not asked")
        raise Unanswered(f"more than {_MOST_PAGES} pages of markers")

    def _each(self, ask: Ask) -> Iterator[list[Found]]:
        with ThreadPoolExecutor(_READERS, thread_name_prefix="markers") as threads:
            for first in range(0, len(ask.known), _A_BATCH):
                some = ask.known[first : first + _A_BATCH]
                there = threads.map(partial(self._there, ask), some)
                yield [Found(one.writer, one.seq, one.primary) for one, found in zip(some, there, strict=True) if found]

    def _there(self, ask: Ask, marker: Marker) -> bool:
        status, _ = self._get(self._url.replace(ID, quote(ask.id(marker), safe="~")))
        if _OK <= status < _MULTIPLE:
            return True
        if status in _GONE:
            return False
        if _CLIENT <= status < _SERVER:
            raise Rejected(f"{without_secrets(self._url)} answered HTTP {status}")
        raise Unanswered(f"{without_secrets(self._url)} answered HTTP {status}")

    def _get(self, url: str) -> tuple[int, bytes]:
        import urllib3.exceptions as broken

        try:
            answer = self._pool.request("GET", url, headers=self._headers, redirect=False, preload_content=False)
            try:
                body = answer.read(_MOST_BYTES + 1)
            finally:
                answer.release_conn()
        except broken.HTTPError as error:
            raise Unanswered(f"{without_secrets(url)} gave no answer: {error}") from error
        if len(body) > _MOST_BYTES:
            raise Rejected(f"{without_secrets(url)} answered more than {_MOST_BYTES} bytes; let it give pages")
        return answer.status, body

    def close(self) -> None:
        """Drop the connections."""
        self._pool.clear()


_A_BATCH = 200


def _page(body: bytes, url: str) -> tuple[list[str], str]:
    """Read one page: ids, and the address of the next page, empty at the end; ``Rejected`` when it is no list."""
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = None
    following = ""
    if isinstance(told, dict):
        page = cast("dict[str, Any]", told)
        following = str(page.get("next") or "")
        told = page.get("items")
    if not isinstance(told, list):
        raise Rejected(f"{without_secrets(url)} answered no list: an array, or an object with 'items', is wanted")
    return [_named(one) for one in cast("list[Any]", told)], following


def _named(item: Any) -> str:
    """Give the id of one item of a list."""
    return str(cast("dict[str, Any]", item).get("id", "")) if isinstance(item, dict) else str(item)
