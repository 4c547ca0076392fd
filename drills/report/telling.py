"""One line for each event worth telling: what a person without a moving screen follows a drill by."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from msgspec.structs import replace

from drills.clock import NS
from drills.engine import people
from drills.engine.plan import Mode
from drills.engine.progress import HOLD
from drills.report import figures
from drills.report.printable import harmless
from drills.timeline import events as ev

if TYPE_CHECKING:
    from drills.clock import Stamp
    from drills.engine.plan import Step
    from drills.engine.state import State

LONGEST_DETAIL = 240
ANSWERS = (ev.Word.APPROVE, ev.Word.REJECT, ev.Word.NOT_APPLICABLE)


def line(event: ev.Event, state: State) -> str | None:
    """Write one event as ``12:01:05 +3.2s step promote: done (0.8s)`` (UTC); None when it is not worth telling."""
    text = tell(event.body, event.at, state)
    return None if text is None else f"{stamp(event.at, state.opened)} {harmless(text)}"


def stamp(at: Stamp, opened: Stamp | None) -> str:
    """Write a moment as the UTC time of day and the seconds since the drill was opened."""
    since = at.since(opened) if opened is not None else 0.0
    return f"{clock(at)} +{since:.1f}s"


def clock(at: Stamp) -> str:
    """Write a moment as the UTC time of day."""
    minutes, seconds = divmod(at.utc_ns // NS % 86_400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def short(detail: str) -> str:
    """Keep a detail to one line of bearable length."""
    text = " ".join(detail.split())
    return text if len(text) <= LONGEST_DETAIL else f"{text[: LONGEST_DETAIL - 3]}..."


def _with(text: str, detail: str) -> str:
    return f"{text}: {short(detail)}" if detail else text


@singledispatch
def tell(body: object, at: Stamp, state: State) -> str | None:
    """Say what happened in a few words; None for what is of no interest while it happens."""
    _ = body, at, state
    return None


@tell.register(ev.Opened)
def _opened(body: ev.Opened, _: Stamp, state: State) -> str:
    plan = state.plan
    where = plan.mode.value if plan.mode is Mode.REHEARSE else f"{plan.mode.value} in {plan.environment}"
    return f"drill {body.drill}: {plan.title or plan.runbook} ({where}, {plan.from_site} -> {plan.to_site})"


@tell.register(ev.Resumed)
def _resumed(body: ev.Resumed, *_: object) -> str:
    return f"resumed by {body.by}"


@tell.register(ev.Gated)
def _gated(body: ev.Gated, *_: object) -> str | None:
    if body.ok is True:
        return None
    word = "no answer" if body.ok is None else "no"
    return _with(f"{'advice' if body.advises else 'gate'} {body.gate}: {word}", body.detail)


@tell.register(ev.Watching)
def _watching(body: ev.Watching, *_: object) -> str:
    if body.process == ev.RING:
        return f"observer {body.observer}: what its ring holds of the time before is taken over"
    return f"observer {body.observer}: watching"


@tell.register(ev.Began)
def _began(body: ev.Began, *_: object) -> str:
    return body.sentence()


@tell.register(ev.Ready)
def _ready(body: ev.Ready, *_: object) -> str:
    names = {
        "watch": ("observers are up", "NOT all observers are up"),
        "baseline": ("baseline taken", "baseline NOT taken"),
        "settled": ("service settled", "service NOT settled"),
        "collected": ("evidence collected", "NOT all evidence collected"),
    }
    reached, missed = names.get(body.stage, (body.stage, f"NOT {body.stage}"))
    return _with(reached if body.ok is True else missed, body.detail)


@tell.register(ev.Settling)
def _settling(body: ev.Settling, at: Stamp, _: State) -> str:
    if body.since is None:
        return "not restored (any more): the clock goes on"
    since = clock(replace(at, utc_ns=at.utc_ns - at.mono_ns + body.since))
    return f"restored since {since}, settling: the clock stands"


@tell.register(ev.Started)
def _started(body: ev.Started, _: Stamp, state: State) -> str:
    step = state.progress[body.step].step
    again = f" again (attempt {body.attempt})" if body.attempt > 1 else ""
    expected = f", expected {figures.chosen(step.expect_s)}" if step.expect_s else ""
    return f"step {body.step}: started{again} ({step.uses} at {step.place}{expected})"


@tell.register(ev.Looked)
def _looked(body: ev.Looked, *_: object) -> str:
    return _with(f"step {body.step}: {'no answer' if body.ok is None else 'not yet'}", body.detail)


@tell.register(ev.Retried)
def _retried(body: ev.Retried, *_: object) -> str:
    return _with(f"step {body.step}: asked again (attempt {body.attempt})", body.why)


@tell.register(ev.CredentialsEnded)
def _credentials_ended(body: ev.CredentialsEnded, *_: object) -> str:
    return f"step {body.step}: WAITING FOR CREDENTIALS of {body.place}: {short(body.why)}; new ones: {body.renew}"


@tell.register(ev.CredentialsBack)
def _credentials_back(body: ev.CredentialsBack, *_: object) -> str:
    return f"step {body.step}: the credentials are good again"


@tell.register(ev.Effective)
def _effective(body: ev.Effective, *_: object) -> str:
    return _with(f"step {body.step}: {'in effect' if body.ok is True else 'NOT seen in effect'}", body.detail)


@tell.register(ev.Ended)
def _ended(body: ev.Ended, at: Stamp, state: State) -> str:
    one = state.progress[body.step]
    took = f" ({figures.measured(at.since(one.started))})" if one.started is not None else ""
    outcome = "found done" if body.adopted else body.outcome.value
    loud = outcome if outcome in ("done", "found done") else outcome.upper()
    return _with(f"step {body.step}: {loud}{took}", body.detail)


@tell.register(ev.Asked)
def _asked(body: ev.Asked, _: Stamp, state: State) -> str:
    step = state.progress[body.step].step
    if step.hand is not None:
        how = short(step.by_hand) if step.by_hand else f"{step.uses} at {step.place}"
        told = f"{short(step.say)} " if step.say else ""
        return f"step {body.step}: FOR PEOPLE: {told}({how}); ends when seen done, or by `drills approve {body.step}`"
    said = f": {short(question(step))}" if question(step) else ""
    said += "".join(f"; {name}: {value}" for name, value in body.shown.items())
    if not state.plan.ask:
        return f"step {body.step}: asks{said} (the rehearsal answers itself)"
    return (
        f"step {body.step}: ASKS{who(state, step)}{said} (`drills approve {body.step}` or `drills reject {body.step}`)"
    )


def question(step: Step) -> str:
    """Give what a person is asked, or asked to do: as its fields say, else what the step says."""
    return str(step.params.get("question") or step.params.get("do") or step.say)


def who(state: State, step: Step) -> str:
    """Say whose answers a question waits for, where not anybody's will do."""
    if state.plan.mode is Mode.INCIDENT:
        return ""
    asked, count = people.roles(step), people.wanted(step)
    words = [", ".join(asked)] if asked else []
    words += [f"{count} different people"] if count > 1 else []
    words += ["not who started it"] if step.params.get("not_starter") is True else []
    return f" ({'; '.join(words)})" if words else ""


