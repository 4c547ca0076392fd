"""Every way in which drills can say no, drawn as one tree.

``DrillsError``
├── ``Usage``            the command line makes no sense                        exit 2
├── ``Refused``          a gate said no; nothing was changed                    exit 4
├── ``Invalid``          a runbook or an environment is wrong (all ``Problem``s) exit 5
├── ``JournalError``     the drill's own record cannot be read or written
│   ├── ``Unreadable``   it may be whole, but it cannot be read from here            exit 2
│   ├── ``Driven``       another process drives the drill; nothing was changed      exit 4
│   └── ``Unbegun``      it ended before its first event: nothing was begun
└── ``WorkError``        what an action or a probe may raise
    ├── ``Rejected``     AWS (or a server) answered no; nothing was changed     -> FAILED
    │   ├── ``Expired``  the credentials are no longer valid: get new ones, then again
    │   └── ``Disowned`` there are no credentials, or AWS does not know them
    ├── ``Busy``         throttled or in a passing state; safe to ask again     -> tried again
    ├── ``Unanswered``   nobody answered; a write may have happened             -> UNKNOWN
    └── ``Partly``       some targets changed, some did not; carries a receipt  -> UNKNOWN
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.timeline.facts import Receipt


MOST_TOLD = 50
"""How many problems of a file are printed; the first ones are the ones to mend first."""


class DrillsError(Exception):
    """Anything drills reports in a sentence and never with a traceback."""

    exit_code: int = 1


class Usage(DrillsError):
    """The command line makes no sense."""

    exit_code = 2


class Refused(DrillsError):
    """A gate said no before anything was changed."""

    exit_code = 4


class Problem(NamedTuple):
    """One thing wrong in a file a person wrote: where, what, and how to mend it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class Invalid(DrillsError):
    """A file a person wrote is wrong; carries every problem found, in file order."""

    exit_code = 5

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        told = [str(problem) for problem in self.problems[:MOST_TOLD]]
        more = len(self.problems) - len(told)
        super().__init__("\n".join([*told, *([f"... and {more} more"] if more else [])]))


class JournalError(DrillsError):
    """The drill's own record cannot be read or written; nothing new may start."""

    exit_code = 1


class Unreadable(JournalError):
    """The record may be whole, but whoever asks cannot read it here."""

    exit_code = 2


class Driven(JournalError):
    """Another process drives the drill: nothing was changed."""

    exit_code = 4


class Unbegun(JournalError):
    """The drill ended before its first event: nothing was begun."""


class WorkError(DrillsError):
    """What an action, a fault or a probe may raise."""


class Rejected(WorkError):
    """The other side answered no: nothing was changed, the step is FAILED."""


class Missing(Rejected):
    """What was named does not exist: nothing was changed."""


class Expired(Rejected):
    """The credentials were valid once and are no longer: nothing was changed, new ones mend it."""


class Disowned(Rejected):
    """There are no credentials, or AWS does not know them: nothing was changed. Where they worked, they ended."""


class Busy(WorkError):
    """Throttled, or in a passing state: nothing was changed and asking again is safe."""


class Unanswered(WorkError):
    """Nobody answered: a read may be repeated, a write is UNKNOWN."""


class Partly(WorkError):
    """Some targets changed and some did not: UNKNOWN, with a receipt of what did."""

    def __init__(self, message: str, receipt: Receipt) -> None:
        super().__init__(message)
        self.receipt = receipt
