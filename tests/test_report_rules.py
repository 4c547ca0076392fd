"""The rules that a drill is judged by are named by all the code that makes its figures."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import drills
from drills.report import rules

PACKAGE = Path(drills.__file__).parent
FIGURES = ("measure", "observe", "report", "timeline")
"""The rooms in which figures are made; what they stand on elsewhere is named by file."""


def imported(file: Path) -> Iterator[Path]:
    """Give the files of the package that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("drills"):
            for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names)):
                found = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
                if found.is_file():
                    yield found


def test_whatever_the_judge_imports_to_make_figures_names_the_rules() -> None:
    named = {file for pattern in rules.JUDGES for file in PACKAGE.glob(pattern)}
    assert all(list(PACKAGE.glob(pattern)) for pattern in rules.JUDGES), "a pattern that names nothing"
    reached, ahead = set[Path](), [PACKAGE / "report" / "judging.py"]
    while ahead:
        file = ahead.pop()
        if file not in reached:
            reached.add(file)
            ahead += [one for one in imported(file) if one.parent.name in FIGURES or one in named]
    assert reached - named == {Path(rules.__file__)}
