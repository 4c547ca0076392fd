"""The compiled plan: a runbook bound to an environment in one direction.

Frozen, and pinned in the drill's first event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from drills.engine.rules import Rules
from drills.observe.ledger import Options
from drills.timeline.facts import Facts
from drills.timeline.marks import Basis, Limits, Mark
from drills.work import Cost, Evidence, Kind, Place


class Mode(StrEnum):
    """Why the drill runs, and with it how much it may refuse and undo."""

    REHEARSE = "rehearse"
    RUN = "run"
    INCIDENT = "incident"


class Section(StrEnum):
    """Where a step stands in the runbook; a probe's section says what its answer does."""

    BEFORE = "before"
    GUARD = "guard"
    STEPS = "steps"
    SETTLE = "settle"
    AFTER = "after"


class OnFailure(StrEnum):
    """What happens when a step ends FAILED or UNKNOWN."""

    HOLD = "hold"
    CONTINUE = "continue"
    UNDO = "undo"
    ASK = "ask"
    RUN = "run"


class Finally(StrEnum):
    """What happens to the changes when all went well."""

    KEEP = "keep"
    UNDO = "undo"
    FAILBACK = "failback"


class LeftOut(msgspec.Struct, frozen=True):
    """Why a step is left out; ``goal``: others wait for it, so its goal must be there already."""

    why: str
    goal: bool = False


class Hand(msgspec.Struct, frozen=True):
    """What a task of an observed drill was before people took it over: its kind, and whether it moves authority."""

    kind: Kind
    authority: bool = False


class Step(msgspec.Struct, frozen=True):
    """One numbered step: what it uses, where, after what, and what its ending does.

    ``params`` are the fields of the work with all names bound, but for ``${steps.ID.output.FIELD}``, which are
    bound just before the step. All times in seconds.
    """

    id: str
    number: int
    kind: Kind
    uses: str
    place: str
    section: Section = Section.STEPS
    params: Facts = msgspec.field(default_factory=Facts)
    needs: tuple[str, ...] = ()
    say: str = ""
    by_hand: str = ""
    timeout_s: float = 300.0
    every_s: float = 1.0
    attempts: int = 3
    on_failure: OnFailure = OnFailure.HOLD
    run_on_failure: str = ""
    best_effort_s: float | None = None
    expect_s: float | None = None
    mark: Mark | None = None
    when: str = ""
    show: tuple[str, ...] = ()
    tolerance: int = 0
    permissions: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    one_way: str | None = None
    authority: bool = False
    holds_authority: bool = False
    idempotent: bool = True
    cost: Cost = Cost.NONE
    expires_s: float | None = None
    """After how long the change ends by itself, whoever drives the drill; None: never."""
    reserve: bool = False
    """Runs only when another step's ``on_failure: {run: ID}`` names it."""
    armed: bool = False
    """A schedule takes it back when nobody drives the drill any more."""
    unarmed: str = ""
    """Why no schedule does, in a drill with a dead man."""
    left_out: LeftOut | None = None
    """The drill is of a part of its runbook, and this step is not in it."""
    hand: Hand | None = None
    """People make this change by hand; ``kind`` is OPERATOR, and ``uses`` still the work whose goal is looked for."""

    @property
    def changes(self) -> bool:
        """Whether the step may change something."""
        return self.kind in (Kind.ACTION, Kind.FAULT)

    @property
    def reversible(self) -> bool:
        """Whether the step can be taken back."""
        return self.changes and self.one_way is None


class AvailabilityWatch(msgspec.Struct, frozen=True):
    """One availability observer: what is asked, how often, and what counts as up and as restored. Seconds.

    ``url`` is http, https, ``tcp://host:port``, ``dns://name``, ``sql-read://`` or ``sql-write://`` with the
    observer's id; then ``dsn`` holds the server's address or a reference to it.
    """

    id: str
    url: str
    status: int = 200
    body: str = ""
    header: str = ""
    every_s: float = 0.1
    timeout_s: float = 1.0
    stable_for_s: float = 10.0
    resolve: str = "fresh"
    resolver: str | None = None
    connect_to: str = ""
    method: str = "GET"
    addresses: tuple[str, ...] = ()
    ca: str = ""
    dsn: str = ""
    query: str = ""
    value: str | None = None
    at_least: float | None = None
    at_json: str = ""
    at_header: str = ""
    by_json: str = ""
    by_address: tuple[tuple[str, str], ...] = ()


