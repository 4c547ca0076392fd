"""The one door to YAML: plain data and the line of every node, from text nobody needs to trust.

Data is built here from libyaml's flat event stream, without recursion: the C composer dies with SIGSEGV on
50,000 opening brackets, and PyYAML's constructor reads ``on`` as true and ``1:30`` as 90. Limits are counted
while events arrive: bytes, depth, alias uses as they expand, and nodes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from drills.errors import Invalid, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Node: TypeAlias = "bool | int | float | str | list[Node] | dict[str, Node] | None"
Where: TypeAlias = "tuple[str | int, ...]"

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 60
MAX_ALIASES: Final = 2_000
MAX_NODES: Final = 400_000

_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
"""No exponents: a commit or an instance called 12e5 is a name, as an account number with a zero in front is."""
_MERGE: Final = "<<"


@dataclass(frozen=True, slots=True)
class Doc:
    """One YAML file: its name, its plain data, and where each node stands."""

    name: str
    data: Node
    _first: int
    _lines: dict[int, dict[str | int, int]] = field(repr=False)

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
        raise _invalid(str(path), 1, f"cannot be read: {error.strerror or error}; check the path") from error
    if len(raw) > MAX_BYTES:
        raise _invalid(str(path), 1, f"is larger than {MAX_BYTES} bytes; split it")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _invalid(str(path), line, "is not UTF-8 text; save the file as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Doc:
    """Read YAML text; ``name`` is the file to blame. ``Invalid`` with the line of what is wrong."""
    import yaml

    if len(text) > MAX_BYTES:
        raise _invalid(name, 1, f"is larger than {MAX_BYTES} bytes; split it")
    builder = _Builder(name)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events: Iterator[Any] = yaml.parse(text, Loader=loader)
        builder.take(events)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise _invalid(name, line, _syntax(error.problem or error.context or "unreadable")) from error
    except yaml.reader.ReaderError as error:
        position = error.position if isinstance(error.position, int) else 0
        line = text.count("\n", 0, position) + 1
        raise _invalid(name, line, "holds a control character; remove it or write it as an escape in quotes") from error
    except UnicodeError as error:
        raise _invalid(name, 1, "is not UTF-8 text; save the file as UTF-8") from error
    return builder.doc()


def _syntax(problem: str) -> str:
    hint = "check the indentation, brackets and quotes here and on the line above"
    if "found character that cannot start any token" in problem:
        hint = "indent with spaces, never tabs, and quote text that begins with @, ` or %"
    elif "mapping values are not allowed" in problem:
        hint = "quote text that holds ': ', or check the indentation"
    elif "undefined alias" in problem:
        hint = "define it with &name above its first use"
    return f"not YAML: {problem}; {hint}"


def _invalid(name: str, line: int, message: str) -> Invalid:
    return Invalid([Problem(name, line, message)])


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    node: dict[str, Node] | list[Node]
    lines: dict[str | int, int]
    anchor: str | None
    line: int
    nodes_before: int
    aliases_before: int
    key: str | None = None
    merging: bool = False
    merges: list[tuple[Node, int]] = field(default_factory=list[tuple[Node, int]])

    @property
    def wants_key(self) -> bool:
        return isinstance(self.node, dict) and self.key is None and not self.merging


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an alias repeats, and how much it weighs when it is written out."""

    node: Node
    nodes: int
    aliases: int


