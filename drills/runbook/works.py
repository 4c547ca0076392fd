"""The work a step names: found in the catalogue, and its ``with:`` fields checked against the work's own model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from drills import catalog
from drills.errors import DrillsError
from drills.runbook.interpolate import bind, finish, references
from drills.work import Evidence, Kind
from drills.yamldoc import Node, Where, at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.runbook.problems import Problems
    from drills.services.spec import Spec

_SECRET_NAMES = frozenset({"dsn", "password", "secret", "token"})


@dataclass(frozen=True, slots=True)
class Traits:
    """What a class of work declares about itself."""

    kind: Kind
    work: type[Spec]
    permissions: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    one_way: str | None
    authority: bool
    holds_authority: bool
    idempotent: bool

    @property
    def reversible(self) -> bool:
        """Whether a step of this kind can be taken back."""
        return self.kind in (Kind.ACTION, Kind.FAULT) and self.one_way is None


class Works:
    """The catalogue as one runbook uses it: each class is imported once, and each unknown name is told once a place."""

    def __init__(self) -> None:
        self._known: dict[tuple[Kind, str], Traits | str] = {}

    def find(self, kind: Kind, name: str) -> Traits | str:
        """Give the traits of the work called ``name``, or the sentence that says why there is none."""
        key = (kind, name)
        if key not in self._known:
            try:
                self._known[key] = traits(kind, catalog.load(kind, name))
            except DrillsError as error:
                self._known[key] = str(error)
        return self._known[key]


def traits(kind: Kind, work: type[Spec]) -> Traits:
    """Read what ``work`` declares; a probe changes nothing and declares less."""
    return Traits(
        kind,
        work,
        tuple(work.permissions),
        tuple(sorted(work.evidence)),
        getattr(work, "one_way", None),
        bool(getattr(work, "authority", False)),
        bool(getattr(work, "holds_authority", False)),
        bool(getattr(work, "idempotent", True)),
    )


def check_fields(
    found: Traits, given: Mapping[str, Node], scope: Mapping[str, Node], where: Where, problems: Problems
) -> None:
    """Validate the fields under ``with:``; those whose references ``scope`` does not know are left for later.

    Unknown and missing fields are errors at once.
    """
    known = bind(dict(given), scope)
    try:
        found.work.model_validate(finish(known))
    except ValidationError as error:
        open_at = {reference.where for reference in references(known)}
        problems.pydantic(
            error, found.work, where, subject=found.work.name, skip=lambda path: _touches(path, known, open_at)
        )


def _touches(path: Where, value: Node, open_at: set[Where]) -> bool:
    """Say whether the error at ``path`` may come from a reference that is not bound yet."""
    while path and at(value, path) is None:
        path = path[:-1]
    return any(place[: len(path)] == path for place in open_at)


def secret_fields(work: type[Spec]) -> frozenset[str]:
    """Give the fields that hold a secret: by what the field says of itself, or by its name."""
    marked: set[str] = set()
    for name, field in work.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and cast("dict[str, object]", extra).get("secret"):
            marked.add(field.alias or name)
    return frozenset(marked | (_SECRET_NAMES & set(work.model_fields)))
