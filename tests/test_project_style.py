"""The style of the house, kept by tests: what a reviewer would otherwise have to say twice."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from drills.cli.group import TABLE, load
from drills.runbook.load import load_environment, load_runbook

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
UNTRACKED = frozenset({"__pycache__", "dist", "build"})
TRACKED_DOTS = frozenset({".ci", ".editorconfig", ".gitignore"})
MOST_LINES = 330
MOST_LINES_OF_A_FUNCTION = 60
LONG = {
    "drills/engine/execute.py": "all endings are decided in one place",
    "drills/engine/state.py": "the fold is read from top to bottom, one case for each event",
    "drills/timeline/events.py": "every fact in one place, in the order in which it happens",
    "drills/yamldoc.py": "one door to YAML: the limits, the values and the lines are counted in one pass",
}
LONG_FUNCTIONS = {"drills/engine/compile.py compile_plan": "one line for each field of a plan"}
NOT_THERE_YET: frozenset[str] = frozenset()
ELSEWHERE = re.compile(
    r"(?<![\w.}$*-])/(?:home|root|Users|work|opt)/\w"  # a path of somebody's machine
    r"|pypi\.org|pythonhosted|(?<!no-emit-)index-url|find-links"  # where packages come from is the reader's choice
)
NOT_OURS = re.compile(
    r"(?<!user[ _-])(?<!ssm[ _-])(?<!cloudwatch[ _-])\bagents?\b|\bworkplace\b|\blanguage model\b|\bchatbot\b"
    r"|\b(?:another|earlier|previous) session\b|\bissue #?\d+\b",
    re.IGNORECASE,
)


def ours(*suffixes: str) -> Iterator[Path]:
    """Every file of the project with one of the suffixes (none: all text), without what is made or downloaded."""
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT)
        hidden = any(
            part in UNTRACKED or part.endswith(".egg-info") or (part.startswith(".") and part not in TRACKED_DOTS)
            for part in inside.parts
        )
        if path.is_file() and not hidden and (not suffixes or path.suffix in suffixes):
            yield path


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_no_file_is_long_without_a_reason() -> None:
    files = [path for path in ours(".py") if path.is_relative_to(ROOT / "drills")]
    long = {named(path) for path in files if len(path.read_text().splitlines()) > MOST_LINES}
    assert long - LONG.keys() == set(), "split it by its second concept, or give a reason in LONG"
    assert {name for name in LONG if not (ROOT / name).is_file()} == set(), "LONG lists what is gone"


def test_no_function_is_long() -> None:
    long = {
        f"{named(path)} {node.name}"
        for path in ours(".py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    }
    assert long - LONG_FUNCTIONS.keys() == set(), "split it, or give a reason in LONG_FUNCTIONS"


def test_every_file_has_a_name_that_says_what_is_in_it() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
    assert [named(path) for path in ours(".py") if path.stem in vague] == []


def test_nothing_is_mocked() -> None:
    guilty: list[str] = []
    for path in ours(".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            if any(name.startswith(("unittest", "mock", "pytest_mock")) for name in (*names, module)):
                guilty.append(f"{named(path)}:{getattr(node, 'lineno', 0)}")
    assert guilty == [], "test against moto, the sandbox or drills.testing"


@pytest.mark.parametrize("pattern", [ELSEWHERE, NOT_OURS], ids=["other places", "other subjects"])
def test_the_files_speak_of_drills_and_of_no_machine_in_particular(pattern: re.Pattern[str]) -> None:
    found: list[str] = []
    for path in ours():
        if path == Path(__file__) or path.name == "LICENSE":
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{named(path)}:{number}: {hit.group()}"
            for number, line in enumerate(lines, start=1)
            if (hit := pattern.search(line)) is not None
        ]
    assert found == []


def test_the_lock_names_no_place_and_pins_a_hash_for_each_package() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "\n-" not in f"\n{text}"
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.\[\]-]+==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_lock_is_in_step_with_what_the_project_asks_for() -> None:
    locked = dict(
        re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    about = project()
    asked = [*about["dependencies"], *(one for extra in about["optional-dependencies"].values() for one in extra)]
    stale = [
        text
        for text in asked
        if not (one := Requirement(text)).specifier.contains(locked.get(canonicalize_name(one.name), "0"))
        or canonicalize_name(one.name) not in locked
    ]
    assert stale == [], "run `make lock`"


def test_the_sandbox_brings_what_the_gateway_needs_of_moto_and_no_more() -> None:
    extras = {name: [Requirement(one) for one in asked] for name, asked in project()["optional-dependencies"].items()}
    (moto,) = [one for one in extras["sandbox"] if one.name == "moto"]
    assert moto.extras == set()
    assert any(limit.operator in {"<", "==", "~="} for limit in moto.specifier), (
        "moto's gaps are pinned with its minor version"
    )
    assert set(extras) == {"sandbox", "dev", "mysql", "redis"}
    heavy = {
        "docker",
        "aws-sam-translator",
        "cfn-lint",
        "openapi-spec-validator",
        "jsonschema",
        "graphql-core",
        "sympy",
    }
    assert heavy.isdisjoint(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
    assert "Keep a Changelog" in text


def test_the_readme_begins_with_two_commands() -> None:
    top = (ROOT / "README.md").read_text().splitlines()[:20]
    assert [line.split()[1] for line in top if line.startswith("make ")] == ["drill", "test"]


def test_every_make_command_that_is_told_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CHANGELOG.md", ".ci/run", "benchmarks/prove.py"):
        told = set(re.findall(r"(?:^|`|exec )make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE))
        assert told <= targets, name


def test_every_file_and_folder_the_readme_links_exists() -> None:
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / "README.md").read_text())
    assert [name for name in linked if not (ROOT / name).exists()] == []


def told_commands() -> list[tuple[str, str]]:
    """Every `drills COMMAND ...` in the README's code: the command, and what follows it."""
    text = (ROOT / "README.md").read_text()
    code = [*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"`(drills [^`\n]+)`", text)]
    return re.findall(r"^drills ([a-z]+)([^#\n]*)", "\n".join(code), re.MULTILINE)


