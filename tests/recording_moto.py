"""A moto server that keeps a log of every write that took place, by whom: a record no engine writes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

LOOKS = re.compile(r"^(?:Describe|Get|List|Head|BatchGet|Query|Scan|Lookup|Test)")
WHO = re.compile(r"Credential=([^/]+)/\d+/([a-z0-9-]+)/([a-z0-9-]+)/")
ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z0-9]+)")


@dataclass(frozen=True, slots=True)
class Write:
    """One call that may change something and was answered with success. ``by``: the access key that signed it."""

    by: str
    service: str
    operation: str
    sent: str


@dataclass(slots=True)
class Recording:
    """What took place, in order. ``endpoint``: where the server listens."""

    endpoint: str = ""
    writes: list[Write] = field(default_factory=list[Write])
    lock: threading.Lock = field(default_factory=threading.Lock)
    pause: Callable[[], None] = lambda: None
    """Waits before and after each call, as a network does."""

    def over(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """Put the record in front of a WSGI application. One call at a time: moto is not made for more."""

        def recorded(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            status: list[int] = []

            def started(line: str, *rest: Any) -> Any:
                status.append(int(line.split(maxsplit=1)[0]))
                return start(line, *rest)

            self.pause()
            with self.lock:
                answer = list(app(environ, started))
                write = _write(environ, body)
                if write is not None and status and status[-1] < 300:
                    self.writes.append(write)
            self.pause()
            return answer

        return recorded


def _write(environ: dict[str, Any], body: bytes) -> Write | None:
    who = WHO.search(environ.get("HTTP_AUTHORIZATION", ""))
    by, service = (who[1], who[3]) if who else ("", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    action = ACTION.search(body)
    path = environ.get("PATH_INFO", "")
    name = target or (action[1].decode() if action else "") or _in_path(path) or f"{environ['REQUEST_METHOD']} {path}"
    if LOOKS.match(name) or name.startswith(("GET ", "HEAD ")):
        return None
    return Write(by, service, name, f"{path} {body.decode('utf-8', 'replace')}")


def _in_path(path: str) -> str:
    """Give the operation of a call in the newer protocol: ``/service/NAME/operation/NAME``."""
    _, found, name = path.partition("/operation/")
    return name if found else ""


@contextmanager
def recording_moto() -> Generator[Recording]:
    """Run moto in a thread, on a free port of this machine, with a record of its writes."""
    from aws_world import prepare_fis
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    prepare_fis()
    recording = Recording()
    app: Any = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, recording.over(app), threaded=True)
    recording.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield recording
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
