"""What ``drills catalog`` tells about each work: read from its class, so that it cannot be out of date."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills import catalog
from drills.errors import Usage
from drills.runbook.problems import did_you_mean
from drills.runbook.works import Traits, traits
from drills.work import Kind

if TYPE_CHECKING:
    from drills.timeline.facts import Json


@dataclass(frozen=True, slots=True)
class Entry:
    """One work as a person reads it."""

    name: str
    kind: str
    doc: str
    found: Traits

    @property
    def intent(self) -> str:
        """The first sentence of its documentation."""
        return self.doc.partition("\n")[0]

    @property
    def fields(self) -> tuple[tuple[str, str, bool], ...]:
        """Name, description and whether it must be given, of each field."""
        fields = self.found.work.model_fields
        return tuple(
            (field.alias or name, field.description or "", field.is_required()) for name, field in fields.items()
        )

    @property
    def way_back(self) -> str:
        """How it can be taken back."""
        if self.kind in (Kind.PROBE, Kind.OPERATOR):
            return "changes nothing"
        if {"undo", "one_way"} <= {name for name, _, _ in self.fields}:
            return "`undo` takes it back, or `one_way` says why nothing does"
        if self.found.one_way is None:
            return "can be taken back"
        return f"one way: {self.found.one_way}"

    def json(self) -> dict[str, Json]:
        """Give the entry as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "intent": self.intent,
            "fields": [{"name": name, "help": text, "required": must} for name, text, must in self.fields],
            "permissions": list(self.found.permissions),
            "one_way": self.found.one_way,
            "authority": self.found.authority,
            "doc": self.doc,
        }

    def text(self) -> str:
        """Write the entry for a terminal."""
        told = self.doc.replace(".. code-block:: yaml", "Example:").replace("``", "`")
        lines = [f"{self.kind}: {self.name}  ({self.way_back})", "", told, ""]
        if self.fields:
            lines.append("Fields:")
            lines += [f"  {name}{'' if must else ' (optional)'}  {text}" for name, text, must in self.fields]
        if self.found.permissions:
            lines.append("IAM permissions:")
            lines += [f"  {permission}" for permission in self.found.permissions]
        return "\n".join(lines).rstrip()


def entries() -> tuple[Entry, ...]:
    """Give every work, by kind and name."""
    return tuple(_entry(kind, name) for kind in Kind for name in catalog.names(kind))


def entry(name: str) -> Entry:
    """Give the work called ``name``; ``Usage`` names the nearest."""
    for kind in Kind:
        if name in catalog.names(kind):
            return _entry(kind, name)
    every = [one for kind in Kind for one in catalog.names(kind)]
    raise Usage(f"there is no {name!r} in the catalogue; {did_you_mean(name, every)}")


def _entry(kind: Kind, name: str) -> Entry:
    found = traits(kind, catalog.load(kind, name))
    return Entry(name, kind.value, inspect.getdoc(found.work) or "", found)
