"""Small frozen records of JSON values: what was before a change, what a change answered, what a probe saw."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Facts(Mapping[str, Json]):
    """An immutable record of JSON values, read through typed getters that say what was wrong.

    >>> Facts(asg="orders", desired=4).integer("desired")
    4
    """

    __slots__ = ("_values",)

    def __init__(self, **values: Json) -> None:
        self._values: dict[str, Json] = values

    def __getitem__(self, name: str) -> Json:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> ItemsView[str, Json]:
        """Give names and values, as the dict within does it: a ``Mapping`` would look each of them up."""
        return self._values.items()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self._values == other._values

    def __hash__(self) -> int:
        return hash(repr(sorted(self._values.items(), key=str)))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"{type(self).__name__}({inside})"

    def text(self, name: str) -> str:
        """Give the string called ``name``; ``TypeError`` when it is something else."""
        return _expect(self._values.get(name), str, name)

    def integer(self, name: str) -> int:
        """Give the whole number called ``name``; ``TypeError`` when it is something else."""
        return _expect(self._values.get(name), int, name)

    def flag(self, name: str) -> bool:
        """Give the boolean called ``name``; ``TypeError`` when it is something else."""
        return _expect(self._values.get(name), bool, name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Give the list of strings called ``name``; ``TypeError`` when it is something else."""
        return tuple(_expect(item, str, name) for item in self.items_of(name))

    def items_of(self, name: str) -> list[Json]:
        """Give the list called ``name``; ``TypeError`` when it is something else."""
        value = self._values.get(name)
        if not isinstance(value, list):
            message = f"{name} is {value!r}, not a list"
            raise TypeError(message)
        return value

    def record(self, name: str) -> Facts:
        """Give the nested record called ``name``; ``TypeError`` when it is something else."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            message = f"{name} is {value!r}, not a record"
            raise TypeError(message)
        return Facts(**value)


def _expect(value: Json, kind: type[T], name: str) -> T:
    if not isinstance(value, kind):
        message = f"{name} is {value!r}, not {kind.__name__}"
        raise TypeError(message)
    return value


class Before(Facts):
    """What was there before a change: captured once, by reads only, stored before the change."""

    __slots__ = ()


class Receipt(Facts):
    """What a change answered; a hint for undo, never its precondition."""

    __slots__ = ()
