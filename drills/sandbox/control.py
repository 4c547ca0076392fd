"""The sandbox's own endpoint, ``/_drills/``: faults on the wire, losing a site from outside, and what happened.

| request | does |
|---|---|
| ``GET status`` | sites as they are, processes |
| ``GET effects`` | everything that really happened, with times |
| ``GET faults`` · ``POST faults`` · ``DELETE faults/ID`` · ``DELETE faults`` | API fault rules: see, add, remove |
| ``POST lose`` ``{"site", "how"}`` | the site is gone (kill or blackhole) |
| ``POST heal`` ``{"site"}`` | it comes back, unless its network ACLs cut it off as well |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drills.sandbox.faults import FaultRule, FaultTable
from drills.sandbox.state import Outage
from drills.sandbox.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drills.sandbox.state import Site, World


class BadRequest(Exception):
    """The control endpoint was asked for something that is not there."""


@dataclass(frozen=True, slots=True)
class LoseOrder:
    """Which site is to go, and how."""

    site: str
    how: Outage | None = None


@dataclass(slots=True)
class Control:
    """Answers requests under ``/_drills/``."""

    world: World
    faults: FaultTable
    processes: Callable[[], Mapping[str, int]]

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        """Answer one request with JSON."""
        import msgspec

        head, _, rest = path.partition("/")
        try:
            return _json(200, self._do(method, head, rest, body))
        except (BadRequest, ValueError, msgspec.MsgspecError) as error:
            return _json(400, {"error": str(error)})

    def _do(self, method: str, head: str, rest: str, body: bytes) -> Any:
        import msgspec

        match method, head:
            case "GET", "status":
                return self._status()
            case "GET", "effects":
                return self.world.effects.all()
            case "GET", "faults":
                return self.faults.rules()
            case "POST", "faults":
                self.faults.set(msgspec.json.decode(body, type=FaultRule))
                return self.faults.rules()
            case "DELETE", "faults":
                return {"cleared": self.faults.clear(rest)}
            case "POST", "lose":
                order = msgspec.json.decode(body, type=LoseOrder)
                return self._impose(order.site, order.how or self.world.outage)
            case "POST", "heal":
                return self._impose(msgspec.json.decode(body, type=LoseOrder).site, None)
            case _:
                raise BadRequest(f"no {method} {head} here; see drills/sandbox/control.py for what there is")

    def _impose(self, name: str, how: Outage | None) -> Any:
        site = self.world.sites.get(name)
        if site is None:
            raise BadRequest(f"no site {name!r}; there are {', '.join(self.world.sites)}")
        with self.world.cloud.lock:
            site.imposed = how
        self.world.effects.add(name, "ordered", how.value if how else "heal")
        self.world.wake.set()
        return _told(site)

    def _status(self) -> Any:
        with self.world.cloud.lock:
            sites = {site.name: _told(site) for site in self.world.sites.values()}
        return {"sites": sites, "processes": dict(self.processes()), "trouble": self.world.trouble}


def _told(site: Site) -> dict[str, object]:
    return {
        "lost": site.lost.value if site.lost else None,
        "ordered": site.imposed.value if site.imposed else None,
        "fenced": site.fenced,
        "db": site.db.id if site.db else None,
        "work": site.work.value,
        "listening": sorted(site.seen.listening),
        "reachable": site.seen.reachable,
        "writer": site.seen.writer,
        "streaming": site.seen.streaming,
        "lag_s": site.seen.lag_s,
    }


def _json(status: int, value: Any) -> Reply:
    import msgspec

    return Reply(status, (("Content-Type", "application/json"),), msgspec.json.encode(value) + b"\n")
