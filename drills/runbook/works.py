"""The work a step names: found in the catalogue, and its ``with:`` fields checked against the work's own model."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec
from pydantic import ValidationError

from drills import catalog
from drills.errors import DrillsError, Rejected
from drills.runbook.interpolate import bind, finish, references
from drills.runbook.problems import sentence
from drills.work import Cost, Evidence, Expiring, Kind
from drills.yamldoc import Node, Where, at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drills.runbook.interpolate import Reference
    from drills.runbook.problems import Problems
    from drills.services.spec import Spec
    from drills.timeline.facts import Json

KEPT: Final = 1024
"""So many works are kept as they were read: a step is checked, planned and begun with the same fields."""
_CHANGE = (Kind.ACTION, Kind.FAULT)
_OPEN: Final = b"${"
_NULL: Final = b"null"
_SECRET_NAMES = frozenset({"dsn", "password", "secret", "token"})


class Traits(NamedTuple):
    """What a work declares about itself: its class, or where it varies, the work as a step describes it."""

    kind: Kind
    work: type[Spec]
    permissions: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    one_way: str | None
    authority: bool
    holds_authority: bool
    idempotent: bool
    cost: Cost = Cost.NONE
    expires_s: float | None = None
    """After how many seconds the change ends by itself; None: never, or its fields are not all known yet."""

    @property
    def reversible(self) -> bool:
        """Whether a step of this kind can be taken back."""
        return self.kind in _CHANGE and self.one_way is None


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


def traits(kind: Kind, work: type[Spec], given: Spec | None = None) -> Traits:
    """Read what ``work`` declares, or the one that was ``given``; a probe changes nothing and declares less."""
    told = work if given is None else given
    return Traits(
        kind,
        work,
        tuple(told.permissions),
        tuple(sorted(told.evidence)),
        getattr(told, "one_way", None),
        bool(getattr(told, "authority", False)),
        bool(getattr(told, "holds_authority", False)),
        bool(getattr(told, "idempotent", True)),
        getattr(told, "cost", Cost.NONE),
    )


def check_fields(
    found: Traits, given: Mapping[str, Node], scope: Mapping[str, Node], where: Where, problems: Problems
) -> Traits:
    """Validate the fields under ``with:``; those whose references ``scope`` does not know are left for later.

    Unknown and missing fields are errors at once. Gives what the work declares with these fields: all of it when
    the whole model fits, else as far as the fields that are known say.
    """
    written = _written(given)
    if written is not None and _OPEN not in written:
        try:
            return _declared(found, written)
        except ValidationError:
            pass  # what is wrong is told below, where it stands
    _check_written_out(found, given, where, problems)
    known = bind(dict(given), scope)
    finished = cast("dict[str, Node]", finish(known))
    try:
        made: Spec = found.work.model_validate(finished)
    except ValidationError as error:
        open_at = {one.where for one in references(known) if not is_own(found.work, one.where, one)}
        problems.pydantic(
            error, found.work, where, subject=found.work.name, skip=lambda path: _touches(path, known, open_at)
        )
        if not found.work.varies:
            return found
        wrong = {one["loc"][0] for one in error.errors(include_url=False) if one["loc"]}
        made = _as_far_as_known(found.work, {name: value for name, value in finished.items() if name not in wrong})
        return traits(found.kind, found.work, made)
    return _told(found, made)


def _told(found: Traits, made: Spec) -> Traits:
    """Give what a work declares with all its fields known."""
    told = traits(found.kind, found.work, made) if found.work.varies else found
    ends = made.self_expiry() if found.kind in _CHANGE and isinstance(made, Expiring) else None
    return told if ends is None else told._replace(expires_s=ends.total_seconds())


@lru_cache(KEPT)
def _declared(found: Traits, written: bytes) -> Traits:
    """Give what a work declares with the fields that stand in this JSON; pydantic's error when they do not fit."""
    return _told(found, _made(found.work, written))


@lru_cache(KEPT)
def _made(work: type[Spec], written: bytes) -> Spec:
    """Make a work of the fields in this JSON."""
    return work.model_validate(msgspec.json.decode(written))


def _written(fields: Mapping[str, Node]) -> bytes | None:
    """Write fields as JSON, None when they cannot be (a number beyond 64 bits, half of a surrogate pair, no number)."""
    given = dict(fields.items())
    try:
        written = msgspec.json.encode(given)
    except (TypeError, ValueError, OverflowError):
        return None
    # What is no finite number is written as null, and is not the same when it is read.
    return written if _NULL not in written or msgspec.json.decode(written) == given else None


def declared(kind: Kind, name: str, given: Mapping[str, Json]) -> Traits:
    """Give what the work called ``name`` declares with these fields, or its class alone where they do not fit yet."""
    work = catalog.load(kind, name)
    try:
        return traits(kind, work, work.model_validate(dict(given)))
    except ValidationError:
        return traits(kind, work)


def is_own(work: type[Spec] | None, where: Where, reference: Reference) -> bool:
    """Say whether the work itself fills a reference in while it runs; ``where`` begins with the field's name."""
    return work is not None and bool(where) and reference.head in work.own_names.get(str(where[0]), ())


def build(work: type[Spec], params: Mapping[str, Json]) -> Spec:
    """Make the work of a step that is about to begin; ``Rejected`` when an output does not fit its field."""
    written = _written(params)
    try:
        if written is None:
            return work.model_validate(dict(params))
        made = _made(work, written)
        return made.model_copy() if work.__private_attributes__ else made  # what it remembers is of one step alone
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)
        told = "; ".join(sentence(one, work, work.name) for one in wrong)
        raise Rejected(f"{work.name}: {told}") from error


def _as_far_as_known(work: type[Spec], given: Mapping[str, Node]) -> Spec:
    """Make the work without checking, from the plain values that are right."""
    blank = [field.alias or name for name, field in work.model_fields.items() if field.is_required()]
    plain = {name: value for name, value in given.items() if isinstance(value, str | int | float)}
    return work.model_construct(None, **{**dict.fromkeys(blank, ""), **plain})


def _check_written_out(found: Traits, given: Mapping[str, Node], where: Where, problems: Problems) -> None:
    for name in found.work.decided_by:
        if any(True for _ in references(given.get(name))):
            told = f"{name}: write it out here; what can be taken back must be known when the runbook is read"
            problems.add((*where, name), told)


def _touches(path: Where, value: Node, open_at: set[Where]) -> bool:
    """Say whether the error at ``path`` may come from a reference that is not bound yet."""
    while path and at(value, path) is None:
        path = path[:-1]
    return any(place[: len(path)] == path for place in open_at)


@cache
def secret_fields(work: type[Spec]) -> frozenset[str]:
    """Give the fields that hold a secret: by what the field says of itself, or by its name."""
    marked: set[str] = set()
    for name, field in work.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and cast("dict[str, object]", extra).get("secret"):
            marked.add(field.alias or name)
    return frozenset(marked | (_SECRET_NAMES & set(work.model_fields)))
