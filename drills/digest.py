"""SHA-256 of short texts: lines of a timeline, names that must fit somewhere.

Taken from the interpreter itself, as its own ``random`` does: ``hashlib`` would load all of OpenSSL, a tenth of what
a small drill needs of memory, and is no faster on a few hundred bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # Python 3.12 and later
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256


def of(text: str) -> str:
    """Give the SHA-256 of a text's UTF-8, as 64 hex digits."""
    return sha256(text.encode()).hexdigest()
