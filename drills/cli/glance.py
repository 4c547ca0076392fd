"""Where the running drills stand, told without loading what the other doors need: this is asked every few seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drills.cli import folders
from drills.cli.fitting import say
from drills.durations import show
from drills.errors import JournalError, Unbegun, Unreadable
from drills.runtime.folder import home


def tell() -> None:
    """Print one line for each running drill; when none runs, one for the newest."""
    from drills.runtime import stops

    for told in stops.told_here():
        say(f"STOPPED: {told}; `drills stop --clear` lifts it")
    facts = newest()
    if not facts:
        say(f"there are no drills in {home()}")
    for fact in facts:
        say(line(fact))


def newest() -> list[dict[str, Any]]:
    """Give the facts of each running drill; when none runs, those of the newest."""
    drills = folders.every()
    running = [folder for folder in drills if folders.driven(folder)]
    return [standing_of(folder) for folder in running] if running else [_resting(folder) for folder in drills[:1]]


def _resting(folder: Path) -> dict[str, Any]:
    """Read a drill nobody drives: when it is over, its first and its last event say all that is asked."""
    try:
        ends = folders.ends(folder)
        if ends is None or not ends.over:
            return standing_of(folder)
        first, last = json.loads(ends.first), json.loads(ends.last)
        plan = json.loads(first["body"]["plan"])
        return {
            "drill": folder.resolve().name,
            "runbook": plan["runbook"],
            "mode": plan["mode"],
            "status": last["body"]["status"],
            "exit_code": last["body"]["exit_code"],
            "phase": "over",
            "holds": None,
            "running": [],
            "asks": [],
            "waits_for_credentials": [],
            "elapsed_s": (last["at"]["utc_ns"] - first["at"]["utc_ns"]) / 1e9,
            "rto_so_far_s": None,
            "settling_since": None,
            "sandbox_ended": False,
            "unattended_s": None,
            "rto_target_s": next((one["target_s"] for one in plan["objectives"] if one["name"] == "rto"), None),
        }
    except (JournalError, ValueError, KeyError, TypeError):
        return standing_of(folder)


def standing_of(folder: Path) -> dict[str, Any]:
    """Give the facts of one drill; one without an event, or a damaged one, says so."""
    from drills.clock import SystemClock
    from drills.engine import decide
    from drills.report import standing

    try:
        drill = folders.read(folder)
    except Unbegun as error:
        why = "nothing was written yet" if folders.driven(folder) else str(error)
        return {"drill": folder.name, "status": "empty", "error": why}
    except JournalError as error:
        status = "unreadable" if isinstance(error, Unreadable) else "damaged"
        return {"drill": folder.name, "status": status, "error": str(error)}
    state = drill.state
    now = SystemClock().now() if drill.driven else state.finished_at or state.last
    assert now is not None  # noqa: S101 - a drill that could be read has an event
    objective, so_far = standing.recovery_objective(state), standing.so_far(state, now)
    ended = standing.sandbox_ended(state, driven=drill.driven)  # and whatever it kept with it, its locks too
    unattended = not drill.driven and state.finished is None and state.last is not None
    return {
        "drill": drill.name,
        "runbook": state.plan.runbook,
        "mode": state.plan.mode.value,
        "status": standing.status(state, driven=drill.driven),
        "exit_code": standing.exit_code(state),
        "phase": decide.phase(state).value,
        "holds": None if state.claim is None or ended else state.claim.lock,
        "running": [
            {"step": name, "elapsed_s": now.since(begun_at)}
            for name in standing.running_names(state)
            if (begun_at := state.progress[name].attempted) is not None
        ],
        "asks": [one.step.id for one in standing.asking(state)],
        "waits_for_credentials": [
            {"step": one.step.id, "place": one.step.place, "renew": one.renew} for one in standing.lacking(state)
        ],
        "elapsed_s": now.since(state.opened) if state.opened is not None else 0.0,
        "rto_so_far_s": so_far.passed_s if so_far is not None else None,
        "settling_since": so_far.settling.iso() if so_far is not None and so_far.settling is not None else None,
        "sandbox_ended": ended,
        "unattended_s": SystemClock().now().since(state.last) if unattended and state.last is not None else None,
        "rto_target_s": objective.target_s if objective is not None else None,
    }


def line(fact: dict[str, Any]) -> str:
    """Say those facts in one line."""
    if fact["status"] in ("empty", "damaged", "unreadable"):
        return f"{fact['drill']}  {fact['status'].upper()}: {fact['error']}"
    words = [f"{fact['drill']}  {fact['status']}"]
    if fact["phase"] not in ("over", fact["status"]):
        words[0] += f": {fact['phase']}"
    words.append(f"{show(fact['elapsed_s'])} in" if fact["phase"] != "over" else "over")
    words += [f"{one['step']} {show(one['elapsed_s'])}" for one in fact["running"]]
    if fact["status"] in ("incomplete", "parked") or fact["sandbox_ended"]:
        since = f"for {show(fact['unattended_s'])} " if fact["unattended_s"] is not None else ""
        ended = ", and its sandbox is gone; rehearse it again" if fact["sandbox_ended"] else ""
        judges = " judges what was seen" if ended else ""
        words.append(f"{since}nobody drives it{ended}: `drills resume {fact['drill']}`{judges}")
        words += [f"still holds {fact['holds']}"] if fact.get("holds") else []
    else:
        words += [f"`drills approve {name}`?" for name in fact["asks"]]
        words += [
            f"{one['step']} is waiting for credentials of {one['place']}: {one['renew']}"
            for one in fact["waits_for_credentials"]
        ]
    if fact["rto_so_far_s"] is not None:
        so_far, target = show(fact["rto_so_far_s"]), show(fact["rto_target_s"])
        if fact["settling_since"] is not None:
            words.append(f"RTO so far {so_far} of {target}, settling since {fact['settling_since'][11:19]}Z")
        elif fact["unattended_s"] is not None:
            words.append(
                f"RTO had come to {so_far} of {target} when it was last driven; what followed is not judged yet"
            )
        else:
            words.append(f"RTO so far {so_far} of {target}")
    if fact["phase"] == "over":
        words[-1] = f"exit {fact['exit_code']}, took {show(fact['elapsed_s'])}, {fact['runbook']}"
    return ", ".join(words)