@tell.register(ev.Witnessed)
def _witnessed(body: ev.Witnessed, *_: object) -> str:
    names = {True: "yes", False: "NO"}
    told: list[str] = []
    for name in body.seen:
        look = body.seen.record(name)
        answer = names.get(look.flag("ok")) if isinstance(look.get("ok"), bool) else "no answer"
        told.append(f"{name}: {answer}, {short(look.text('detail'))}")
    return f"step {body.step}, as it was {body.moment}: {'; '.join(told)}"


@tell.register(ev.Told)
def _told(body: ev.Told, _: Stamp, state: State) -> str:
    said = _with(f"{body.by}: {body.word.value}{f' {body.step}' if body.step else ''}", body.note)
    one = state.progress.get(body.step)
    if body.word not in ANSWERS or one is None or (body.inbox == 0 and not state.plan.ask):
        return said
    why_not = people.does_not_count(state.plan, one.step, body.by, state.starter)
    return f"{said} (does not count: {why_not})" if why_not else said


@tell.register(ev.Guarded)
def _guarded(body: ev.Guarded, *_: object) -> str:
    return _with(f"guard {body.guard}: {'no answer' if body.ok is None else 'NO'}", body.detail)


@tell.register(ev.TimedOut)
def _timed_out(body: ev.TimedOut, *_: object) -> str:
    limit = figures.chosen(body.after_s)
    if body.step == HOLD:
        return f"nobody decided within {limit}"
    return f"step {body.step}: no end within {limit}" if body.step else f"the drill's deadline of {limit} has passed"


