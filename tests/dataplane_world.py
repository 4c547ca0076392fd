"""What the tests of the data plane share: a running one, and ways to ask it as a user would."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from drills.clock import SystemClock
from drills.sandbox.addresses import Endpoint
from drills.sandbox.dataplane import DataPlane, SiteShape

EAST = SiteShape("east", primary=True)
WEST = SiteShape("west", primary=False)


def eventually(true: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait until it is true; fail when it is not in time."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, f"not true within {within_s:g} s"
        SystemClock().sleep(0.005)


@contextmanager
def running(
    folder: Path, east: SiteShape = EAST, west: SiteShape = WEST, *, wan_delay_s: float = 0.0, ttl_s: int = 1
) -> Generator[DataPlane]:
    """Start a data plane and stop it; afterwards none of its processes may be left."""
    plane = DataPlane(folder, [east, west], wan_delay_s=wan_delay_s, ttl_s=ttl_s)
    pids: list[int] = []
    try:
        plane.start()
        pids = [each.pid for each in plane.processes()]
        yield plane
        pids += [each.pid for each in plane.processes()]
    finally:
        plane.stop()
    assert not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Reply:
    """What the application said."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.site = answer.headers["X-Drills-Site"]
        self.instance = answer.headers["X-Drills-Instance"]
        self.body = json.loads(answer.read())


def ask(at: Endpoint, path: str = "/healthz", *, post: str | None = None, timeout_s: float = 3.0) -> Reply:
    """Send one request on a connection of its own; ``OSError`` when nobody answers."""
    connection = http.client.HTTPConnection(at.host, at.port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request("GET" if post is None else "POST", path, body=post)
        return Reply(connection.getresponse())


def serving(plane: DataPlane, site: str, *instances: str) -> None:
    """Have these instances at a site and wait until they serve."""
    plane.set_instances(site, instances)
    eventually(lambda: plane.listening(site) == frozenset(instances))


def items(plane: DataPlane, site: str) -> set[str]:
    """Read the orders a site's database holds, past edge and fence."""
    with psycopg.connect(plane.addresses().sites[site].direct_dsn) as connection:
        return {str(item) for (item,) in connection.execute("SELECT item FROM orders").fetchall()}


def insert(plane: DataPlane, site: str, item: str) -> None:
    """Insert one order through the edge, on a connection of its own."""
    with psycopg.connect(plane.addresses().sites[site].dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO orders (item, quantity, site, instance) VALUES (%s, 1, %s, 'test')", (item, site)
        )


def data_of(pid: int) -> Path:
    """Read a postmaster's data folder from its command line."""
    words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    return Path(words[words.index("-D") + 1])


def postmaster(plane: DataPlane, site: str) -> int:
    """Number a site's PostgreSQL."""
    (found,) = (each.pid for each in plane.processes() if (each.role, each.site) == ("postgres", site))
    return found


def of_site(plane: DataPlane, site: str) -> set[int]:
    """Number the processes that belong to a site, links included."""
    return {each.pid for each in plane.processes() if site in each.site.split("~")}


def shared_memory_of(makers: Collection[int]) -> set[int]:
    """Number the System V segments that these processes made."""
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {int(line.split()[1]) for line in lines if int(line.split()[4]) in makers}
