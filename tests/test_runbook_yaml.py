from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from drills import yamldoc
from drills.errors import Invalid, Problem
from drills.runbook.interpolate import bind, finish, references
from drills.runbook.load import read_environment, read_runbook

if TYPE_CHECKING:
    from drills.yamldoc import Node

HERE = Path("here.yaml")
RUNBOOK_WORDS = tuple(
    """
    runbook title strategy objectives rto rpo measure availability data steps parallel id action fault probe operator
    with needs on_failure run finally undo keep failback mark decided at from to say timeout every 5s -1 0 1e9 true
    flow.nothing rds.promote_read_replica http.answers confirm ${a} ${steps.a.output.b} ${ $${x} parameters type null
    environment kind sandbox sites account region world primary record values active scope when show only retry default
    """.split()  # noqa: SIM905 - a list of words is read more easily as words
)

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(RUNBOOK_WORDS)
)
keys = st.one_of(st.sampled_from(RUNBOOK_WORDS), st.text(max_size=4))
nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=30,
)


def _problems(text: str) -> list[Problem]:
    """Read ``text`` as whatever it may be; anything but ``Invalid`` goes through to the test."""
    try:
        doc = yamldoc.parse(text, "here.yaml")
    except Invalid as error:
        return list(error.problems)
    found: list[Problem] = []
    for read in (read_runbook, read_environment):
        try:
            read(doc, HERE)
        except Invalid as error:
            found += error.problems or [Problem("", 0, "an error without a problem")]
    return found


def _survives(text: str) -> None:
    lines = text.count("\n") + 2
    assert [one for one in _problems(text) if not (1 <= one.line <= lines and one.message)] == []


@given(st.text(max_size=200))
@settings(deadline=None)
def test_garbage_is_invalid_and_never_anything_else(text: str) -> None:
    _survives(text)


@given(st.text(alphabet=":-[]{}&*!|>'\"%@`#,?~<= \n\tab0123", max_size=120))
@settings(deadline=None, max_examples=300)
def test_garbage_of_yaml_signs_is_invalid_and_never_anything_else(text: str) -> None:
    _survives(text)


@given(nodes)
@settings(deadline=None, max_examples=300)
def test_any_yaml_is_read_or_invalid(node: object) -> None:
    _survives(yaml.safe_dump(node, allow_unicode=True))


@given(st.dictionaries(st.sampled_from(RUNBOOK_WORDS), nodes, max_size=12), st.lists(nodes, max_size=4))
@settings(deadline=None, max_examples=200)
def test_anything_that_looks_like_a_runbook_is_read_or_invalid(top: dict[str, object], steps: list[object]) -> None:
    _survives(yaml.safe_dump({"runbook": "a", "title": "b", **top, "steps": steps}))


written = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=10)
names = st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=6)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**17), 10**17), written, names),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=20,
)


@given(plain)
@settings(deadline=None)
def test_plain_values_come_back_as_they_were_written(value: object) -> None:
    assert yamldoc.parse(yaml.safe_dump(value, allow_unicode=True), "x").data == value


def test_words_and_times_stay_text_and_only_true_false_null_and_decimals_are_more() -> None:
    text = (
        "on: [on, yes, No, TRUE, 1:30, 0o17, 017, 0x1f, 1_000, .5, +1, 2026-01-01, ~, null, true, false, -3, 2.5, 1e3]"
    )
    doc = yamldoc.parse(text, "x")
    assert doc.data == {
        "on": [
            *("on", "yes", "No", "TRUE", "1:30", "0o17", "017", "0x1f", "1_000", ".5", "+1", "2026-01-01"),
            *(None, None, True, False, -3, 2.5, "1e3"),
        ]
    }


def test_every_node_knows_its_line() -> None:
    doc = yamldoc.parse("a:\n  b:\n    - x\n    - c: 1\n      d:\n        e: 2\nf: 3\n", "x")
    lines = {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 0): 3,
        ("a", "b", 1): 4,
        ("a", "b", 1, "d"): 5,
        ("a", "b", 1, "d", "e"): 6,
        ("f",): 7,
        ("a", "b", 1, "missing"): 4,
        ("gone", "too"): 1,
    }
    assert {path: doc.line(path) for path in lines} == lines


def test_an_alias_repeats_and_a_merge_fills_in() -> None:
    doc = yamldoc.parse("base: &b {x: 1, y: 2}\none: *b\ntwo:\n  <<: *b\n  y: 3\n", "x")
    assert doc.data == {"base": {"x": 1, "y": 2}, "one": {"x": 1, "y": 2}, "two": {"y": 3, "x": 1}}


@pytest.mark.parametrize("text", ["[" * 50_000, "{a: " * 50_000, "- " * 50_000, "? " * 50_000, "a: &a [*a]\n" * 3])
def test_what_kills_the_c_composer_is_refused_in_a_process_that_lives(text: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(text, encoding="utf-8")
    code = "import sys, pathlib\nfrom drills import yamldoc\nfrom drills.errors import Invalid\n"
    code += "try:\n    yamldoc.load(pathlib.Path(sys.argv[1]))\nexcept Invalid as e:\n    sys.exit(e.exit_code)\n"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, capture_output=True, timeout=60)
    assert done.returncode == 5, done.stderr.decode()[-500:]


def test_an_alias_bomb_is_counted_written_out() -> None:
    wide = "a: &a [" + "1," * 5000 + "]\n" + "".join(f"b{n}: *a\n" for n in range(200))
    with pytest.raises(Invalid, match="holds more than 400000 values"):
        yamldoc.parse(wide, "x")


values = st.one_of(st.integers(), st.booleans(), st.text(alphabet="ab${}. ", max_size=8))


@given(st.text(alphabet="${}ab. ", max_size=20), st.dictionaries(st.sampled_from(["a", "b", "a.b"]), values))
def test_binding_never_reads_what_it_has_put_in(text: str, scope: dict[str, str | int | bool]) -> None:
    once = bind(text, scope)
    assert bind(once, scope) == once


@given(st.text(max_size=30))
def test_escaped_text_comes_out_as_it_was_meant(text: str) -> None:
    assert finish(bind(text.replace("${", "$${"), {})) == text.replace("$${", "${") or "$${" in text


def test_a_whole_reference_keeps_its_type_and_a_part_becomes_text() -> None:
    scope: dict[str, Node] = {"n": 4, "yes": True, "from.dsn": "postgresql://a"}
    given: dict[str, Node] = {
        "whole": "${n}",
        "part": "n=${n} ${ yes }",
        "site": "${from.dsn}",
        "list": ["${yes}"],
        "esc": "$${n}",
    }
    assert finish(bind(given, scope)) == {
        "whole": 4,
        "part": "n=4 true",
        "site": "postgresql://a",
        "list": [True],
        "esc": "${n}",
    }
    assert [one.name for one in references(given)] == ["n", "n", "yes", "from.dsn", "yes"]