class DataWatch(msgspec.Struct, frozen=True):
    """One marker ledger: a writer on ``write`` (the old primary) and a reader on ``read`` (the survivor). Seconds.

    ``store`` is the kind of store; those in AWS also have the names of the places they are written and read at.
    ``ordered``: it keeps one ordered log. ``every_write``: markers are all the writes there are. ``peak_per_s``: the
    declared peak of real writes.
    """

    id: str
    store: str
    write: str
    read: str
    every_s: float = 0.05
    timeout_s: float = 1.0
    ordered: bool = True
    every_write: bool = False
    write_at: str = ""
    read_at: str = ""
    options: Options = msgspec.field(default_factory=Options)
    peak_per_s: float | None = None

    def references(self) -> tuple[str, ...]:
        """Give every text of it that may be a reference to a secret."""
        return (self.write, self.read, *(header.value for header in self.options.headers))


class Objective(msgspec.Struct, frozen=True):
    """Two marks and a target in seconds; ``seen_by`` narrows who judges it, ``joint`` makes one of several.

    What limits the ``downtime`` or the lost rows has no marks; the latter has ``most_rows`` and no ``target_s``.
    """

    name: str
    begins: Mark | None
    ends: Mark | None
    target_s: float
    seen_by: tuple[str, ...] = ()
    basis: Basis = Basis.MARKERS
    joint: tuple[str, ...] = ()
    limits: Limits = Limits.INTERVAL
    most_rows: int = 0


class Allowed(msgspec.Struct, frozen=True):
    """What an environment lets a drill touch: what carries these tags, and what is allowed by its exact id."""

    tags: Facts = msgspec.field(default_factory=Facts)
    max_targets: int = 10
    allow: tuple[str, ...] = ()


class DeadMan(msgspec.Struct, frozen=True):
    """After how many seconds of silence schedules take changes back; the role they act in, and their group."""

    after_s: float
    role: str
    group: str = "default"


@dataclass(frozen=True, slots=True)
class Plan:
    """A runbook and an environment bound in one direction. Makes no write; holds no secret."""

    runbook: str
    title: str
    environment: str
    environment_kind: str
    mode: Mode
    from_site: str
    to_site: str
    home: str
    places: tuple[Place, ...]
    steps: tuple[Step, ...]
    objectives: tuple[Objective, ...]
    availability: tuple[AvailabilityWatch, ...] = ()
    data: tuple[DataWatch, ...] = ()
    recovery_points: tuple[Step, ...] = ()
    """Probes that say when a recovery point is; asked before the disaster and after the recovery."""
    strategy: str = ""
    service: str = ""
    severity: str = ""
    owner: str = ""
    parameters: Facts = field(default_factory=Facts)
    scope: Allowed | None = None
    rules: Rules = field(default_factory=Rules)
    freshness: tuple[Step, ...] = ()
    """Probes of the environment that say how much would be lost; asked by a gate, no steps of the drill."""
    finally_: Finally = Finally.KEEP
    failback: str = ""
    deadline_s: float = 3600.0
    hold_for_s: float = 900.0
    baseline_s: float = 2.0
    fence: str = ""
    """Why no fence is needed, where the runbook says ``no_fence``."""
    ask: bool = False
    """Whether a person is there to answer; a rehearsal answers its own questions unless told otherwise."""
    dns_ttl_s: float | None = None
    dead_man: DeadMan | None = None
    people: Facts = field(default_factory=Facts)
    """Role -> who has it: user names, user@host, or ARNs."""
    break_glass: str = ""
    """The profile that acts in an incident when the ordinary identity cannot be had."""
    observe_only: bool = False
    """People act and the tool judges: no step changes anything."""
    world: str = ""
    """Folder of the sandbox this drill runs in, empty in AWS."""
    world_private: bool = False
    left_out: str = ""
    """Which part of the runbook this is, where it is not the whole of it."""

    @property
    def watched(self) -> bool:
        """Whether anything is measured, so that the drill has stages of observing."""
        return bool(self.availability or self.data or self.recovery_points)

    @property
    def point_of_no_return(self) -> str | None:
        """The first step that moves authority, by its id; None for a plan without one."""
        return next((step.id for step in self.steps if step.authority), None)

    def lays_down(self, step: Step) -> bool:
        """Whether a step's dead man is disarmed at the point of no return.

        So it is where its undo would touch what holds authority from then on: a fence or an isolation, and every
        action that is not done to the old site, for the new primary and its users stand on it.
        """
        elsewhere = step.place != self.from_site or self.from_site == self.to_site
        return step.holds_authority or (step.kind is Kind.ACTION and elsewhere)

    def step(self, step_id: str) -> Step:
        """Give the step called ``step_id``; ``KeyError`` when there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def place(self, name: str) -> Place:
        """Give the place called ``name``; ``KeyError`` when there is none."""
        for place in self.places:
            if place.name == name:
                return place
        raise KeyError(name)
