"""By which rules a drill is judged: the version of drills, and a digest of the code that makes its figures."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import drills
from drills import digest

JUDGES: Final = (
    "clock.py",
    "timeline/*.py",
    "measure/*.py",
    "observe/*.py",
    "engine/plan.py",
    "engine/progress.py",
    "engine/state.py",
    "engine/decide.py",
    "report/claims.py",
    "report/judging.py",
    "report/objective.py",
    "report/seen.py",
    "report/standstill.py",
    "report/switch.py",
    "report/watched.py",
)


@lru_cache(maxsize=1)
def rules() -> str:
    """Name the rules of this installation: ``0.1.0+3f2a1b0c9d8e``. The same name gives the same figures."""
    package = Path(drills.__file__).parent
    files = sorted(file for pattern in JUDGES for file in package.glob(pattern))
    texts = [f"{file.relative_to(package)}\n{file.read_text(encoding='utf-8')}" for file in files]
    return f"{drills.__version__}+{digest.of(chr(0).join(texts))[:12]}"
