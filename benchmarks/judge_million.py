"""Time the judge on a million samples: one plain drill, and one that flaps all the time.

Usage: judge_million.py [SAMPLES]
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from array import array
from dataclasses import replace
from random import Random

from record import Bar, finish

from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.judge import judge
from drills.measure.question import Question, Target, Watch
from drills.timeline.marks import Mark
from drills.timeline.samples import ObserverHeader, Persona, Samples

MS, S = 1_000_000, 1_000_000_000
EVERY, LATENCY, TIMEOUT, WINDOW = 10 * MS, 5 * MS, 1 * S, 10 * S
ROUNDS = 5
MOST_S = 3.0


def samples(count: int, lost: int, back: int, flap: int) -> Samples:
    """Lay out ``count`` samples: down in [lost, back), and after it every ``flap``-th fails (0: none)."""
    random = Random(1)  # noqa: S311 - a repeatable load, no secret
    sent, ended, by = array("q"), array("q"), array("q")
    up, hard = array("b"), array("b")
    for place in range(count):
        at = place * EVERY + random.randint(0, MS)
        good = not lost <= at < back and not (at >= back and flap and place % flap == 0)
        sent.append(at)
        ended.append(at + random.randint(1, 2 * LATENCY) if good else at + TIMEOUT)
        up.append(good)
        hard.append(0)
        by.append(0 if not good else 1 if at < lost else 2)
    return Samples(sent, ended, up, hard, by, ("", "east", "west"))


def question(rows: Samples, lost: int, count: int) -> Question:
    """Ask for one RTO over those samples."""
    header = ObserverHeader("service", Persona.FRESH, "http://x", EVERY, TIMEOUT, "c", "n", 0, count * EVERY)
    watch = Watch(replace(header, identified=True), rows, WINDOW)
    return Question(
        "c",
        "n",
        Disaster(Bracket(lost - MS, lost + MS), synchronous=True),
        count * EVERY,
        "east",
        "west",
        (watch,),
        targets=(Target("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 300 * S),),
    )


def timed(asked: Question) -> tuple[float, str]:
    """Judge a few times; the median of the CPU seconds, and the verdict."""
    spent: list[float] = []
    verdict = ""
    for _ in range(ROUNDS):
        begin = time.process_time()
        verdict = judge(asked).objectives[0].verdict.value
        spent.append(time.process_time() - begin)
    return statistics.median(spent), verdict


def main() -> int:
    """Judge both, and write ``results/judge-million.json``."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    lost = count * EVERY // 2
    bars: list[Bar] = []
    verdicts: dict[str, str] = {}
    for name, flap in (("plain", 0), ("flapping", 50)):
        rows = samples(count, lost, lost + 60 * S, flap)
        spent_s, verdicts[name] = timed(question(rows, lost, count))
        bars.append(Bar(f"{count} samples judged, {name}, CPU s", spent_s, MOST_S))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return finish("judge-million", bars, {"verdicts": verdicts, "peak_rss_mb": peak})


if __name__ == "__main__":
    sys.exit(main())
