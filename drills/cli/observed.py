"""What ``drills observe --status`` tells: what is held of each environment, and whether it is observed now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from drills.clock import NS, SystemClock
from drills.durations import show
from drills.observe import keeping
from drills.report import paint

if TYPE_CHECKING:
    from pathlib import Path

    from drills.observe.held import Held

_STALE_S = 60.0


def tell(folders: list[Path], output: str) -> int:
    """Tell the rings in these folders, as ``text`` or ``json``; 0 when all are observed now, else 3."""
    from drills.observe.held import held

    facts: list[dict[str, Any]] = []
    for folder in folders:
        seen = keeping.keeper(folder)
        rings: list[dict[str, Any]] = []
        for file in keeping.rings_in(folder):
            try:
                rings.append(_ring(held(file)))
            except keeping.UNREADABLE as error:
                rings.append({"observer": file.stem, "trouble": str(error)})
        bytes_ = keeping.size(folder) if folder.is_dir() else 0
        fact = {"environment": folder.name, "pid": seen and seen.pid, "since": seen and seen.since, "bytes": bytes_}
        facts.append({**fact, "runbook": seen.runbook if seen else "", "rings": rings})
    if output == "json":
        from drills.report import json

        paint.put(sys.stdout, json.dumps({"environments": facts}))
    else:
        for fact in facts:
            _tell(fact)
        if not facts:
            paint.put(sys.stdout, "no environment was ever observed here; `drills observe ENVIRONMENT` begins\n")
    return 0 if facts and all(fact["pid"] for fact in facts) else 3


def _ring(one: Held) -> dict[str, Any]:
    now = SystemClock().now().utc_ns
    return {
        "observer": one.header.observer,
        "url": one.header.url,
        "every_s": one.header.every_ns / NS,
        "up": one.up,
        "for_s": None if one.since is None else (now - one.since) / NS,
        "detail": one.detail,
        "rows": one.rows,
        "unknown": one.unknown,
        "lives": one.lives,
        "held_s": None if one.oldest is None else (now - one.oldest) / NS,
        "newest_s": None if one.newest is None else (now - one.newest) / NS,
        "dropped": one.dropped,
        "notes": list(one.header.notes),
    }


def _tell(fact: dict[str, Any]) -> None:
    who = f"observed by process {fact['pid']} since {fact['since']}" if fact["pid"] else "NOT observed now"
    lines = [f"{fact['environment']}: {who}; {fact['bytes'] / 1e6:.1f} MB on disk"]
    for ring in fact["rings"]:
        if "trouble" in ring:
            lines.append(f"  {ring['observer']}: {ring['trouble']}")
            continue
        state = {True: "up", False: "DOWN", None: "not told"}[ring["up"]]
        if ring["for_s"] is not None and ring["newest_s"] is not None:
            then = f"; last looked {show(ring['newest_s'])} ago" if ring["newest_s"] > _STALE_S else ""
            state += f" for {show(ring['for_s'] - (ring['newest_s'] if then else 0))}{then}"
        told = f" ({ring['detail']})" if ring["detail"] and not ring["up"] else ""
        lines.append(f"  {ring['observer']}  {state}{told}  {ring['url']} each {show(ring['every_s'])}")
        gone = f", {ring['dropped']} older dropped" if ring["dropped"] else ""
        back = "nothing" if ring["held_s"] is None else f"{show(ring['held_s'])} back"
        unseen = f", {ring['unknown']} unknown" if ring["unknown"] else ""
        lives = f" in {ring['lives']} lives: what lies between is unknown" if ring["lives"] > 1 else ""
        lines.append(f"    holds {back}, {ring['rows']} requests{unseen}{gone}{lives}")
        lines += [f"    {note}" for note in ring["notes"]]
    paint.put(sys.stdout, "\n".join(lines) + "\n")
