"""Plain data from libyaml's flat event stream, without recursion, and the line of every node.

The C composer dies with SIGSEGV on 50,000 opening brackets, and PyYAML's constructor reads ``on`` as true and ``1:30``
as 90. Limits are counted while events arrive: bytes, depth, alias uses as they expand, and nodes.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from drills.errors import Invalid, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Node: TypeAlias = "bool | int | float | str | list[Node] | dict[str, Node] | None"

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 60
MAX_ALIASES: Final = 2_000
MAX_NODES: Final = 400_000

_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
"""No exponents: a commit or an instance called 12e5 is a name, as an account number with a zero in front is."""
_NUMBERS: Final = frozenset("-0123456789")
"""What a number begins with."""
_MERGE: Final = "<<"


def invalid(name: str, line: int, message: str) -> Invalid:
    """Say that a file is wrong in this line."""
    return Invalid([Problem(name, line, message)])


class _Open(msgspec.Struct):
    """A mapping or list whose end has not come yet."""

    node: dict[str, Node] | list[Node]
    lines: dict[str | int, int]
    anchor: str | None
    line: int
    nodes_before: int
    aliases_before: int
    wants_key: bool
    key: str | None = None
    merging: bool = False
    merges: list[tuple[Node, int]] = msgspec.field(default_factory=list[tuple[Node, int]])


class _Anchored(msgspec.Struct, frozen=True):
    """What an alias repeats, and how much it weighs when it is written out."""

    node: Node
    nodes: int
    aliases: int


class Builder:
    """Turn events into data, counting as they come: ``root``, its ``first`` line, and the ``lines`` of all below it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[_Open] = []
        self.lines: dict[int, dict[str | int, int]] = {}
        self._anchors: dict[str, _Anchored] = {}
        self._texts: dict[str, str] = {}
        """Each text once: the names of fields stand in a long runbook a thousand times."""
        self._nodes = 0
        self._aliases = 0
        self._documents = 0
        self.root: Node = None
        self.first = 1
        self._started = False

    def take(self, events: Iterator[Any]) -> None:
        """Take in all events of a file; ``Invalid`` with the line of what is wrong, or too much."""
        # Not kept: with its own methods in it, the builder and the whole document would wait for a sweep.
        handlers: dict[str, Callable[[Any], None]] = {
            "ScalarEvent": self._scalar,
            "MappingStartEvent": self._mapping,
            "SequenceStartEvent": self._sequence,
            "MappingEndEvent": self._end,
            "SequenceEndEvent": self._end,
            "AliasEvent": self._alias,
            "DocumentStartEvent": self._document,
        }
        takes: dict[type, Callable[[Any], None] | None] = {}
        for event in events:
            kind = event.__class__
            if kind not in takes:
                takes[kind] = handlers.get(kind.__name__)
            handler = takes[kind]
            if handler is not None:
                handler(event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            line = event.start_mark.line + 1
            raise invalid(self._name, line, "a second document begins here; keep one document in a file (remove '---')")

    def _scalar(self, event: Any) -> None:
        line: int = event.start_mark.line + 1
        text: str = self._texts.setdefault(event.value, event.value)
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.wants_key:
            self._name_next(parent, event, text, line)
            return
        value: Node = text
        if event.tag is not None and not (event.tag == "tag:yaml.org,2002:str" or (event.tag == "!" and event.style)):
            raise invalid(self._name, line, f"tag {event.tag!r} is not allowed; write the plain value")
        if not event.style and event.tag is None and (text in _WORDS or text[0] in _NUMBERS):
            value = self._meant(text, line)
        if parent is None or event.anchor is not None or self._nodes >= MAX_NODES:
            self._place(value, line, event.anchor, (1, 0))
        elif parent.key is not None and isinstance(parent.node, dict):
            self._nodes += 1  # as ``_place`` does it; most scalars are the value of a key
            parent.node[parent.key] = value
            parent.key, parent.wants_key = None, True
        else:
            self._place(value, line, event.anchor, (1, 0))

    def _name_next(self, parent: _Open, event: Any, key: str, line: int) -> None:
        plain = not event.style
        if plain and (key in _WORDS or key[0] in _NUMBERS) and not isinstance(self._meant(key, line), str):
            raise invalid(self._name, line, f"a key must be text: quote it, as in '{key}':")
        if event.anchor is not None or event.tag is not None:
            raise invalid(self._name, line, f"the key {key!r} carries an anchor or a tag; remove it")
        if plain and key == _MERGE:
            parent.merging, parent.wants_key = True, False
            return
        if key in parent.lines:
            first = parent.lines[key]
            raise invalid(self._name, line, f"{key!r} stands twice (first on line {first}); remove one of them")
        parent.lines[key] = line
        parent.key, parent.wants_key = key, False

    def _meant(self, text: str, line: int) -> Node:
        """Read a plain scalar that may be more than text."""
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            number = float(text)
            if not math.isfinite(number) or (text.lstrip("-").isdigit()):
                raise invalid(self._name, line, f"the number {text[:24]} is too large; quote it if it is a name")
            return number
        return text

    def _mapping(self, event: Any) -> None:
        self._begin(event, {})

    def _sequence(self, event: Any) -> None:
        self._begin(event, [])

    def _begin(self, event: Any, node: dict[str, Node] | list[Node]) -> None:
        line = event.start_mark.line + 1
        if len(self._open) >= MAX_DEPTH:
            raise invalid(self._name, line, f"is nested deeper than {MAX_DEPTH} levels; flatten it")
        if event.tag is not None:
            raise invalid(self._name, line, f"tag {event.tag!r} is not allowed; write a plain mapping or list")
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.wants_key:
            raise invalid(self._name, line, "a key must be text; if this is ${...}, put it in quotes")
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        if not self._started:
            self._started = True
            self.first = line
            self.root = node
        self._count(line, 1, 0)
        opened = _Open(node, {}, event.anchor, line, self._nodes, self._aliases, isinstance(node, dict))
        self.lines[id(node)] = opened.lines
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
            raise invalid(self._name, line, f"*{event.anchor} is not defined above; define it with &{event.anchor}")
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.wants_key:
            raise invalid(self._name, line, "an alias cannot be a key; write the text")
        self._place(known.node, line, None, (known.nodes, known.aliases + 1))

    def _count(self, line: int, nodes: int, aliases: int) -> None:
        self._nodes += nodes
        self._aliases += aliases
        if self._aliases > MAX_ALIASES:
            raise invalid(self._name, line, f"uses aliases more than {MAX_ALIASES} times, written out; repeat less")
        if self._nodes > MAX_NODES:
            raise invalid(self._name, line, f"holds more than {MAX_NODES} values, aliases written out; split it")

    def _place(self, node: Node, line: int, anchor: str | None, weight: tuple[int, int]) -> None:
        self._count(line, *weight)
        if anchor is not None:
            self._anchors[anchor] = _Anchored(node, *weight)
        if not self._open:
            if not self._started:
                self._started, self.first, self.root = True, line, node
            return
        parent = self._open[-1]
        if isinstance(parent.node, list):
            parent.lines[len(parent.node)] = line
            parent.node.append(node)
        elif parent.merging:
            parent.merges.append((node, line))
            parent.merging, parent.wants_key = False, True
        elif parent.key is not None:
            parent.node[parent.key] = node
            parent.key, parent.wants_key = None, True

    def _merge(self, done: _Open) -> None:
        """Fill in what ``<<: *defaults`` brings; the mapping's own keys win."""
        target = done.node
        for source, line in done.merges:
            several = source if isinstance(source, list) else [source]
            for one in several:
                if not isinstance(one, dict) or not isinstance(target, dict):
                    raise invalid(self._name, line, "'<<' must name a mapping, as in <<: *defaults")
                lines = self.lines.get(id(one), {})
                for key, value in one.items():
                    if key not in target:
                        target[key] = value
                        done.lines[key] = lines.get(key, line)
