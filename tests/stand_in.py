"""A real server in front of moto: it answers what moto cannot, refuses or falls silent when told, and logs calls."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from aws_world import World, moto_server

from drills.aws.readonly import READ_VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

Answer = tuple[int, bytes, str]
Form = dict[str, list[str]]
_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")
_DROPPED = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"}


def answer_json(status: int = 200, **body: Any) -> Answer:
    return status, json.dumps(body).encode(), "application/x-amz-json-1.1"


def refused_json(code: str, message: str = "no") -> Answer:
    return answer_json(400, __type=code, message=message)


def answer_query(operation: str, inside: str) -> Answer:
    body = f"<{operation}Response><{operation}Result>{inside}</{operation}Result></{operation}Response>"
    return 200, body.encode(), "text/xml"


def refused_query(code: str, status: int = 403) -> Answer:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return status, body.encode(), "text/xml"


def always(answer: Answer) -> Callable[[Form, str], Answer]:
    """Answer the same, whatever is asked."""

    def reply(form: Form, body: str) -> Answer:
        _ = form, body
        return answer

    return reply


class StandIn:
    """``answers``: operation -> what it answers. ``broken``: operations that fail, each with one way to fail."""

    def __init__(self, moto: str) -> None:
        self.moto = moto
        self.answers: dict[str, Callable[[dict[str, list[str]], str], Answer]] = {}
        self.broken: dict[str, str] = {}
        self.calls: list[str] = []
        self.over = threading.Event()

    def reset(self) -> None:
        self.answers.clear()
        self.broken.clear()
        self.calls.clear()

    def writes(self) -> list[str]:
        return [one for one in self.calls if not READ_VERBS.match(one) and not one.startswith("GET ")]


@contextmanager
def stand_in() -> Generator[tuple[StandIn, World]]:
    """Run moto with a stand-in before it; gives it, and a world whose sessions go through it."""
    with moto_server() as moto:
        state = StandIn(moto)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state, World(f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            state.over.set()
            server.shutdown()
            server.server_close()
            thread.join(5)


def _handler(state: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the library calls it
            """Say nothing."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            name, form = self._operation(body)
            state.calls.append(name)
            way = state.broken.get(name) or state.broken.get("*")
            if way == "silent":
                state.over.wait(20)
            if way in ("reset", "silent"):
                self.close_connection = True
                return
            if way:
                self._send(*_failure(way, json_=not form))
            elif name in state.answers:
                self._send(*state.answers[name](form, body.decode("utf-8", "replace")))
            else:
                self._send(*self._forward(body))

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - as the library calls them

        def _operation(self, body: bytes) -> tuple[str, dict[str, list[str]]]:
            target = self.headers.get("X-Amz-Target", "")
            if target:
                return target.rpartition(".")[2], {}
            if "/operation/" in self.path:
                return self.path.rpartition("/")[2], {}
            form = parse_qs(body.decode("utf-8", "replace")) if b"Action=" in body else {}
            return (form["Action"][0], form) if form else (f"{self.command} {self.path.partition('?')[0]}", {})

        def _forward(self, body: bytes) -> Answer:
            headers = {key: value for key, value in self.headers.items() if key.lower() not in _DROPPED}
            request = urllib.request.Request(
                f"{state.moto}{self.path}", data=body or None, headers=headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request, timeout=15) as found:
                    return found.status, found.read(), found.headers.get("Content-Type", "")
            except urllib.error.HTTPError as error:
                return error.code, error.read(), error.headers.get("Content-Type", "")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if "cbor" in kind:
                self.send_header("smithy-protocol", "rpc-v2-cbor")
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _failure(way: str, *, json_: bool) -> Answer:
    if way == "denied":
        return refused_json("AccessDeniedException") if json_ else refused_query("AccessDenied")
    if way == "broken":
        return 503, b"<html>no</html>", "text/html"
    if way == "torn":
        return 200, b'{"half": ', "application/x-amz-json-1.1"
    return (200, b"{}", "application/x-amz-json-1.1") if json_ else (200, b"<a></a>", "text/xml")  # empty
