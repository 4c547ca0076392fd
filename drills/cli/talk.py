"""The talking doors: each leaves one message for a drill, and says whether the drill has taken it."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from drills.cli import folders
from drills.clock import SystemClock
from drills.engine.people import does_not_count
from drills.engine.progress import TERMINAL, Status
from drills.errors import Refused, Usage
from drills.report import paint, standing
from drills.runtime import inbox, journal
from drills.timeline.events import Told, Word
from drills.work import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.engine.progress import Progress
    from drills.engine.state import State

TAKEN_WITHIN_S = 2.0
LOOK_EVERY_S = 0.05
LONGEST_NOTE = 2000


def the_drill(name: str | None) -> folders.Drill:
    """Read the drill that is meant: by name, or the one that runs, or the newest that is not over."""
    if name is not None:
        return folders.read(folders.find(name))
    driven = [folder for folder in folders.every() if folders.driven(folder)]
    if len(driven) > 1:
        raise Usage(f"{len(driven)} drills run; say which: {', '.join(folder.name for folder in driven)}")
    return folders.read(driven[0] if driven else folders.find())


def _open(drill: folders.Drill, what: str) -> None:
    if drill.state.finished is not None:
        raise Refused(f"drill {drill.name} is over ({drill.state.finished.status}): {what}")
    if standing.sandbox_ended(drill.state, driven=drill.driven):
        again = f"`drills resume {drill.name}` judges what was observed, and nothing more"
        raise Refused(f"nobody drives drill {drill.name}, and {standing.SANDBOX_ENDED}: {what}; {again}")


def _step(drill: folders.Drill, name: str) -> Progress:
    """Find a step of the drill; ``Refused`` with the nearest name when there is none."""
    one = drill.state.progress.get(name)
    if one is None:
        near = get_close_matches(name, drill.state.progress, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(drill.state.progress)}"
        raise Refused(f"drill {drill.name} has no step {name!r}; {hint}")
    return one


def _split(names: Sequence[str], usage: str) -> tuple[str | None, str]:
    """Take ``[DRILL] STEP`` apart."""
    match names:
        case [step]:
            return None, step
        case [drill, step]:
            return drill, step
        case _:
            raise Usage(f"write `drills {usage}`")


def _tell(drill: folders.Drill, word: Word, step: str = "", note: str = "") -> None:
    """Leave the message, wait for the drill to take it, and say what came of it."""
    if len(note) > LONGEST_NOTE:
        raise Usage(f"the note has {len(note)} characters; at most {LONGEST_NOTE} are taken")
    message = Told(word, inbox.person(), 0, step, note)
    inbox.say(drill.folder, message)
    what = f"{word.value} {step}".strip()
    if not drill.driven:
        taker = f"nobody drives it now, `drills resume {drill.name}` will take it"
        paint.put(sys.stdout, f"{what}: left for {drill.name}; {taker}\n")
        return
    taken = _taken(drill, message)
    said = f"taken by {drill.name}" if taken else f"left for {drill.name}, which has not taken it yet"
    paint.put(sys.stdout, f"{what}: {said}\n")


def _taken(drill: folders.Drill, message: Told) -> bool:
    clock = SystemClock()
    begun, seen = clock.now(), drill.state.count
    with journal.Journal.open(drill.folder) as reading:
        while clock.now().since(begun) < TAKEN_WITHIN_S:
            for event in reading.read(seen):
                body, seen = event.body, event.seq
                if isinstance(body, Told) and (body.word, body.by, body.step, body.note) == (
                    message.word,
                    message.by,
                    message.step,
                    message.note,
                ):
                    return True
            clock.sleep(LOOK_EVERY_S)
    return False


# -- answers -----------------------------------------------------------------------------------------------

noted = click.option("--note", default="", help="Why; it stands on the timeline and in the report.")
named = click.argument("names", nargs=-1, metavar="[DRILL] STEP")


elsewhere = click.option(
    "--env", "environment", default="", metavar="NAME", help="The drill runs on another machine, in this environment."
)


def _answer_elsewhere(word: Word, names: Sequence[str], note: str, environment: str) -> None:
    """Leave the answer in the environment's home region, in each of its accounts: the drill takes it from there."""
    from drills.aws.sessions import Accounts
    from drills.engine.bind import places_of
    from drills.runbook.find import environment_path
    from drills.runbook.load import load_environment
    from drills.runtime.answers import Answer, homes, send

    name, step = _split(names, f"{word.value} --env {environment} DRILL STEP")
    if name is None:
        raise Usage(f"name the drill: `drills {word.value} --env {environment} DRILL STEP`")
    if len(note) > LONGEST_NOTE:
        raise Usage(f"the note has {len(note)} characters; at most {LONGEST_NOTE} are taken")
    place = load_environment(environment_path(environment)).model
    accounts = Accounts(session_name=inbox.person())
    for one in homes(places_of(place, None), place.home):
        send(accounts.write(one).client("ssm"), name, Answer(word, inbox.person(), step, note))
        paint.put(sys.stdout, f"{word.value} {step}: left for {name} in account {one.account}, {one.region}\n")


