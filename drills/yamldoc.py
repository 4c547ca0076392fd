"""The one door to YAML: plain data and the line of every node, from text nobody needs to trust."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from drills.errors import Problem
from drills.yamlbuild import MAX_BYTES, Builder, Node, invalid

if TYPE_CHECKING:
    from pathlib import Path

_UNSEEN = re.compile("[\x85\u2028\u2029]")
"""What only YAML takes for the end of a line: no editor shows it, and every line behind it would be told wrong."""
Where: TypeAlias = "tuple[str | int, ...]"


class Doc(msgspec.Struct, frozen=True):
    """One YAML file: its name, its plain data, and where each node stands."""

    name: str
    data: Node
    _first: int
    _lines: dict[int, dict[str | int, int]]

    def line(self, path: Where) -> int:
        """Give the line of the node at ``path`` (in a mapping, of its key); of the nearest parent if missing."""
        node: Node = self.data
        line = self._first
        for part in path:
            found = self._lines.get(id(node), {}).get(part)
            if found is None:
                return line
            line = found
            node = _child(node, part)
        return line

    def problem(self, path: Where, message: str) -> Problem:
        """Say that something is wrong at ``path``."""
        return Problem(self.name, self.line(path), message)


def at(node: Node, path: Where) -> Node:
    """Give what stands at ``path`` below ``node``; None when nothing does."""
    for part in path:
        node = _child(node, part)
    return node


def present(node: Node, path: Where) -> bool:
    """Say whether anything, even ``null``, stands at ``path`` below ``node``."""
    if not path:
        return True
    *above, last = path
    holder = at(node, tuple(above))
    if isinstance(holder, dict):
        return last in holder
    return isinstance(holder, list) and isinstance(last, int) and 0 <= last < len(holder)


def _child(node: Node, part: str | int) -> Node:
    if isinstance(node, dict) and isinstance(part, str):
        return node.get(part)
    if isinstance(node, list) and isinstance(part, int) and 0 <= part < len(node):
        return node[part]
    return None


def load(path: Path) -> Doc:
    """Read the YAML file at ``path``; ``Invalid`` when it cannot be read or is not plain, bounded YAML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise invalid(str(path), 1, f"cannot be read: {error.strerror or error}; check the path") from error
    if len(raw) > MAX_BYTES:
        raise invalid(str(path), 1, f"is larger than {MAX_BYTES} bytes; split it")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise invalid(str(path), line, "is not UTF-8 text; save the file as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Doc:
    """Read YAML text; ``name`` is the file to blame. ``Invalid`` with the line of what is wrong."""
    import yaml

    if len(text) > MAX_BYTES:
        raise invalid(name, 1, f"is larger than {MAX_BYTES} bytes; split it")
    if not text.isascii() and (unseen := _UNSEEN.search(text)):
        line, code = text.count("\n", 0, unseen.start()) + 1, ord(unseen[0])
        raise invalid(name, line, f"holds U+{code:04X}, which YAML takes for the end of the line; remove it")
    builder = Builder(name)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        builder.take(iter(loader(text).get_event, None))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise invalid(name, line, _syntax(error.problem or error.context or "unreadable")) from error
    except yaml.reader.ReaderError as error:
        position = error.position if isinstance(error.position, int) else 0
        line = text.count("\n", 0, position) + 1
        raise invalid(name, line, "holds a control character; remove it or write it as an escape in quotes") from error
    except UnicodeError as error:
        raise invalid(name, 1, "is not UTF-8 text; save the file as UTF-8") from error
    return Doc(name, builder.root, builder.first, builder.lines)


def _syntax(problem: str) -> str:
    hint = "check the indentation, brackets and quotes here and on the line above"
    if "found character that cannot start any token" in problem or "tab character" in problem:
        hint = "indent with spaces, never tabs, and quote text that begins with @, ` or %"
    elif "mapping values are not allowed" in problem:
        hint = "quote text that holds ': ', or check the indentation"
    elif "undefined alias" in problem:
        hint = "define it with &name above its first use"
    return f"not YAML: {problem}; {hint}"
