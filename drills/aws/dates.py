"""Hears of every answer that a client gets, and keeps the Date it carried: what bounds a service's clock.

It stands on botocore's own events, so each attempt is stamped by itself: right before it is sent (after credentials
and signing), and once its answer is there. A retry inside botocore never widens it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from drills.clock import NS
from drills.timeline.dated import Dated

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from drills.aws.place import Place
    from drills.clock import Clock

MOST_KEPT: Final = 1000


class Clients(Protocol):
    """A session of one place, as work gets it."""

    @property
    def place(self) -> Place:
        """Account, region and endpoint."""
        ...

    def client(self, service: str) -> Any:
        """Give the cached boto3 client of ``service``."""
        ...

    def secret(self, reference: str) -> str:
        """Resolve a reference to a secret."""
        ...


class Listening:
    """A session like the one it stands for, whose clients' answers are heard. It makes no client of its own."""

    def __init__(self, aws: Clients, clock: Clock) -> None:
        self._aws = aws
        self._clock = clock
        self._sent = threading.local()
        self._clients: dict[int, Any] = {}
        self.answers: list[Dated] = []

    @property
    def place(self) -> Place:
        """The place of the session."""
        return self._aws.place

    def client(self, service: str) -> Any:
        """Give the session's client, heard from now on."""
        client = self._aws.client(service)
        if id(client) not in self._clients:
            self._clients[id(client)] = client
            client.meta.events.register("before-send", self._on_send)
            client.meta.events.register("response-received", self._on_answer)
        return client

    def secret(self, reference: str) -> str:
        """Resolve a reference as the session does."""
        return self._aws.secret(reference)

    def stop(self) -> None:
        """Hear no more."""
        for client in self._clients.values():
            client.meta.events.unregister("before-send", self._on_send)
            client.meta.events.unregister("response-received", self._on_answer)
        self._clients.clear()

    def _on_send(self, request: Any, **_: Any) -> None:
        self._sent.host = urlsplit(str(request.url)).netloc
        self._sent.at = self._clock.now().mono_ns

    def _on_answer(self, response_dict: Mapping[str, Any] | None, **_: Any) -> None:
        received = self._clock.now().mono_ns
        sent: int | None = getattr(self._sent, "at", None)
        self._sent.at = None
        date = _date(response_dict)
        if sent is not None and date is not None and len(self.answers) < MOST_KEPT:
            self.answers.append(Dated(self._sent.host, sent, received, date))


@contextmanager
def listening(aws: Clients, clock: Clock) -> Generator[Listening]:
    """Listen to a session's clients for as long as the block lasts."""
    heard = Listening(aws, clock)
    try:
        yield heard
    finally:
        heard.stop()


def _date(answer: Mapping[str, Any] | None) -> int | None:
    """Read the Date of an answer made for this request; None without one, or when it was kept in a cache."""
    headers: Mapping[str, str] = {} if answer is None else answer.get("headers", {})
    known = {name.lower(): value for name, value in headers.items()}
    if "age" in known:
        return None
    try:
        return round(parsedate_to_datetime(known["date"]).timestamp()) * NS
    except (KeyError, ValueError):
        return None