def _answer(word: Word, names: Sequence[str], note: str) -> None:
    name, step = _split(names, f"{word.value} [DRILL] STEP")
    drill = the_drill(name)
    _open(drill, "it asks nothing any more")
    one = _step(drill, step)
    if one.step.kind is not Kind.OPERATOR:
        article = "an" if one.step.kind is Kind.ACTION else "a"
        raise Refused(
            f"step {step} is {article} {one.step.kind.value} ({one.step.uses}): it asks nobody{_who_asks(drill.state)}"
        )
    if one.status is Status.WAITING:
        raise Refused(f"step {step} has not asked yet{_who_asks(drill.state)}")
    if one.status is not Status.RUNNING:
        raise Refused(f"step {step} does not ask any more: it is {one.status.value} ({one.detail})")
    if word is Word.NOT_APPLICABLE and (one.step.uses != "task" or not note.strip()):
        raise Usage("--not-applicable is for a task, and its --note says why")
    counted = does_not_count(drill.state.plan, one.step, inbox.person(), drill.state.starter)
    if counted:
        raise Refused(f"step {step}: {counted}; nothing was said")
    _tell(drill, word, step, note)


def _who_asks(state: State) -> str:
    asking = ", ".join(one.step.id for one in standing.asking(state))
    return f"; asking now: {asking}" if asking else "; no step asks now"


@click.command("approve")
@named
@noted
@elsewhere
@click.option("--not-applicable", is_flag=True, help="Of a task: there was nothing to do. Say why with --note.")
def approve(names: tuple[str, ...], note: str, environment: str, *, not_applicable: bool) -> None:
    """Answer the STEP that asks: yes, go on."""
    word = Word.NOT_APPLICABLE if not_applicable else Word.APPROVE
    _answer_elsewhere(word, names, note, environment) if environment else _answer(word, names, note)


@click.command("reject")
@named
@noted
@elsewhere
def reject(names: tuple[str, ...], note: str, environment: str) -> None:
    """Answer the STEP that asks: no. The drill is aborted."""
    _answer_elsewhere(Word.REJECT, names, note, environment) if environment else _answer(Word.REJECT, names, note)


# -- the whole drill ---------------------------------------------------------------------------------------

whole = click.argument("drill", required=False)


@click.command("abort")
@whole
@noted
def abort(drill: str | None, note: str) -> None:
    """Stop DRILL: what can be undone is undone, nothing new starts."""
    found = the_drill(drill)
    _open(found, "there is nothing to abort")
    if found.state.stop is not None:
        raise Refused(f"drill {found.name} has turned back already: {found.state.why}{_held(found)}")
    retreat = standing.retreat(found.state)
    _tell(found, Word.ABORT, note=note)
    lines = [retreat.why, *(f"  {place}. undo {name}" for place, name in enumerate(retreat.undone, 1))]
    lines += [f"  stays: {name}" for name in retreat.stays]
    paint.put(sys.stdout, "\n".join(lines) + "\n")


def _held(found: folders.Drill) -> str:
    if standing.status(found.state, driven=found.driven) != standing.Open.HELD:
        return ""
    return f"; it is held: `drills resume {found.name}`, or `drills undo {found.name} STEP --accept-data-loss`"


@click.command("pause")
@whole
@noted
def pause(drill: str | None, note: str) -> None:
    """Let nothing new start in DRILL; what runs may end."""
    found = the_drill(drill)
    _open(found, "there is nothing to pause")
    if found.state.paused:
        raise Refused(f"drill {found.name} is paused already; `drills continue {found.name}` goes on")
    if found.state.stop is not None:
        raise Refused(f"drill {found.name} has turned back, and an undo is not paused: {found.state.why}")
    if not found.driven:
        raise Refused(
            f"nobody drives drill {found.name} now, so nothing new starts; `drills resume {found.name}` goes on"
        )
    _tell(found, Word.PAUSE, note=note)


