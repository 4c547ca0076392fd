"""What a benchmark writes down of the code that it measured."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false")
    words = ("git", *who, *words)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_results_of_other_benchmarks_are_no_change_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bar takes its old result away before it begins: with that alone the commit would always carry a plus."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    record = importlib.import_module("record")
    code, result = tmp_path / "code.py", tmp_path / "benchmarks" / "results" / "storms.json"
    result.parent.mkdir(parents=True)
    code.write_text("1\n", encoding="utf-8")
    result.write_text("{}\n", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    monkeypatch.setattr(record, "ROOT", tmp_path)
    result.unlink()
    assert record.commit() == head
    code.write_text("2\n", encoding="utf-8")
    assert record.commit() == f"{head}+"
