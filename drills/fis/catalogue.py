"""What AWS FIS can do, read from ``catalogue.yaml``: actions, their targets and parameters, and who heals them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from drills import yamldoc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.yamldoc import Node

FILE: Final = Path(__file__).with_name("catalogue.yaml")


class Heals(StrEnum):
    """Who takes the effect of an action back."""

    FIS = "fis"
    """FIS, when the action or the experiment ends."""
    ITSELF = "itself"
    """What was hit comes back by itself, or its scheduler replaces it."""
    LASTS = "lasts"
    """FIS, but only where the parameter that says for how long is given."""
    NEVER = "never"
    HARMLESS = "harmless"
    """There is nothing to take back."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an action or of a target. ``one_of`` is empty where any value is taken."""

    name: str
    required: bool
    default: str = ""
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FisAction:
    """One action. ``target_key`` and ``resource_type`` are empty where it has no target.

    ``by`` says the only way in which its targets may be named (``arns``, ``tags``), or nothing. ``lasts`` names the
    parameter that holds its duration, ``needs`` what the experiment's role must be allowed to do.
    """

    id: str
    heals: Heals
    target_key: str = ""
    resource_type: str = ""
    by: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    lasts: str = ""
    needs: tuple[str, ...] = ()
    note: str = ""
    instead: str = ""


@cache
def actions() -> Mapping[str, FisAction]:
    """Give every action by its id."""
    given = cast("dict[str, dict[str, Node]]", _data()["actions"])
    return MappingProxyType({name: _action(name, one) for name, one in given.items()})


@cache
def resources() -> Mapping[str, Mapping[str, Parameter]]:
    """Give the parameters that a target may have, by its resource type."""
    given = cast("dict[str, dict[str, str]]", _data()["resources"])
    return MappingProxyType({name: _parameters(one) for name, one in given.items()})


@cache
def _data() -> dict[str, Node]:
    return cast("dict[str, Node]", yamldoc.load(FILE).data)


def _action(name: str, given: Mapping[str, Node]) -> FisAction:
    key, _, resource = str(given.get("target", "")).partition(" ")
    return FisAction(
        name,
        Heals(str(given["heals"])),
        key,
        resource,
        str(given.get("by", "")),
        _parameters(cast("dict[str, str]", given.get("parameters", {}))),
        str(given.get("lasts", "")),
        tuple(cast("list[str]", given.get("needs", []))),
        str(given.get("note", "")),
        str(given.get("instead", "")),
    )


def _parameters(given: Mapping[str, str]) -> Mapping[str, Parameter]:
    return MappingProxyType({name: _parameter(name, text) for name, text in given.items()})


def _parameter(name: str, text: str) -> Parameter:
    word, _, values = text.partition(" ")
    one_of = tuple(values.split("|")) if values else ()
    return Parameter(name, word == "required", word[1:] if word.startswith("=") else "", one_of)
