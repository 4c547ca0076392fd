"""Run every bar in full: ``make prove`` all of them, ``prove.py NAME NAME`` only those.

To add one, write a script that ends with ``record.finish(NAME, bars, details)`` (it writes ``results/NAME.json`` and
gives the exit code), and add its line to ``BARS``. Each runs in a process of its own; one that fails does not keep
the others from running. Ends with 1 when a bar was missed or a script broke.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from record import RESULTS, table, tell

HERE = Path(__file__).resolve().parent
LIMIT_S = 3 * 3600

BARS: dict[str, tuple[str, ...]] = {
    "dag": ("dag.py",),
    "compare": ("compare.py",),
    "killed": ("killed.py", "--drills", "200"),
    "kills": ("kills.py", "--kills", "50"),
    "storms": ("storms.py", "--drills", "1000"),
    "crashes": ("crashes.py",),
    "fuzz": ("fuzz.py", "--files", "5000", "--drills", "5000"),
    "rehearsals": ("rehearsals.py", "rehearsals", "--runs", "20"),
    "rehearsals-incident": ("rehearsals.py", "rehearsals-incident", "--runs", "10", "--as", "incident"),
    "rehearsals-blackhole": ("rehearsals.py", "rehearsals-blackhole", "--runs", "10", "--outage", "blackhole"),
    "switchovers": ("switchovers.py", "--runs", "10"),
    "calibrate": ("calibrate.py", "calibrate"),
    "calibrate-loaded": ("calibrate.py", "calibrate-loaded", "--hogs", "3"),
    "sidebyside": ("sidebyside.py",),
    "lock-race": ("lock_race.py", "--rounds", "20"),
    "turning-back": ("turning_back.py", "--times", "12"),
    "proofs": ("proofs.py",),
    "judge-million": ("judge_million.py",),
    "memory": ("memory.py",),
}


def main(names: list[str]) -> int:
    """Run the named bars, or all, and print what each came to."""
    unknown = sorted(set(names) - BARS.keys())
    if unknown:
        raise SystemExit(f"no such bar: {', '.join(unknown)}; there are: {', '.join(BARS)}")
    rows: list[tuple[str, ...]] = [("benchmark", "bar", "value", "at most", "")]
    failed = False
    for name in names or BARS:
        script, *words = BARS[name]
        (RESULTS / f"{name}.json").unlink(missing_ok=True)
        tell(f"== {name}")
        code = subprocess.run((sys.executable, str(HERE / script), *words), check=False, timeout=LIMIT_S).returncode
        failed = failed or code != 0
        rows += _rows(name, code)
    print(f"\n{table(rows)}")
    return 1 if failed else 0


def _rows(name: str, code: int) -> list[tuple[str, ...]]:
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return [(name, f"broke with exit code {code}: nothing was measured", "", "", "MISSED")]
    return [
        (name, bar["name"], f"{bar['value']:.3f}", f"{bar['most']:g}", "holds" if bar["passed"] else "MISSED")
        for bar in json.loads(path.read_text())["bars"]
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
