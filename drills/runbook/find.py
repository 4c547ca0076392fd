"""Find runbooks and environments by what people call them. Reads headers only; imports no model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import drills
from drills import yamldoc
from drills.errors import Invalid, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNBOOKS: Final = Path("runbooks")
ENVIRONMENTS: Final = Path("environments")
MOST_FILES: Final = 2_000
_ENDINGS: Final = (".yaml", ".yml")
_EXAMPLE: Final = ".example"


class Header(NamedTuple):
    """What a runbook says about itself at its top; ``broken`` says why it could not be read."""

    path: Path
    name: str
    title: str = ""
    service: str = ""
    severity: str = ""
    strategy: str = ""
    owner: str = ""
    broken: str = ""

    def json(self) -> dict[str, str]:
        """Give the header as JSON."""
        return {
            "file": str(self.path),
            "runbook": self.name,
            "title": self.title,
            "service": self.service,
            "severity": self.severity,
            "strategy": self.strategy,
            "owner": self.owner,
        }


def runbook_path(name: str, folder: Path = RUNBOOKS) -> Path:
    """Find a runbook by its path, its file's name or its own name; ``Usage`` names the nearest.

    Where ``folder`` is not there, those that came with drills are asked.
    """
    return _path(name, here_or_shipped(folder), "runbook")


def environment_path(name: str, folder: Path = ENVIRONMENTS, book: Path | None = None) -> Path:
    """Find an environment by its path, its file's name or its own name; ``Usage`` names the nearest.

    Where ``folder`` is not there, the ``environments/`` that stands beside the folder of the runbook ``book`` is asked,
    then those that came with drills.
    """
    if not folder.is_dir():
        beside = book.resolve().parent.parent / ENVIRONMENTS if book is not None else folder
        folder = beside if beside.is_dir() else shipped(folder)
    return _path(name, folder, "environment")


def environment_name(name: str) -> str:
    """Give the name that an environment calls itself, of its path, its file's name or its own; errors as above."""
    path = environment_path(name)
    return _own_name(path, "environment") or path.stem


def beside(name: str, book: Path) -> Path:
    """Find a file that the runbook ``book`` names; ``Usage`` with the places where it is not.

    Asked are the present folder, the runbook's own and the one above it, then what came with drills.
    """
    given = Path(name)
    around = book.resolve().parent
    places = [given, around / given, around.parent / given, shipped(given.parent) / given.name]
    found = next((one for one in places if one.is_file()), None)
    if found is None:
        raise Usage(f"there is no file {name!r}, neither here nor in {around} nor in {around.parent}; check its name")
    return found


def here_or_shipped(folder: Path) -> Path:
    """Give the folder where it is there, else the one of that name that came with drills."""
    return folder if folder.is_dir() else shipped(folder)


def shipped(folder: Path) -> Path:
    """Give the folder of that name that came with drills: installed with the package, or beside it in a checkout."""
    package = Path(drills.__file__).resolve().parent
    found = (base / folder.name for base in (package / "shipped", package.parent))
    return next((one for one in found if one.is_dir()), folder)


def headers(folder: Path = RUNBOOKS) -> Iterator[Header]:
    """Give the header of every runbook in ``folder`` (not there: of those that came with drills), by file name."""
    for path in files(here_or_shipped(folder)):
        try:
            data = yamldoc.load(path).data
        except Invalid as error:
            yield Header(path, path.stem, broken=str(error.problems[0]))
            continue
        if not isinstance(data, dict) or "runbook" not in data:
            continue
        said = {key: value for key, value in data.items() if isinstance(value, str)}
        yield Header(
            path,
            said.get("runbook", path.stem),
            said.get("title", ""),
            said.get("service", ""),
            said.get("severity", ""),
            said.get("strategy", ""),
            said.get("owner", ""),
        )


def files(folder: Path) -> list[Path]:
    """Give the YAML files of ``folder``, sorted; none when it is not there."""
    if not folder.is_dir():
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS and path.is_file())[:MOST_FILES]
    except OSError as error:
        raise Usage(f"{folder}/ cannot be read: {error.strerror}; check its rights") from error


def _path(name: str, folder: Path, what: str) -> Path:
    given = Path(name)
    if given.suffix in _ENDINGS or "/" in name:
        if given.is_file():
            return given
        if "/" in name:
            raise Usage(f"there is no {what} file {name}; check the path")
    by_file = {path.stem: path for path in files(folder)} | {path.name: path for path in files(folder)}
    if name in by_file:
        return by_file[name]
    own = {_own_name(path, what): path for path in files(folder)}
    if name in own:
        if own[name].stem.endswith(_EXAMPLE):
            raise Usage(_example(own[name], name))
        return own[name]
    from difflib import get_close_matches

    examples = {called or path.stem: path for called, path in own.items() if path.stem.endswith(_EXAMPLE)}
    stems = {path.stem for path in files(folder) if not path.stem.endswith(_EXAMPLE)}
    names = sorted(stems | (own.keys() - examples.keys() - {""}))
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if not near and folder.is_dir():
        told = (_example(path, called) for called, path in examples.items())
        holds = "; ".join((f"{folder}/ holds: {', '.join(names) or 'none'}", *told))
    else:
        holds = _nowhere(folder, what)
    raise Usage(f"there is no {what} {name!r}; " + (f"did you mean {near[0]!r}?" if near else holds))


def _example(path: Path, name: str) -> str:
    mine = path.with_name(f"{name}.yaml").name
    return f"{path.name} is an example; copy it to {mine}, and put your own accounts and names in"


def _nowhere(folder: Path, what: str) -> str:
    where = Path.cwd()
    return f"there is no folder {folder}/ in {where}; go to where it is, or give the path of the {what}'s file"


def _own_name(path: Path, what: str) -> str:
    try:
        data = yamldoc.load(path).data
    except Invalid:
        return ""
    value = data.get(what) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""
