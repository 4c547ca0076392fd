"""A real HTTP server that answers boto3 as AWS would, for what moto does not know, and whose clock can be wrong."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from drills.clock import NS, SystemClock

if TYPE_CHECKING:
    from collections.abc import Generator

CLOCK = SystemClock()
NONE: dict[str, str] = {}


@dataclass
class Answers:
    """What is answered: JSON by a part of the path, or headers alone; ``skew_s`` is how far its clock is ahead."""

    bodies: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    skew_s: float = 0.0
    dated: bool = True
    asked: list[str] = field(default_factory=list[str])
    address: str = ""

    def now_ns(self) -> int:
        """Read the server's clock."""
        return CLOCK.now().utc_ns + round(self.skew_s * NS)


@contextmanager
def answering(answers: Answers) -> Generator[Answers]:
    """Serve ``answers`` on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answers.asked.append(self.path)
            found = next((body for part, body in answers.bodies.items() if part in self.path), None)
            headers: dict[str, str] = next((one for part, one in answers.headers.items() if part in self.path), NONE)
            known = found is not None or bool(headers)
            text = found if isinstance(found, str) else json.dumps(found or {})
            body = text.encode() if self.command != "HEAD" else b""
            self.send_response_only(200 if known else 404)
            if answers.dated:
                self.send_header("Date", formatdate(answers.now_ns() // NS, usegmt=True))
            self.send_header("Content-Type", "text/xml" if isinstance(found, str) else "application/json")
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_HEAD = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server names it
            """Say nothing: the test looks at ``asked``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    answers.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
