"""The one door: what it loads, what it costs, and how it says no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click
import pytest
from report_drills import drills, environment, failover, keep, simulate, unmeasured

from drills import __version__
from drills.cli import group

HEAVY = ("boto3", "botocore", "pydantic", "structlog", "rich", "aiohttp", "psycopg", "moto", "yaml")
LOADED = "import json, sys; from drills.cli.main import main; code = main(); print(json.dumps(sorted(sys.modules)))"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    keep(tmp_path, "20260101-000000-orders-aaaa", simulate(failover()))
    keep(tmp_path, "20260102-000000-orders-bbbb", simulate(failover(), cut=6))
    return tmp_path


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["status"], ["list"], ["status", "--output", "json"], ["abort", "2025"]]
)
def test_a_light_command_loads_no_heavy_library(home: Path, words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        env=environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout.splitlines()[-1])}
    assert loaded & set(HEAVY) == set()


def test_version_loads_neither_click_nor_msgspec(home: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, "--version"],
        env=unmeasured(environment(home)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first, modules = ran.stdout.splitlines()
    assert first == f"drills {__version__}"
    assert {"click", "msgspec", "dataclasses"} & set(json.loads(modules)) == set()


def test_a_check_never_loads_what_tells_of_installed_packages_and_whoever_asks_it_still_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "runbook.yaml"
    path.write_text("runbook: one\ntitle: One\nsteps:\n  - id: rest\n    probe: flow.wait\n    with: {for: 1s}\n")
    asked = (
        f"{LOADED}; import importlib.metadata; from importlib.metadata import version;"
        " print(version('pydantic') == importlib.metadata.version('pydantic'), 'zipfile' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", asked, "check", str(path)],
        env=unmeasured(environment(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *_, modules, answer = ran.stdout.splitlines()
    assert {"pydantic", "importlib.metadata"} <= set(json.loads(modules))
    assert {"zipfile", "email", "hashlib"} & set(json.loads(modules)) == set()
    assert answer == "True True"


def test_help_lists_every_command_of_the_table(home: Path) -> None:
    ran = drills(home, "--help")
    assert ran.returncode == 0
    for name, entry in group.TABLE.items():
        assert f"  {name} " in ran.stdout
        assert entry.help in ran.stdout


@pytest.mark.parametrize("name", sorted(group.TABLE))
def test_every_command_of_the_table_is_there_and_has_a_help_of_its_own(name: str) -> None:
    command = group.load(name, group.TABLE[name])
    assert command.name == name
    assert command.get_short_help_str()
    inner = command.commands.items() if isinstance(command, click.Group) else ()
    for words, one in ((name, command), *((f"{name} {sub}", one) for sub, one in inner)):
        told = one.get_help(click.Context(one, info_name=f"drills {words}", max_content_width=80))
        assert "\\b" not in told, "the mark that keeps lines as they are is read as text"
        assert all(len(line) <= 80 for line in told.splitlines()), words


@pytest.mark.parametrize("where", sorted({entry.where for entry in group.TABLE.values()}))
def test_every_command_of_a_module_is_in_the_table(where: str) -> None:
    from importlib import import_module

    module, _, attribute = where.partition(":")
    for command in getattr(import_module(module), attribute):
        assert group.TABLE[command.name].where == where


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sohw"], "there is no command 'sohw'; did you mean `drills show`?"),
        (["qqqq"], "`drills --help` lists them"),
        (["show", "--nope"], "No such option"),
        (["list", "extra"], "unexpected extra argument"),
        (["show", "--output", "xml"], "'xml' is not one of"),
        (["show", "nope"], "there is no drill 'nope'"),
        (["show", "2026"], "begins the names of 2 drills"),
        (["show", "./nope"], "holds no drill"),
        (["show", ""], "there is no drill ''"),
        (["show", "n" * 300], "File name too long; check the path and its rights"),
        (["check", "n" * 300], "File name too long; check the path and its rights"),
        (["approve"], "write `drills approve [DRILL] STEP`"),
        (["resolve", "scale", "perhaps"], "say how it ended"),
        (["resolve", "scale", "done"], "say how you know"),
        (["note"], 'write `drills note [DRILL] "TEXT"`'),
        (["report", "20260101", "--to", "no/such/folder/report.md"], "cannot be written"),
    ],
)
def test_a_wrong_word_is_one_clear_message_and_exit_2(home: Path, words: list[str], says: str) -> None:
    ran = drills(home, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("words", ["list", "report 20260101", "--help", "list --output json"])
def test_a_reader_that_goes_away_is_no_error(home: Path, words: str) -> None:
    line = f"{sys.executable} -m drills {words} | head -1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    for index in range(60):
        keep(home, f"many-{index}", simulate(failover(), cut=2)) if words.startswith("list") else None
    ran = subprocess.run(
        ["/bin/bash", "-c", line], env=environment(home), capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stderr == ""
    assert ran.stdout.strip() in ("0", "141")


def told_into(stdout: int | TextIO, home: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command whose output goes there."""
    return subprocess.run(
        [sys.executable, "-m", "drills", *words],
        env=environment(home),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", ["--version", "--help", "catalog", "schema", "check", "find", "status", "list"])
def test_a_reader_that_was_gone_before_is_no_missed_objective(home: Path, words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = told_into(writer, home, words.split())
    os.close(writer)
    assert ran.stderr == ""
    assert ran.returncode in {0, 141}


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--output", "json"], ["status"], ["show", "20260101"], ["catalog"], ["--version"]]
)
def test_a_full_disk_on_stdout_is_told_and_no_success(home: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = told_into(full, home, words)
    assert ran.stderr == "drills: the output is not whole: No space left on device; make room and ask again\n"
    assert ran.returncode == 2


def test_ctrl_c_is_quiet(home: Path) -> None:
    code = (
        "import os, signal, sys, time; from drills.cli import folders; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell ignores it for what runs behind it
        "folders.every = lambda *_: (os.kill(os.getpid(), signal.SIGINT), time.sleep(1)); "
        "from drills.cli.main import main; sys.exit(main(['list']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment(home), capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 130
    assert "Traceback" not in ran.stderr


def test_without_any_drill_the_doors_say_so(tmp_path: Path) -> None:
    for words in (["status"], ["list"]):
        ran = drills(tmp_path, *words)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "there are no drills" in ran.stdout
        told = json.loads(drills(tmp_path, *words, "--output", "json").stdout)
        assert told == {"drills": []}
    assert drills(tmp_path, "show").returncode == 2


def test_drills_are_found_in_the_working_directory_without_drills_home(tmp_path: Path) -> None:
    keep(tmp_path / ".drills", "one", simulate(failover()))
    env = {name: value for name, value in environment(tmp_path).items() if name != "DRILLS_HOME"}
    ran = subprocess.run(
        [sys.executable, "-m", "drills", "list"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "one " in ran.stdout
    assert os.environ.get("DRILLS_HOME") is None


@pytest.mark.parametrize("words", ["check", "stop", "rehearse warm-standby"])
def test_a_working_folder_that_is_gone_is_told_in_a_sentence(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"cd '{gone}' && rmdir '{gone}' && exec {sys.executable} -P -m drills {words}"
    variables = {name: one for name, one in unmeasured(environment(tmp_path)).items() if name != "DRILLS_HOME"}
    ran = subprocess.run(
        ["sh", "-c", line],  # noqa: S607 - the shell of the system
        check=False, capture_output=True, text=True, timeout=60, env=variables,
    )  # fmt: skip
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False)
    assert ran.stderr.endswith("drills: the present folder is gone; go to another one\n")


@pytest.mark.parametrize(("words", "code"), [("show 20260101", 0), ("list", 0), ("show nope", 2), ("nope", 2)])
def test_output_that_nobody_opened_is_no_error(home: Path, words: str, code: int) -> None:
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        ran = subprocess.run(
            ["sh", "-c", f"{sys.executable} -m drills {words} {closed}"],  # noqa: S607 - the shell of the system
            check=False, capture_output=True, text=True, timeout=60, env=environment(home),
        )  # fmt: skip
        assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), (closed, ran.stderr)
