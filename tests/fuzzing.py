"""Broken runbooks and environments, made by seed; and what a door may answer to them.

Every input is a pure function of its number. A door may say no in a sentence with the right exit code; it may never
print a traceback, hang, or call met what it was given damaged.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import yaml
from test_runbook_broken import RUNBOOKS

from drills.cli.main import main

ROOT = Path(__file__).parent.parent
LONGEST_S = 20.0
SHIPPED = sorted((*ROOT.glob("runbooks/*.yaml"), *ROOT.glob("environments/*.yaml")))


MOST_SPOTS = 4000
"""A tree of aliases has billions."""


class TooLong(BaseException):
    """A door did not answer in time; nothing in between may catch it."""


@dataclass(frozen=True)
class Ran:
    """How a door answered; ``crash`` is the traceback of what came out of it."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    crash: str = ""


@contextmanager
def bounded(seconds: float) -> Generator[None]:
    """End what takes longer; only in a process's main thread."""

    def late(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ran(*words: str) -> Ran:
    """Go through the one door, in this process."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err), bounded(LONGEST_S):
            code = main(words)
    except TooLong:
        return Ran(words, -1, out.getvalue(), err.getvalue(), f"no answer within {LONGEST_S:g} s")
    except BaseException:  # noqa: BLE001 - whatever came out of the door is a finding
        return Ran(words, -1, out.getvalue(), err.getvalue(), traceback.format_exc())
    return Ran(words, code, out.getvalue(), err.getvalue())


def ran_for_real(*words: str) -> Ran:
    """Go through the one door in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "drills", *words],
        capture_output=True,
        timeout=LONGEST_S * 3,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    crash = f"ended by signal {-done.returncode}" if done.returncode < 0 else ""
    return Ran(
        words, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), crash
    )


# -- what people write -------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    -(10**400),
    1e308,
    float("inf"),
    float("nan"),
    "",
    " ",
    "\x00",
    "\u202e\U0001f4a5\u0000",
    "é" * 300,
    "x" * 5000,
    "9" * 5000 + "s",
    "1e999s",
    "${",
    "${}",
    "${to}",
    "${to.}",
    "${steps.x.output.y}",
    "${${to.db}}",
    "${before.x}",
    "secretsmanager:",
    "http://[::1",
    "postgresql://u:p@[/x",
    "../../etc/passwd",
    "2026-02-30",
    "10m",
    "-5s",
    [],
    {},
    [[]],
    [None],
    {"a": {"b": {"c": []}}},
    [1] * 3000,
    {str(number): number for number in range(2000)},
    b"\xff\xfe",
)
ODD_NAMES = ("", "with", "id", "at", "${x}", "é", "needs", "on_failure", "x" * 400)
SPLICES: tuple[bytes, ...] = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\t",
    b"\r",
    b"\x85",
    b"\xe2\x80\xa8",
    b"- ",
    b": ",
    b"&a ",
    b"*a ",
    b"<<: *a\n",
    b"!!python/object/apply:os.system [x]\n",
    b"? ",
    b"|\n",
    b">-\n",
    b"%YAML 9.9\n---\n",
    b"---\n",
    b"...\n",
    b"[" * 300,
    b"{" * 300,
    b"[" * 50_000,
    b"{a: " * 20_000,
    b"- " * 5_000,
    b"'",
    b'"',
    b"#",
    b"0x" + b"f" * 400,
    b"9" * 6_000,
    b"1:30",
    b"${",
    "\u0000\u2028é🦄".encode(),
)


