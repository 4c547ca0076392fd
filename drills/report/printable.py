"""Text that others wrote, made safe for a terminal: what a server answered or a file says must not steer it."""

from __future__ import annotations

from typing import Final

_KEPT: Final = "\t\n"
_STEERS: Final = (
    *range(0x20),  # C0: escape, bell, carriage return
    *range(0x7F, 0xA0),  # delete, and C1: an escape sequence in one character
    *range(0x202A, 0x202F),  # writing direction: what is read is not what stands there
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),  # half of a surrogate pair: no terminal can be given one
)
_SHOWN: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - two hex digits hold no more
    for code in _STEERS
    if chr(code) not in _KEPT
}


def harmless(text: str) -> str:
    r"""Show control characters as they would be written in a string: ``\x1b``. Tabs and ends of lines stay.

    >>> harmless("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return text if text.isprintable() else text.translate(_SHOWN)
