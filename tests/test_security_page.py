"""What SECURITY.md says is refused is refused: each sentence has its test here or names the words of the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.session import Session

from drills import yamlbuild
from drills.aws.place import Place
from drills.aws.readonly import SECRETS, WriteRefused, only_reads, refuse_writes
from drills.aws.sessions import check_wall
from drills.engine.gates.table import GATES
from drills.errors import Refused

ROOT = Path(__file__).parent.parent
PAGE = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())


def test_a_session_that_reads_refuses_writes_in_the_words_of_the_page() -> None:
    model = Session().get_service_model("rds").operation_model("PromoteReadReplica")
    with pytest.raises(WriteRefused, match="this session only reads; nothing was sent"):
        refuse_writes(model, {})
    assert "`this session only reads; nothing was sent`" in PAGE
    assert not any(only_reads(*one) for one in SECRETS)


def test_a_sandbox_elsewhere_is_refused_in_the_words_of_the_page() -> None:
    with pytest.raises(Refused, match="not this machine; nothing was sent"):
        check_wall(Place("east", "111122223333", "us-east-1", endpoint_url="https://rds.us-east-1.amazonaws.com"))
    assert "`not this machine; nothing was sent`" in PAGE


def test_every_gate_the_page_speaks_of_is_asked() -> None:
    names = {gate.name for gate in GATES}
    spoken = {"account": "An account that is not", "scope": "outside the environment's `scope`"}
    spoken |= {"credentials": "A run whose credentials may end before"}
    assert spoken.keys() <= names
    assert all(words in PAGE for words in spoken.values())


def test_the_limits_of_yaml_are_those_of_the_page() -> None:
    assert yamlbuild.MAX_BYTES == 1024 * 1024
    assert f"depth {yamlbuild.MAX_DEPTH}" in PAGE
    assert f"{yamlbuild.MAX_ALIASES:,} aliases" in PAGE


def test_the_page_is_linked_and_invents_no_address() -> None:
    assert "SECURITY.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "@" not in PAGE
    assert "private vulnerability reporting" in PAGE
