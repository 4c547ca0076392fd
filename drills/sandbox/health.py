"""Route 53 health checks that really check: HTTP and TCP against addresses of this machine, nothing else."""

from __future__ import annotations

import http.client
import ipaddress
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.clock import NS
from drills.sandbox.state import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.sandbox.cloud import CheckView
    from drills.sandbox.state import World

_log = logging.getLogger(__name__)
_MOST_AT_ONCE = 16
_SEARCHED_BYTES = 5120
"""Route 53 looks for the search string in the first 5,120 bytes of the body."""
_NORMAL_INTERVAL_S = 30
_TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """One look at an endpoint."""

    good: bool
    detail: str


@dataclass(slots=True)
class _Course:
    next_ns: int = 0
    asking: bool = False
    healthy: bool = True
    streak: int = 0
    """How many findings in a row spoke against ``healthy``."""
    known: bool = False


class Checkers:
    """Asks every health check of the world at its interval and keeps its state."""

    def __init__(self, world: World, look_up: Callable[[str], str]) -> None:
        self._world = world
        self._look_up = look_up
        self._courses: dict[str, _Course] = {}
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="checker")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkers", daemon=True)

    def start(self) -> None:
        """Begin to check."""
        self._thread.start()

    def stop(self) -> None:
        """End; looks on their way are left to their timeout."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - a checker that breaks is logged and goes on
                _log.exception("a turn of the health checkers failed")

    def _turn(self) -> None:
        world = self._world
        with world.cloud.lock:
            checks = world.cloud.health_checks(world.accounts)
            for gone in world.health.keys() - {check.id for check in checks}:
                del world.health[gone]
                self._courses.pop(gone, None)
        now_ns = world.now_ns()
        for check in checks:
            course = self._courses.setdefault(check.id, _Course())
            if course.asking or now_ns < course.next_ns:
                continue
            course.asking = True
            course.next_ns = now_ns + int(self._interval_s(check) * NS)
            self._pool.submit(self._ask, check, course)

    def _interval_s(self, check: CheckView) -> float:
        return self._world.profile.health_check.interval_s * check.interval / _NORMAL_INTERVAL_S

    def _ask(self, check: CheckView, course: _Course) -> None:
        try:
            finding = self._children(check) if check.type == "CALCULATED" else self._look(check)
            self._learn(check, course, finding)
        except Exception:  # noqa: BLE001 - a checker that breaks is logged and goes on
            _log.exception("health check %s could not be made", check.id)
        finally:
            course.asking = False

    def _learn(self, check: CheckView, course: _Course, finding: Finding) -> None:
        """Change sides after ``failure_threshold`` findings in a row; the first finding decides at once."""
        limit = 1 if check.type == "CALCULATED" or not course.known else check.failure_threshold
        course.streak = 0 if finding.good == course.healthy else course.streak + 1
        if course.streak >= limit:
            course.healthy, course.streak = finding.good, 0
        course.known = True
        # A disabled check counts as healthy, an inverted one as the opposite of what was found.
        healthy = (check.disabled or course.healthy) != check.inverted
        world = self._world
        with world.cloud.lock:
            before = world.health.get(check.id)
            world.health[check.id] = Health(healthy, finding.detail, world.clock.now().utc_ns)
        if before is not None and before.healthy != healthy:
            world.effects.add("", "health", f"{check.id} {'healthy' if healthy else 'unhealthy'}: {finding.detail}")
        world.wake.set()

    def _children(self, check: CheckView) -> Finding:
        with self._world.cloud.lock:
            good = sum(1 for child in check.children if self._world.healthy(child))
        told = f"{good} of {len(check.children)} child health checks are healthy"
        return Finding(
            good >= check.healthy_children, f"{'Success' if good >= check.healthy_children else 'Failure'}: {told}"
        )

    def _look(self, check: CheckView) -> Finding:
        try:
            address = check.address or self._look_up(check.host)
            if not ipaddress.ip_address(address).is_loopback:
                return Finding(good=False, detail=f"Failure: {address} is not on this machine, and nothing leaves it")
            return look(check, address, self._world.profile.health_check.timeout_s)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return Finding(good=False, detail=f"Failure: {type(error).__name__}: {error}")


def look(check: CheckView, address: str, timeout_s: float) -> Finding:
    """Ask one endpoint once; ``OSError`` or ``HTTPException`` when it does not answer properly."""
    if check.type == "TCP":
        with socket.create_connection((address, check.port), timeout=timeout_s):
            return Finding(good=True, detail=f"Success: TCP connection to {address}:{check.port}")
    connection = http.client.HTTPConnection(address, check.port, timeout=timeout_s)
    try:
        connection.request(
            "GET", check.path, headers={"Host": check.host or address, "User-Agent": "Route 53 (drills)"}
        )
        response = connection.getresponse()
        body = response.read(_SEARCHED_BYTES)
    finally:
        connection.close()
    good = 200 <= response.status < 400  # noqa: PLR2004 - 2xx and 3xx are healthy for Route 53
    if good and check.type == "HTTP_STR_MATCH" and check.search.encode() not in body:
        return Finding(good=False, detail=f"Failure: HTTP Status Code {response.status}, but the string was not found")
    told = f"HTTP Status Code {response.status}, {response.reason}"
    return Finding(good, f"{'Success' if good else 'Failure'}: {told}")
