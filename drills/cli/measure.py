"""``drills measure``: watch endpoints with the real probers, without a runbook and without AWS."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO
from urllib.parse import urlsplit

import click

from drills.clock import NS, SystemClock, process_start
from drills.durations import parse, show
from drills.errors import JournalError, Refused, Usage
from drills.report import paint

if TYPE_CHECKING:
    from drills.measure.outages import Outage
    from drills.observe.job import ProbeJob
    from drills.observe.start import Observers
    from drills.report.outages import Endpoint
    from drills.timeline.events import Watching

_ASKED = ("http", "https", "tcp", "dns")
_LOOK_S = 0.5
_AT_MOST = 0.1
"""The part of the time that may go into looking: over hours, looks at long files come less often."""
_SLACK_NS = NS // 4
"""Rows reach the file in the order they ended, a late one by less than this."""
_MOST_URLS = 50


def _duration(_: click.Context, option: click.Parameter, value: str) -> float:
    """Read a duration longer than nothing, in seconds."""
    try:
        seconds = parse(value).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from error
    if seconds <= 0:
        raise click.BadParameter("it must be longer than nothing", param=option)
    return seconds


@click.command("measure")
@click.argument("url", nargs=-1, required=True)
@click.option("--every", callback=_duration, default="100ms", show_default=True, help="One request each.")
@click.option("--timeout", callback=_duration, default="1s", show_default=True, help="A later answer is a failure.")
@click.option("--for", "for_s", callback=_duration, default="10m", show_default=True, help="How long to watch.")
@click.option(
    "--stable-for", callback=_duration, default="5s", show_default=True, help="Up for so long: the outage is over."
)
@click.option("--status", type=click.IntRange(100, 599), default=200, show_default=True, help="The status that is up.")
@click.option("--resolver", metavar="HOST[:PORT]", help="Ask this name server, not the authoritative ones of the name.")
@click.option("--ca", default="", metavar="FILE", help="Certificates that https trusts instead of the system's.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the samples in this new folder.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def measure(  # noqa: PLR0913, PLR0917 - click gives one for each option
    url: tuple[str, ...],
    every: float,
    timeout: float,
    for_s: float,
    stable_for: float,
    status: int,
    resolver: str | None,
    ca: str,
    keep: Path | None,
    output: str,
) -> int:
    """Watch each URL (http, https, tcp://host:port, dns://name, postgresql://user@host/name) and print its outages.

    Each URL is an endpoint of its own, with an observer process of its own. Of PostgreSQL a SELECT is asked; write
    env:NAME for an address that stands in a variable.

    Names are asked afresh for each request, of the servers that are responsible for them.

    An outage ends when nothing has failed for --stable-for; that time is not counted as down. Ends after --for, or
    at Ctrl-C, with a summary. Needs no runbook and no AWS rights.

    \b
    drills measure https://orders.example.com/healthz
    drills measure --every 1s --for 8h tcp://db.example.com:5432 dns://example.com

    Exit 0: no outage. 1: an outage was seen. 3: an endpoint was not measured, or not to the end.
    """  # noqa: D301 - the backslash is for click: it keeps the lines below it as they are
    if every * 5 > stable_for:
        raise Usage(f"--every {show(every)} is too coarse for --stable-for {show(stable_for)}: a fifth of it at most")
    urls = list(dict.fromkeys(url))
    if len(urls) > _MOST_URLS:
        raise Usage(f"{len(urls)} URLs are more than one machine should probe; at most {_MOST_URLS}")
    jobs = [
        _job(
            number,
            one,
            every_s=every,
            timeout_s=timeout,
            stable_for_s=stable_for,
            deadline_s=for_s,
            status=status,
            resolver=resolver,
            ca=ca,
        )
        for number, one in enumerate(urls, 1)
    ]
    with ExitStack() as stack:
        folder = (
            _new(keep) if keep else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drills-measure-")))
        )
        endpoints = _watch(jobs, folder, for_s, sys.stderr if output == "json" else sys.stdout)
        settings = {"every_s": every, "timeout_s": timeout, "stable_for_s": stable_for}
        return _tell(endpoints, settings, output)


def _job(number: int, url: str, **settings: Any) -> ProbeJob:
    from drills.observe.job import ProbeJob

    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise Usage(f"{url!r} is no address: {error}") from error
    host = url.removeprefix("env:") if url.startswith("env:") else parts.hostname or ""
    sql = {"dsn": url, "query": "SELECT 1"} if url.startswith(("env:", "postgresql://", "postgres://")) else {}
    if not sql and parts.scheme not in _ASKED:
        raise Usage(f"{url!r} is not a URL of {', '.join(_ASKED)} or postgresql, nor env:NAME")
    job = ProbeJob(
        f"url-{number}",
        f"sql-read://{host}" if sql else url,
        "",
        **sql,
        **settings,
        grace_s=60.0,
        owner_pid=os.getpid(),
        owner_start=process_start(os.getpid()),
    )
    try:
        job.check()
    except Refused as error:
        raise Usage(str(error).partition(": ")[2]) from error
    return replace(job, ca=str(Path(job.ca).absolute()) if job.ca else "")


def _new(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Usage(f"{folder} is not empty: samples are never written over others")
    except OSError as error:
        raise Usage(f"{folder} cannot be written: {error.strerror}; nothing was measured") from error
    return folder


def _tell(endpoints: list[Endpoint], settings: dict[str, float], output: str) -> int:
    from drills.report import json, outages

    if output == "json":
        paint.put(sys.stdout, json.dumps(outages.document(endpoints, settings)))
    else:
        paint.put(sys.stdout, "\n")
        paint.show(sys.stdout, outages.parts(endpoints))
    return outages.exit_code(endpoints)


def _watch(jobs: list[ProbeJob], folder: Path, for_s: float, out: TextIO) -> list[Endpoint]:
    """Start the probers, tell what happens until the time is over or somebody ends it, and give what they saw."""
    from drills.observe.start import Observers
    from drills.report.outages import Endpoint

    observers = Observers()
    started = _started(observers, jobs, folder)
    found = [one if isinstance(one, str) else _Watch(job, one) for job, one in zip(jobs, started, strict=True)]
    watches = [one for one in found if isinstance(one, _Watch)]
    killed: set[str] = set()
    if watches:
        try:
            with _Told() as told:
                names = ", ".join(one.job.url for one in watches)
                paint.put(out, f"watching {names} for {show(for_s)}; Ctrl-C ends it\n")
                _follow(watches, observers, for_s, told, out)
        finally:
            killed = set(observers.stop([one.watching for one in watches]))
    return [
        one.summary(killed=one.watching.observer in killed)
        if isinstance(one, _Watch)
        else Endpoint(job.url, None, None, trouble=one)
        for job, one in zip(jobs, found, strict=True)
    ]


def _started(observers: Observers, jobs: list[ProbeJob], folder: Path) -> list[Watching | str]:
    """Start all probers at once; when one cannot begin, one by one, with what is wrong in the place of that one."""
    try:
        return [*observers.start(jobs, folder)]
    except Refused as error:
        if len(jobs) == 1:
            return [str(error)]
    return [one for job in jobs for one in _started(observers, [job], folder)]


class _Told:
    """Notices a Ctrl-C or a SIGTERM, so that the summary is still given; a second Ctrl-C breaks off."""

    def __init__(self) -> None:
        self.over = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _end(self, *_: object) -> None:
        self.over = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _follow(watches: list[_Watch], observers: Observers, for_s: float, told: _Told, out: TextIO) -> None:
    clock = SystemClock()
    begun = looked = clock.now()
    pause_s = _LOOK_S
    while not told.over and (left_s := for_s - clock.now().since(begun)) > 0:
        clock.sleep(min(0.1, left_s))
        if clock.now().since(looked) < pause_s:
            continue
        before = clock.now()
        for one in watches:
            one.look(out)
            if not one.trouble and not observers.alive(one.watching):
                one.trouble = "its prober has ended before its time: it was not watched to the end"
                paint.put(out, f"LOST  {one.job.url}  {one.trouble}\n")
        if all(one.trouble for one in watches):
            return
        looked = clock.now()
        pause_s = max(_LOOK_S, looked.since(before) / _AT_MOST)


class _Watch:
    """One endpoint while it is watched."""

    def __init__(self, job: ProbeJob, watching: Watching) -> None:
        self.job = job
        self.watching = watching
        self.trouble = ""
        self._file = Path(watching.file)
        self._begun = 0
        self._ended = 0

    def look(self, out: TextIO) -> None:
        """Tell the outages that have begun or ended since the last look."""
        from drills.report import outages as telling

        one = self._read(live=True)
        found = one.seen.outages if one.seen is not None else ()
        for number, outage in enumerate(found, 1):
            if number > self._begun:
                self._begun = number
                paint.put(out, telling.begun(one, outage, self._told(outage)))
            if number > self._ended and outage.ended_before is not None:
                self._ended = number
                paint.put(out, telling.ended(one, outage))

    def summary(self, *, killed: bool) -> Endpoint:
        """Give all that was seen, with the last requests."""
        from drills.measure.lints import header_lints
        from drills.observe.failures import unknowns

        if killed and not self.trouble:
            self.trouble = "its prober did not end when it was told to, and was killed"
        try:
            one = self._read(live=False)
            told = tuple(tuple(self._told(outage)) for outage in (one.seen.outages if one.seen else ()))
        except JournalError as error:
            from drills.report.outages import Endpoint

            return Endpoint(self.job.url, None, None, trouble=str(error))
        assert one.header is not None  # noqa: S101 - read without an error
        notes = tuple(note.removeprefix(f"{self.job.id}: ") for note in header_lints(one.header))
        return replace(one, told=told, trouble=self.trouble, notes=notes, unknown=tuple(unknowns(self._file)))

    def _read(self, *, live: bool) -> Endpoint:
        """Judge the file as it stands; while its observer runs, leave out what open requests may still change."""
        from drills.measure.outages import outages
        from drills.measure.question import Watch
        from drills.measure.rto import ENDLESS
        from drills.observe.store import read_controls, read_header, read_samples
        from drills.report.outages import Endpoint

        header, samples = read_header(self._file), read_samples(self._file)
        newest = samples.ended[-1] if len(samples) else 0
        until = newest - header.timeout_ns - _SLACK_NS if live else ENDLESS
        window_ns = round(self.job.stable_for_s * NS)
        watch = Watch(header, samples, window_ns, tuple(read_controls(self._file)))
        return Endpoint(self.job.url, header, outages(watch, until))

    def _told(self, outage: Outage) -> list[tuple[str, int]]:
        from drills.observe.failures import failures

        return failures(self._file, outage.first_failed, outage.last_failed)


COMMANDS = (measure,)
