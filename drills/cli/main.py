"""The one door: run a command, and turn whatever goes wrong into one sentence and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from drills import __version__
from drills.cli import frugal

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
BROKEN_PIPE = 141
USAGE = 2
_TOLD = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""What a file system says to a path that is wrong or is not ours: no fault of the program, whoever asked for it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run drills with ``arguments`` (those of the process when None) and give its exit code."""
    _filled()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--version"], ["-V"]):
        return _version()
    return _guarded(words)


def _version() -> int:
    """Answer without loading anything."""
    try:
        sys.stdout.write(f"drills {__version__}\n")
        sys.stdout.flush()
    except OSError as error:
        return _flushed(0) if _lost(error) else BROKEN_PIPE
    return 0


def _filled() -> None:
    """Send to nowhere what was closed before the start, so that no file of a drill is opened in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for the process's life


def _guarded(words: list[str]) -> int:
    from drills.errors import DrillsError

    out = sys.stdout
    try:
        answer = _status() if words == ["status"] else _clicked(words)
    except DrillsError as error:
        _say(f"drills: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _hush()
        return BROKEN_PIPE
    except OSError as error:
        if not _lost(error):
            _say(f"drills: {_of_a_path(error)}")
        answer = USAGE
    except SystemExit as end:
        answer = end.code
        if sys.stdout is not out:  # click has met a broken pipe, and would end with the code of a missed objective
            sys.stdout = out
            _hush()
            answer = BROKEN_PIPE
    return _flushed(answer if isinstance(answer, int) else 0)


def _status() -> int:
    """Answer the door that is asked most without loading click."""
    from drills.cli import glance

    glance.tell()
    return 0


def _clicked(words: list[str]) -> object:
    frugal.begin()
    import click

    from drills.cli.group import cli

    try:
        return cli.main(words, prog_name="drills", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        if context is not None:
            _say(f"{context.get_usage()}\nTry `{context.command_path} --help`.\n")
        _say(f"drills: {error.format_message()}")
        return error.exit_code
    except click.Abort:
        return INTERRUPTED


def _of_a_path(error: OSError) -> str:
    """Say what is wrong with a path; raises the error again when it is about something else."""
    if error.errno == errno.ENOENT and error.filename is None and _is_gone():
        return "the present folder is gone; go to another one"
    if error.errno not in _TOLD or error.filename is None:
        raise error
    return f"{error.filename}: {error.strerror}; check the path and its rights"


def _is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not loaded for the sake of a question
    except FileNotFoundError:
        return True
    return False


def _flushed(code: int) -> int:
    """Flush here, where a reader who has gone away is no error, and not at the interpreter's end, where it is one.

    What could not be written because a disk is full is told: nobody should take half a result for a whole one.
    """
    frugal.end()
    try:
        sys.stdout.flush()
    except OSError as error:
        _lost(error)
    from drills.report import paint

    if why := paint.cut_short():
        _say(f"drills: the output is not whole: {why}; make room and ask again")
        return code or USAGE
    return code


def _say(text: str) -> None:
    from contextlib import suppress

    from drills.report.printable import harmless

    with suppress(OSError):
        sys.stderr.write(f"{harmless(text)}\n")


def _lost(error: OSError) -> bool:
    from drills.report import paint

    return paint.lost(sys.stdout, error)


def _hush() -> None:
    from drills.report import paint

    paint.hush(sys.stdout)