class _Builder:
    """Turn events into data, counting as they come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[_Open] = []
        self._lines: dict[int, dict[str | int, int]] = {}
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._aliases = 0
        self._documents = 0
        self._root: Node = None
        self._first = 1
        self._started = False
        self._takes = {
            "ScalarEvent": self._scalar,
            "MappingStartEvent": self._mapping,
            "SequenceStartEvent": self._sequence,
            "MappingEndEvent": self._end,
            "SequenceEndEvent": self._end,
            "AliasEvent": self._alias,
            "DocumentStartEvent": self._document,
        }

    def doc(self) -> Doc:
        return Doc(self._name, self._root, self._first, self._lines)

    def take(self, events: Iterator[Any]) -> None:
        takes = self._takes
        for event in events:
            handler = takes.get(event.__class__.__name__)
            if handler is not None:
                handler(event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            line = event.start_mark.line + 1
            raise _invalid(
                self._name, line, "a second document begins here; keep one document in a file (remove '---')"
            )

    def _scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        text: str = event.value
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.wants_key:
            self._name_next(parent, event, line)
            return
        value: Node = text
        if event.tag is not None and not (event.tag == "tag:yaml.org,2002:str" or (event.tag == "!" and event.style)):
            raise _invalid(self._name, line, f"tag {event.tag!r} is not allowed; write the plain value")
        if not event.style and event.tag is None:
            value = self._plain(text, line)
        self._place(value, line, event.anchor, (1, 0))

    def _name_next(self, parent: _Open, event: Any, line: int) -> None:
        key: str = event.value
        plain = not event.style
        if plain and key != _MERGE and (not isinstance(self._plain(key, line), str)):
            raise _invalid(self._name, line, f"a key must be text: quote it, as in '{key}':")
        if event.anchor is not None or event.tag is not None:
            raise _invalid(self._name, line, f"the key {key!r} carries an anchor or a tag; remove it")
        if plain and key == _MERGE:
            parent.merging = True
            return
        if key in parent.lines:
            first = parent.lines[key]
            raise _invalid(self._name, line, f"{key!r} stands twice (first on line {first}); remove one of them")
        parent.lines[key] = line
        parent.key = key

    def _plain(self, text: str, line: int) -> Node:
        if text in _WORDS:
            return _WORDS[text]
        head = text[0]
        if not (head.isdigit() or head == "-"):
            return text
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            number = float(text)
            if not math.isfinite(number) or (text.lstrip("-").isdigit()):
                raise _invalid(self._name, line, f"the number {text[:24]} is too large; quote it if it is a name")
            return number
        return text

    def _mapping(self, event: Any) -> None:
        self._begin(event, {})

    def _sequence(self, event: Any) -> None:
        self._begin(event, [])

    def _begin(self, event: Any, node: dict[str, Node] | list[Node]) -> None:
        line = event.start_mark.line + 1
        if len(self._open) >= MAX_DEPTH:
            raise _invalid(self._name, line, f"is nested deeper than {MAX_DEPTH} levels; flatten it")
        if event.tag is not None:
            raise _invalid(self._name, line, f"tag {event.tag!r} is not allowed; write a plain mapping or list")
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.wants_key:
            raise _invalid(self._name, line, "a key must be text; if this is ${...}, put it in quotes")
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        if not self._started:
            self._started = True
            self._first = line
            self._root = node
        self._count(line, 1, 0)
        opened = _Open(node, {}, event.anchor, line, self._nodes, self._aliases)
        self._lines[id(node)] = opened.lines
        self._open.append(opened)

    def _end(self, _event: Any) -> None:
        done = self._open.pop()
        if done.merges:
            self._merge(done)
        weight = (1 + self._nodes - done.nodes_before, self._aliases - done.aliases_before)
        self._nodes -= weight[0]
        self._aliases -= weight[1]
        self._place(done.node, done.line, done.anchor, weight)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        known = self._anchors.get(event.anchor)
        if known is None:
            raise _invalid(self._name, line, f"*{event.anchor} is not defined above; define it with &{event.anchor}")
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.wants_key:
            raise _invalid(self._name, line, "an alias cannot be a key; write the text")
        self._place(known.node, line, None, (known.nodes, known.aliases + 1))

    def _count(self, line: int, nodes: int, aliases: int) -> None:
        self._nodes += nodes
        self._aliases += aliases
        if self._aliases > MAX_ALIASES:
            raise _invalid(self._name, line, f"uses aliases more than {MAX_ALIASES} times, written out; repeat less")
        if self._nodes > MAX_NODES:
            raise _invalid(self._name, line, f"holds more than {MAX_NODES} values, aliases written out; split it")

    def _place(self, node: Node, line: int, anchor: str | None, weight: tuple[int, int]) -> None:
        self._count(line, *weight)
        if anchor is not None:
            self._anchors[anchor] = _Anchored(node, *weight)
        if not self._open:
            if not self._started:
                self._started, self._first, self._root = True, line, node
            return
        parent = self._open[-1]
        if isinstance(parent.node, list):
            parent.lines[len(parent.node)] = line
            parent.node.append(node)
        elif parent.merging:
            parent.merges.append((node, line))
            parent.merging = False
        elif parent.key is not None:
            parent.node[parent.key] = node
            parent.key = None

    def _merge(self, done: _Open) -> None:
        """Fill in what ``<<: *defaults`` brings; the mapping's own keys win."""
        target = done.node
        for source, line in done.merges:
            several = source if isinstance(source, list) else [source]
            for one in several:
                if not isinstance(one, dict) or not isinstance(target, dict):
                    raise _invalid(self._name, line, "'<<' must name a mapping, as in <<: *defaults")
                lines = self._lines.get(id(one), {})
                for key, value in one.items():
                    if key not in target:
                        target[key] = value
                        done.lines[key] = lines.get(key, line)
