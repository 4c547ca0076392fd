"""The door to structlog: JSON lines in a drill's own log file, with every secret struck out.

structlog costs 0.2 s to import, so it is imported when a log is opened, never before.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from pathlib import Path

STRUCK: Final = "[struck out]"
SHORTEST: Final = 6
"""A shorter value would strike ordinary words out of every line."""

_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_.-])(?:password|passwd|secret|token|credentials?|authorization|api_?key|private_?key|dsn)$"
)
_IN_TEXT: Final = (
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@"), rf"\1:{STRUCK}@"),
    (re.compile(r"(?i)\b(password|passwd|secret|token)(\s*[=:]\s*)(?!\[)\S+"), rf"\1\2{STRUCK}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), STRUCK),
)

_lock = threading.Lock()
_concealed: set[str] = set()


class Log(Protocol):
    """Where the machinery tells what it does; what matters to people stands in the journal, not here."""

    def debug(self, event: str, **values: Any) -> Any:
        """Tell a detail."""
        ...

    def info(self, event: str, **values: Any) -> Any:
        """Tell what was done."""
        ...

    def warning(self, event: str, **values: Any) -> Any:
        """Tell what may matter."""
        ...

    def error(self, event: str, **values: Any) -> Any:
        """Tell what went wrong."""
        ...


def conceal(value: str) -> None:
    """Strike ``value`` out of everything written from now on."""
    if len(value) >= SHORTEST:
        with _lock:
            _concealed.add(value)


def redact(text: str) -> str:
    """Strike out concealed values, passwords in addresses, and access keys."""
    with _lock:
        known = tuple(_concealed)
    return strike(text, known)


def strike(text: str, values: Iterable[str]) -> str:
    """Strike ``values`` out of a text, the longest first, and what looks like a secret by itself."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, STRUCK)
    for pattern, instead in _IN_TEXT:
        text = pattern.sub(instead, text)
    return text


def open_log(path: Path, **bound: Any) -> Log:
    """Open a log file and give its writer; each line is one JSON object with UTC time and level.

    ``bound`` stands on every line, for example ``drill="..."``.
    """
    import structlog

    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a", encoding="utf-8", buffering=1)
    return structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _clean_line,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(10),
        cache_logger_on_first_use=True,
    ).bind(**bound)


def _clean_line(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: _clean(name, value) for name, value in line.items()}


def _clean(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name) and value not in (None, ""):
        return STRUCK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        inner = cast("dict[object, Any]", value)
        return {str(key): _clean(str(key), item) for key, item in inner.items()}
    if isinstance(value, list | tuple):
        return [_clean("", item) for item in cast("list[Any]", value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))
