"""What a benchmark leaves behind: bars with their values, the machine and the commit, as JSON and as a table."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills.clock import NS, SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
LIBRARIES = ("boto3", "botocore", "moto", "msgspec", "pydantic", "pyyaml")


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise and what was measured: ``value`` must not exceed ``most``. Ratios, unless the name says a unit."""

    name: str
    value: float
    most: float

    @property
    def passed(self) -> bool:
        """Whether the promise holds."""
        return self.value <= self.most


def machine() -> dict[str, str | int]:
    """Give what a figure depends on: processor, cores, system, Python and libraries."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def commit() -> str:
    """Give the commit of the working tree, with a plus when it has changes; ``unknown`` without git.

    Results are not counted: each bar takes its old one away before it begins.
    """
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)benchmarks/results")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("+" if changed else "")


def finish(name: str, bars: Sequence[Bar], details: Mapping[str, Any]) -> int:
    """Write ``results/NAME.json``, print the bars, and give the exit code: 1 when a bar was missed."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.fromtimestamp(SystemClock().now().utc_ns / NS, UTC)
    document = {
        "benchmark": name,
        "commit": commit(),
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "machine": machine(),
        "passed": all(bar.passed for bar in bars),
        "bars": [{**asdict(bar), "passed": bar.passed} for bar in bars],
        **details,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    print()
    print(table([("bar", "value", "at most", ""), *((b.name, f"{b.value:.3f}", f"{b.most:g}", said(b)) for b in bars)]))
    print(f"\n{path.relative_to(ROOT)}: {sum(b.passed for b in bars)} of {len(bars)} bars hold")
    return 0 if document["passed"] else 1


def said(bar: Bar) -> str:
    """Say plainly whether the bar holds."""
    return "holds" if bar.passed else "MISSED"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def tell(text: str) -> None:
    """Say on stderr how far the benchmark is."""
    print(text, file=sys.stderr, flush=True)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*words: str) -> str:
    answer = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)  # noqa: S607 - the git of whoever runs it
    return answer.stdout.strip()
