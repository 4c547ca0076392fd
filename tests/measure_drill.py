"""A simulated drill in nanoseconds: a region is lost, and comes back elsewhere. For tests of the judge."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from drills.measure.effect import Disaster
from drills.measure.evidence import Bracket
from drills.measure.question import Ledger, Moment, Question, StepSpan, Target, Watch
from drills.measure.rpo import Book
from drills.timeline.marks import Mark
from drills.timeline.samples import Marker, ObserverHeader, Persona, ReadRound, Recovered, Sample, Samples

MS = 1_000_000
S = 1000 * MS
LOST = 100 * S
"""When the region is lost."""


@dataclass(frozen=True)
class Story:
    """What happens; times in nanoseconds from the loss of the region."""

    recovers: int = 5 * S
    """When DNS points at the other site and it serves."""
    every: int = 100 * MS
    timeout: int = 1 * S
    window: int = 10 * S
    black_hole: bool = False
    takes_effect: int = 0
    """How long the old site goes on serving after the fault's call."""
    ttl: int | None = None
    again: tuple[tuple[int, int], ...] = ()
    """Further outages after the recovery."""
    baseline: int = 15 * S
    watched: int = 20 * S
    seed: int = 0

    def serves(self, at: int) -> str:
        """Name the site that serves a request reaching the service at ``at``; empty when none does."""
        since = at - LOST
        if since < self.takes_effect:
            return "east"
        back = since >= self.recovers and not any(first <= since < past for first, past in self.again)
        return "west" if back else ""


def header(name: str, persona: Persona, story: Story, **changes: object) -> ObserverHeader:
    made = ObserverHeader(
        observer=name,
        persona=persona,
        url="http://orders.test/healthz",
        every_ns=story.every,
        timeout_ns=story.timeout,
        clock="host/boot",
        time_namespace="time:[1]",
        started=LOST - story.baseline,
        ended=LOST + story.watched,
        scheduler="SCHED_FIFO",
        identified=persona is not Persona.WRITER,
        ttl_ns=story.ttl,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def watch(story: Story, name: str = "service", persona: Persona = Persona.FRESH) -> Watch:
    """Probe the story: refused connections, or timeouts in a black hole."""
    random = Random(story.seed)
    late = random.randint(0, story.ttl or 0) if persona is Persona.TTL else 0
    seen = replace(story, recovers=story.recovers + late)
    rows: list[Sample] = []
    phase = random.randint(0, story.every)
    for sent in range(LOST - story.baseline + phase, LOST + story.watched, story.every):
        arrived = sent + random.randint(1, 3) * MS
        site = seen.serves(arrived)
        if site:
            rows.append(Sample(sent, arrived + random.randint(1, 4) * MS, up=True, by=site, status=200))
        elif story.black_hole:
            rows.append(Sample(sent, sent + story.timeout, up=False, detail="timeout"))
        else:
            rows.append(Sample(sent, arrived + MS, up=False, detail="refused", hard=True))
    return Watch(header(name, persona, story), Samples.of(rows), story.window)


def ledger(story: Story, lag: int = 120 * MS, every: int = 50 * MS, store: str = "orders") -> Ledger:
    """Write markers until the region is lost; the survivor has what was committed ``lag`` before."""
    random = Random(story.seed + 1)
    markers: list[Marker] = []
    found: list[Recovered] = []
    for seq, sent in enumerate(range(LOST - story.baseline, LOST + 2 * S, every)):
        committed = sent + MS
        if committed < LOST + story.takes_effect:
            markers.append(Marker("w", seq, sent, committed + random.randint(1, 3) * MS, acked=True, primary="pg-east"))
            if committed < LOST - lag:
                found.append(Recovered(1, LOST + 15 * S, "w", seq, "pg-east"))
        else:
            markers.append(Marker("w", seq, sent, committed, acked=False))
    rounds = [ReadRound(1, LOST + 14 * S, LOST + 15 * S, "pg-west", complete=True)]
    book = Book(store, markers, rounds, found, old="pg-east")
    return Ledger(header(store, Persona.WRITER, story, every_ns=every, identified=False), book, peak_per_s=400)


RTO = Target("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 60 * S)
RPO = Target("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, 30 * S)


@dataclass(frozen=True)
class Case:
    """A story and the question it raises."""

    story: Story = field(default_factory=Story)
    targets: tuple[Target, ...] = (RTO, RPO)

    def question(self, **changes: object) -> Question:
        story = self.story
        asked = Question(
            clock="host/boot",
            time_namespace="time:[1]",
            disaster=Disaster(Bracket(LOST - 5 * MS, LOST + 5 * MS), synchronous=True),
            until=LOST + story.watched,
            from_site="east",
            to_site="west",
            watches=(watch(story),),
            ledgers=(ledger(story),),
            targets=self.targets,
            moments=(
                Moment(Mark.DECIDED, Bracket(LOST + 990 * MS, LOST + 1010 * MS)),
                Moment(Mark.DATA_RESTORED, Bracket(LOST + 3 * S, LOST + 3100 * MS)),
            ),
            steps=(
                StepSpan("lose", LOST - 5 * MS, LOST + 5 * MS, Mark.DISASTER),
                StepSpan("go", LOST + 10 * MS, LOST + 1 * S, Mark.DECIDED),
                StepSpan("scale", LOST + 1 * S, LOST + 2 * S),
                StepSpan("promote", LOST + 1 * S, LOST + 2500 * MS),
                StepSpan("writer", LOST + 2500 * MS, LOST + 3 * S, Mark.DATA_RESTORED),
                StepSpan("shift", LOST + 3200 * MS, LOST + 4 * S),
            ),
            cut_before_promote=True,
        )
        return replace(asked, **changes)  # type: ignore[arg-type]