@tell.register(ev.UndoStarted)
def _undo_started(body: ev.UndoStarted, *_: object) -> str:
    return f"step {body.step}: taking it back"


@tell.register(ev.Forced)
def _forced(body: ev.Forced, *_: object) -> str:
    told = f"before: {short(body.before)}; ours: {short(body.ours)}; now: {short(body.now)}"
    return f"step {body.step}: restored by FORCE: {told}"


@tell.register(ev.Armed)
def _armed(body: ev.Armed, _: Stamp, state: State) -> str:
    minutes, seconds = divmod(body.at_ns // NS % 86_400, 60)
    del state
    when = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}Z"
    return f"step {body.step}: dead man armed in {body.region}: taken back at {when} unless renewed"


@tell.register(ev.Disarmed)
def _disarmed(body: ev.Disarmed, *_: object) -> str:
    return _with(f"step {body.step}: {'DEAD MAN FIRED' if body.fired else 'dead man disarmed'}", body.detail)


@tell.register(ev.DisarmFailed)
def _disarm_failed(body: ev.DisarmFailed, *_: object) -> str:
    return f"step {body.step}: DEAD MAN NOT DISARMED: {short(body.error)}; by hand: {' ; '.join(body.by_hand)}"


@tell.register(ev.Undid)
def _undid(body: ev.Undid, *_: object) -> str:
    if body.left_alone:
        return f"step {body.step}: LEFT ALONE: {body.left_alone}"  # whole: it ends with what a person may do
    return _with(f"step {body.step}: undone", body.detail)


@tell.register(ev.UndoFailed)
def _undo_failed(body: ev.UndoFailed, *_: object) -> str:
    by_hand = f"; by hand: {' ; '.join(body.by_hand)}" if body.by_hand else ""
    return f"step {body.step}: UNDO FAILED: {short(body.error)}{by_hand}"


@tell.register(ev.Parked)
def _parked(body: ev.Parked, _: Stamp, state: State) -> str:
    if state.plan.world_private:
        return f"parked by {body.by}: its own sandbox ends now, so it cannot go on; what was observed is kept"
    return f"parked by {body.by}: `drills resume` goes on"


@tell.register(ev.Claimed)
def _claimed(body: ev.Claimed, *_: object) -> str:
    return _with(f"holds {body.lock} (number {body.generation}, in {body.region})", body.detail)


@tell.register(ev.Unclaimed)
def _unclaimed(body: ev.Unclaimed, *_: object) -> str:
    return _with(f"does not hold {body.lock}", body.detail)


@tell.register(ev.Preempted)
def _preempted(body: ev.Preempted, *_: object) -> str:
    return _with("THE TARGET IS TAKEN", body.by)


@tell.register(ev.WorldGone)
def _world_gone(body: ev.WorldGone, *_: object) -> str:
    return _with("the sandbox is gone", body.detail)


@tell.register(ev.Finished)
def _finished(body: ev.Finished, *_: object) -> str:
    return f"over: {body.status} (exit {body.exit_code})"
