"""Answers from another machine: SSM parameters in the environment's home region, which the driving process polls.

``/drills/answers/DRILL/STEP/NUMBER`` is created once and never overwritten, taken into the drill's inbox, and deleted.
With it comes the ARN by which AWS recorded that it was written: what the answerer's own machine cannot make up.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from drills.aws.classify import error_code, mapped
from drills.engine import halt
from drills.errors import DrillsError, Refused, Rejected
from drills.runtime.inbox import say
from drills.timeline.events import Told, Word

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mypy_boto3_ssm import SSMClient

    from drills.engine.means import Accounts
    from drills.engine.state import State
    from drills.work import Place

ROOT: Final = "/drills/answers"
EVERY_S: Final = 3.0
MOST: Final = 10
"""Answers that are taken at one look, and that may lie there for one step."""
WORDS: Final = frozenset({Word.APPROVE, Word.REJECT, Word.NOT_APPLICABLE})


class Answer(msgspec.Struct, frozen=True):
    """What somebody answered elsewhere."""

    word: Word
    by: str
    step: str
    note: str = ""


def send(client: SSMClient, drill: str, answer: Answer) -> str:
    """Leave an answer in one account; gives the parameter's name. ``Refused`` when too many lie there already."""
    text = msgspec.json.encode(answer).decode()
    for number in range(1, MOST + 1):
        name = f"{ROOT}/{drill}/{answer.step}/{number}"
        try:
            client.put_parameter(Name=name, Value=text, Type="String", Description="drills: an answer to a question")
        except Exception as error:
            if error_code(error) == "ParameterAlreadyExists":
                continue
            with mapped(writes=True):
                raise
        return name
    raise Refused(f"{MOST} answers to {answer.step} lie there, and no drill has taken them; nothing was said")


class Answers:
    """Takes what was answered elsewhere into one drill's inbox, as long as it asks."""

    def __init__(self, folder: Path, state: State, accounts: Accounts, every_s: float = EVERY_S) -> None:
        self._folder = folder
        self._state = state
        self._accounts = accounts
        self._every_s = every_s
        self._over = threading.Event()
        self._told = ""

    def watch(self, aloud: Callable[[str], None]) -> None:
        """Begin to look, in a thread; what goes wrong is told ``aloud`` once, and stops no drill."""

        def look() -> None:
            while not self._over.wait(self._every_s):
                if not any(one.asked and one.ended is None for one in tuple(self._state.progress.values())):
                    continue
                try:
                    self.take()
                except DrillsError as error:
                    if not self._told:
                        self._told = f"answers from other machines cannot be read in {self._state.plan.home}: {error}"
                        aloud(self._told)

        threading.Thread(target=look, daemon=True, name="answers").start()

    def close(self) -> None:
        """End looking."""
        self._over.set()

    def take(self) -> int:
        """Take every answer that lies there; gives how many. ``WorkError`` when the home region does not answer."""
        place = halt.home_of(self._state.plan)
        ssm: SSMClient = self._accounts.read(place).client("ssm")
        with mapped(writes=False):
            found = ssm.get_parameters_by_path(Path=f"{ROOT}/{self._folder.name}", Recursive=True, MaxResults=MOST)[
                "Parameters"
            ]
            for one in found:
                name = one.get("Name", "")
                history = ssm.get_parameter_history(Name=name, MaxResults=1)["Parameters"]
                arn = history[0].get("LastModifiedUser", "") if history else ""
                self._say(one.get("Value", ""), arn)
        for one in found:
            with mapped(writes=True):
                writer: Any = self._accounts.write(place).client("ssm")
                writer.delete_parameter(Name=one.get("Name", ""))
        return len(found)

    def _say(self, text: str, arn: str) -> None:
        """Put one answer into the inbox; what is none is left out of it and deleted."""
        try:
            answer = msgspec.json.decode(text, type=Answer)
        except msgspec.MsgspecError:
            return
        by = answer.by.partition(" (")[0]
        by = f"{by} ({arn})" if arn else by
        if answer.word in WORDS and answer.step in self._state.progress:
            say(self._folder, Told(answer.word, by, 0, answer.step, answer.note))
        elif answer.word in WORDS:
            say(self._folder, Told(Word.NOTE, by, 0, note=f"answered {answer.step!r}, and no step is called so"))


def homes(places: tuple[Place, ...], home: str) -> tuple[Place, ...]:
    """Give each account and role of an environment once, in the home region; ``Rejected`` when it has none."""
    found = {(place.account, place.role): replace(place, region=home) for place in reversed(places)}
    if not found:
        raise Rejected("the environment has no place")
    return tuple(reversed(found.values()))