def test_every_drills_command_the_readme_tells_exists() -> None:
    told = {name for name, _ in told_commands()}
    assert len(told) > 5
    assert told - NOT_THERE_YET <= set(TABLE)
    assert NOT_THERE_YET.isdisjoint(TABLE), "the README calls this missing, and it is there"


def test_every_option_the_readme_gives_to_a_command_exists() -> None:
    for name, rest in told_commands():
        if name in TABLE:
            command: Any = load(name, TABLE[name])
            parts = [command, *getattr(command, "commands", {}).values()]  # a group's options are those of its commands
            known = {option for part in parts for one in part.params for option in one.opts}
            assert set(re.findall(r"--[a-z-]+", rest)) <= known, name


def test_the_examples_of_the_readme_are_right(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    whole: dict[str, dict[str, Any]] = {}
    for example in examples:
        told = yaml.safe_load(example)
        kind = "environment" if {"environment", "windows"} & told.keys() else "runbook"
        whole[kind] = extended(whole.get(kind, {}), told)  # a part extends the whole that stands above it
        path = tmp_path / f"{kind}.yaml"
        path.write_text(example if kind in told else yaml.safe_dump(whole[kind], sort_keys=False))
        if kind == "environment":
            assert load_environment(path).model.environment == "staging"
        else:
            assert load_runbook(path).warnings == () or kind not in told
    assert set(whole) == {"environment", "runbook"}


def extended(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Put the fields of a part into the whole: mappings and lists grow by what is new."""
    made = dict(whole)
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(made.get(name), dict):
            made[name] = extended(made[name], cast("dict[str, Any]", value))
        elif isinstance(value, list) and isinstance(made.get(name), list):
            items = cast("list[dict[str, Any]]", value)
            new = {one.get("id") for one in items}
            made[name] = [one for one in made[name] if one.get("id") not in new] + items
        else:
            made[name] = value
    return made


@pytest.mark.parametrize("folder", ["runbooks", "environments"])
def test_every_shipped_yaml_tells_editors_its_schema(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.yaml"))
    assert files
    for path in files:
        header = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
        assert header, f"{named(path)} begins without the header"
        assert (path.parent / header.group(1)).is_file(), f"{named(path)}: there is no {header.group(1)}"