@click.command("continue")
@whole
@noted
def continue_(drill: str | None, note: str) -> None:
    """Go on with DRILL after a pause."""
    found = the_drill(drill)
    _open(found, "it does not go on")
    if not found.driven:
        raise Refused(f"nobody drives drill {found.name} now; `drills resume {found.name}` goes on")
    if not found.state.paused:
        raise Refused(f"drill {found.name} is not paused")
    _tell(found, Word.CONTINUE, note=note)


@click.command("note")
@click.argument("words", nargs=-1, metavar="[DRILL] TEXT")
def note(words: tuple[str, ...]) -> None:
    """Write TEXT (in quotes) on the timeline of DRILL."""
    name, text = _split(words, 'note [DRILL] "TEXT"')
    if not text.strip():
        raise Usage("the note is empty")
    found = the_drill(name)
    if found.state.finished is not None:  # a note can be left for a drill that is still to be judged
        _open(found, "nothing is written on its timeline any more")
    _tell(found, Word.NOTE, note=text)


# -- one step ----------------------------------------------------------------------------------------------


def _open_question(found: folders.Drill, one: Progress) -> bool:
    """Whether a person may still say how the step ended: it holds the drill, or its end was never written."""
    if one.step.id in found.state.held_for and found.state.stop is None:
        return True
    return one.status is Status.RUNNING and one.step.changes and (one.in_doubt or not found.driven)


def _why_not(found: folders.Drill, one: Progress, verb: str) -> str:
    text = f"step {one.step.id} cannot be {verb}: it is {one.status.value}"
    if one.detail:
        text += f" ({one.detail})"
    if one.status in (Status.FAILED, Status.UNKNOWN) and not found.driven:
        skip = f"`drills skip {found.name} {one.step.id}` goes on without"
        return f"{text}; `drills resume {found.name}` tries it again, {skip}"
    waits = ", ".join(sorted(found.state.held_for)) if found.state.stop is None else ""
    return f"{text}; " + (f"waiting for a decision: {waits}" if waits else "no step waits for a decision")


@click.command("skip")
@named
@noted
def skip(names: tuple[str, ...], note: str) -> None:
    """Go on without STEP: it counts as over, its mark is dropped, objectives on that mark are UNPROVEN."""
    name, step = _split(names, "skip [DRILL] STEP")
    found = the_drill(name)
    _open(found, "there is nothing to skip")
    one = _step(found, step)
    if one.step.changes and one.status is Status.RUNNING:
        raise Refused(
            f"step {step} is changing something now and cannot be skipped; `drills resolve` says how it ended"
        )
    again = not found.driven and one.status in (Status.FAILED, Status.UNKNOWN, Status.DROPPED)
    if one.status in TERMINAL and not (again or _open_question(found, one)):
        raise Refused(_why_not(found, one, "skipped"))
    _tell(found, Word.SKIP, step, note)


@click.command("retry")
@named
@noted
def retry(names: tuple[str, ...], note: str) -> None:
    """Try the STEP again that failed and holds the drill."""
    name, step = _split(names, "retry [DRILL] STEP")
    found = the_drill(name)
    _open(found, "there is nothing to try again")
    one = _step(found, step)
    if not _open_question(found, one):
        raise Refused(_why_not(found, one, "tried again"))
    _tell(found, Word.RETRY, step, note)


@click.command("resolve")
@click.argument("names", nargs=-1, metavar="[DRILL] STEP done|failed")
@click.option("--note", default="", help="How you know. Required.")
def resolve(names: tuple[str, ...], note: str) -> None:
    """Say how a STEP in doubt really ended, after looking for yourself."""
    usage = 'resolve [DRILL] STEP done|failed --note "how you know"'
    words = {"done": Word.RESOLVE_DONE, "failed": Word.RESOLVE_FAILED}
    if not names or names[-1] not in words:
        raise Usage(f"say how it ended: `drills {usage}`")
    if not note.strip():
        raise Usage(f"say how you know, it will stand in the report: `drills {usage}`")
    name, step = _split(names[:-1], usage)
    found = the_drill(name)
    _open(found, "there is nothing to resolve")
    one = _step(found, step)
    if not _open_question(found, one):
        raise Refused(_why_not(found, one, "resolved"))
    _tell(found, words[names[-1]], step, note)


COMMANDS = (approve, reject, abort, pause, continue_, skip, retry, resolve, note)
