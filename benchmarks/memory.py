"""Prove that an observer's memory does not grow: 100 probes/s for six hours, and a live prober at 1,000 probes/s.

Six hours are driven through the recorder as 2.16 million samples, flushed as often as in life (each 50 samples); the
live prober asks a server of this machine. Both are told by their resident memory after a tenth, and at the end.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
import tempfile
import threading
from pathlib import Path

from record import Bar, finish, tell

from drills.clock import SystemClock, process_start
from drills.observe.job import ProbeJob
from drills.observe.recorder import MOST_HELD, Recorder
from drills.observe.start import Observers
from drills.timeline.samples import Control, ObserverHeader, Persona, Sample

SIX_HOURS = 6 * 3600 * 100
FLUSH = 50
MOST_GROWTH_MB = 8.0
LIVE_S = 60.0


def resident_mb(pid: int) -> float:
    """Give the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def recorded(folder: Path, count: int = SIX_HOURS) -> dict[str, float]:
    """Drive so many samples through a recorder; give its growth in MB after the first tenth, and the rows on disk."""
    header = ObserverHeader("x", Persona.FRESH, "http://x", 10_000_000, 1_000_000_000, "c", "n", 0)
    recorder = Recorder(folder / "recorded.db", header)
    early = 0.0
    for number in range(count):
        sent = number * 10_000_000
        up = number % 1_000 != 0
        detail = "" if up else f"status {500 + number % 7}"
        recorder.sample(Sample(sent, sent + 2_000_000, up, "east" if number % 2 else "west", 200, detail=detail))
        if not number % 10:
            recorder.control(Control(sent, sent + 1, 1, ok=True))
        if not number % FLUSH:
            said = recorder.flush(recorder.take(), [])
            if said:
                raise SystemExit(said)
        if number == count // 10:
            early = resident_mb(os.getpid())
    recorder.flush(recorder.take(), [])
    recorder.close()
    return {"growth_mb": resident_mb(os.getpid()) - early, "rows": recorder.flushed, "lost": recorder.lost}


def refused(folder: Path) -> dict[str, float]:
    """Let the disk refuse everything: what is held is bounded, and the rest is counted as lost."""
    header = ObserverHeader("x", Persona.FRESH, "http://x", 1, 1, "c", "n", 0)
    recorder = Recorder(folder / "refused.db", header)
    for number in range(2 * MOST_HELD):
        recorder.sample(Sample(number, number, up=True))
    lost = recorder.lost
    recorder.close()
    return {"held": MOST_HELD, "lost": lost}


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Accept, and say nothing."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024


def live(folder: Path, seconds: float) -> dict[str, float]:
    """Probe a server of this machine 1,000 times a second; give the prober's growth in MB after the first tenth."""
    clock = SystemClock()
    with _Server(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"tcp://127.0.0.1:{server.server_address[1]}"
        job = ProbeJob(
            "live",
            url,
            "",
            every_s=0.001,
            timeout_s=1.0,
            deadline_s=seconds + 60,
            owner_pid=os.getpid(),
            owner_start=process_start(os.getpid()),
        )
        observers = Observers(clock)
        (watching,) = observers.start([job], folder)
        try:
            clock.sleep(seconds / 10)
            early = resident_mb(watching.pid)
            clock.sleep(seconds * 0.9)
            late = resident_mb(watching.pid)
        finally:
            observers.stop([watching])
        server.shutdown()
    return {"growth_mb": late - early, "resident_mb": late}


def main(seconds: float) -> int:
    """Run all three and write the bars."""
    with tempfile.TemporaryDirectory(prefix="drills-memory-") as place:
        folder = Path(place)
        tell("2,160,000 samples through a recorder")
        six_hours = recorded(folder)
        tell("a disk that refuses")
        full = refused(folder)
        tell(f"a live prober at 1,000 probes/s for {seconds:g} s")
        alive = live(folder, seconds)
    details = {"six_hours": six_hours, "refused": full, "live": alive}
    tell(json.dumps(details))
    bars = [
        Bar("growth over six hours at 100 probes/s, MB", six_hours["growth_mb"], MOST_GROWTH_MB),
        Bar("samples missing on disk", SIX_HOURS + SIX_HOURS // 10 - six_hours["rows"], 0),
        Bar("growth of a live prober, MB", alive["growth_mb"], MOST_GROWTH_MB),
        Bar("lost rows not counted", MOST_HELD - full["lost"], 0),
    ]
    return finish("memory", bars, details)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else LIVE_S))