def bomb(chance: random.Random) -> bytes:
    """Make a few lines that stand for billions."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, chance.randint(2, 12))]
    return "\n".join(lines).encode() + b"\n"


def sources() -> list[bytes]:
    """Give the shipped files and those that are known to be broken."""
    return [*(path.read_bytes() for path in SHIPPED), *(text.encode() for text, _, _ in RUNBOOKS.values())]


def broken_yaml(number: int) -> bytes:
    """Break one of the files people may have written, in one to four places."""
    chance = random.Random(number)
    kinds = sources()
    data = chance.choice(kinds[: len(SHIPPED)] if chance.random() < 0.75 else kinds)
    if chance.random() < 0.45:
        return _altered_tree(data, chance)
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_BYTES)(data, chance)
    return data


def flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\x00"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _splice(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(SPLICES) + data[at:]


def _cut(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] if chance.random() < 0.5 else data[:at] + data[at + chance.randint(1, 200) :]


def _lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(4)
    if kind == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 1:
        lines.insert(one, lines[other])
    elif kind == 2:
        del lines[one]
    else:
        lines[one] = b" " * chance.randint(0, 9) + lines[one].lstrip()
    return b"\n".join(lines)


def _bombed(data: bytes, chance: random.Random) -> bytes:
    return bomb(chance) + data


def _garbage(data: bytes, chance: random.Random) -> bytes:
    del data
    return chance.randbytes(chance.randint(0, 4000))


_BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *[flip] * 3,
    *[_splice] * 3,
    *[_lines] * 3,
    _cut,
    _bombed,
    _garbage,
)


def _altered_tree(data: bytes, chance: random.Random) -> bytes:
    """Put something odd in the place of a value, or of a name, deep in the document."""
    try:
        tree: Any = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        return _splice(data, chance)
    for _ in range(chance.randint(1, 3)):
        spots = list(islice(_spots(tree), MOST_SPOTS))
        if not spots:
            return _splice(data, chance)
        parent, key = chance.choice(spots)
        names: dict[Any, Any] = parent
        kind = chance.randrange(5)
        if kind == 0 and isinstance(parent, dict):
            names[chance.choice(ODD_NAMES)] = names.pop(key)
        elif kind == 1:
            del parent[key]
        elif kind == 2:
            parent[key] = chance.choice([*islice(_values(tree), MOST_SPOTS)] or [None])
        else:
            parent[key] = deepcopy(chance.choice(ODD))
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


def _spots(tree: Any) -> Iterator[tuple[Any, Any]]:
    pairs: Sequence[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        pairs = list(cast("dict[Any, Any]", tree).items())
    elif isinstance(tree, list):
        pairs = list(enumerate(cast("list[Any]", tree)))
    for key, value in pairs:
        yield tree, key
        yield from _spots(value)


def _values(tree: Any) -> Iterator[Any]:
    return (parent[key] for parent, key in _spots(tree) if not isinstance(parent[key], dict | list))


def doors_of_a_file(number: int, file: Path) -> list[tuple[str, ...]]:
    """Choose what a broken file is given to."""
    chance = random.Random(number)
    shipped = str(ROOT / "runbooks" / "warm-standby.yaml")
    every: list[tuple[str, ...]] = [
        ("check", str(file), "--output", "json"),
        ("print", str(file)),
        ("plan", str(file), "--env", "sandbox"),
        ("plan", shipped, "--env", str(file)),
        ("check", shipped, "--env", str(file)),
        ("rehearse", str(file), "--env", "staging.example"),
    ]
    return [("check", str(file)), *chance.sample(every, 2)]


def wrong_answer(answer: Ran) -> str:
    """Say what is wrong with how a door answered to a broken file; empty when nothing is."""
    if answer.crash:
        return f"{' '.join(answer.words)}: {answer.crash}"
    if "Traceback" in answer.err + answer.out:
        return f"{' '.join(answer.words)}: a traceback was printed"
    if answer.code not in (0, 2, 4, 5):
        return f"{' '.join(answer.words)}: exit code {answer.code}: {answer.err[-300:]}"
    if answer.code and not (answer.err + answer.out).strip():
        return f"{' '.join(answer.words)}: exit code {answer.code} and no word"
    if answer.code == 5 and ".yaml:" not in answer.err + answer.out and '"line"' not in answer.out:
        return f"{' '.join(answer.words)}: no file and line in {answer.err[-300:]!r}"
    return ""


def fuzz_file(number: int, folder: Path, run: Callable[..., Ran] = ran) -> list[str]:
    """Give one broken file to its doors, and say what was wrong."""
    file = folder / "broken.yaml"
    file.write_bytes(broken_yaml(number))
    os.environ["DRILLS_HOME"] = str(folder / "drills")
    answers = (run(*words) for words in doors_of_a_file(number, file))
    return [f"file {number}: {fault}" for fault in map(wrong_answer, answers) if fault]
