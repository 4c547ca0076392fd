from __future__ import annotations

from pathlib import Path

import pytest

from drills.engine.budget import critical_path, worst_s
from drills.engine.compile import check_bound, compile_plan
from drills.engine.environment_probes import active_steps
from drills.engine.outputs import bind_outputs
from drills.engine.plan import Finally, Mode, OnFailure, Plan, Section
from drills.errors import Invalid, Refused, Rejected, Usage
from drills.runbook.load import LoadedEnvironment, LoadedRunbook, load_environment, load_runbook
from drills.runbook.world import SandboxValues
from drills.timeline.codec import dump, load
from drills.timeline.facts import Facts
from drills.timeline.marks import Mark
from drills.work import Evidence, Kind, Place

ROOT = Path(__file__).parent.parent
BOOTED = SandboxValues(
    "http://127.0.0.5:4000",
    "127.0.0.6:5300",
    "/tmp/world",  # noqa: S108 - a name only
    private=True,
    values={"url": "http://orders.drills.test:8080", "zone": "Z1"},
    sites={
        site: {
            "vpc": f"vpc-{site}",
            "dsn": f"postgresql://{site}/orders",
            "direct": f"http://{site}:8080",
            "address": f"127.0.{number}.1",
        }
        for number, site in enumerate(("east", "west"))
    },
)


def _runbook(tmp_path: Path, steps: str, top: str = "") -> LoadedRunbook:
    path = tmp_path / "made.yaml"
    path.write_text(f"runbook: made\ntitle: Made\n{top}\nsteps:\n{steps}", encoding="utf-8")
    return load_runbook(path)


def _environment(tmp_path: Path, kind: str = "staging", more: str = "") -> LoadedEnvironment:
    path = tmp_path / "place.yaml"
    path.write_text(
        f"environment: place\nkind: {kind}\nhome: us-east-2\nsites:\n"
        '  east: {account: "111122223333", region: us-east-1, values: {db: a, n: 3}}\n'
        '  west: {account: "444455556666", region: us-west-2, values: {db: b, n: 4}}\n'
        'places: {dns: {account: "111122223333", region: us-east-1}}\n'
        f"values: {{url: https://example.com}}\n{more}\n",
        encoding="utf-8",
    )
    return load_environment(path)


def _shipped(mode: Mode, world: SandboxValues | None = BOOTED, to: str = "west") -> Plan:
    return compile_plan(
        load_runbook(ROOT / "runbooks/warm-standby.yaml"),
        load_environment(ROOT / "environments/sandbox.yaml"),
        mode=mode,
        from_site="east" if to == "west" else "west",
        to_site=to,
        parameters={},
        ask=False,
        world=world,
    )


def _compiled(runbook: LoadedRunbook, environment: LoadedEnvironment, mode: Mode = Mode.RUN, **parameters: str) -> Plan:
    return compile_plan(
        runbook,
        environment,
        mode=mode,
        from_site="east",
        to_site="west",
        parameters=parameters,
        ask=False,
        world=None,
    )


def test_the_shipped_runbook_binds_whole_and_comes_back_from_its_text() -> None:
    plan = _shipped(Mode.REHEARSE)
    assert load(Plan, dump(plan)) == plan
    assert "${" not in dump(plan).replace("${steps.shift.output.change_id}", "")
    assert [step.number for step in plan.steps] == list(range(1, len(plan.steps) + 1))
    assert plan.step("lose").place == "east"
    assert plan.step("lose").params == Facts(vpc="vpc-east", watch="http://east:8080")
    assert set(plan.step("promote").needs) == {"fence", "serving", "cut"}
    assert plan.step("promote").authority
    assert plan.step("promote").one_way
    assert plan.step("fence").holds_authority
    assert Evidence.REPLICATION_CUT in plan.step("cut").evidence
    assert plan.step("shift").params.text("site") == "west"
    assert plan.step("scale").params.integer("desired") == 2
    assert (plan.hold_for_s, plan.dns_ttl_s, plan.world_private) == (0.0, 1.0, True)
    assert plan.data[0].write == "postgresql://east/orders"
    assert plan.availability[0].url == "http://orders.drills.test:8080/healthz"
    assert plan.availability[0].resolver == "127.0.0.6:5300"
    assert plan.place("dns") == Place(
        "dns",
        "111122223333",
        "us-east-1",
        endpoint_url="http://127.0.0.5:4000",
        resolver="127.0.0.6:5300",
        access_key="111122223333",
    )
    assert [(goal.name, goal.begins, goal.ends, goal.target_s) for goal in plan.objectives] == [
        ("rto", Mark.DISASTER, Mark.SERVICE_RESTORED, 300.0),
        ("rpo", Mark.RECOVERY_POINT, Mark.DISASTER, 30.0),
    ]


def test_the_other_direction_swaps_every_site() -> None:
    plan = _shipped(Mode.REHEARSE, to="east")
    assert plan.step("lose").place == "west"
    assert plan.step("promote").params == Facts(db="orders-east")
    assert plan.data[0].write == "postgresql://west/orders"


def test_the_sections_wait_for_nothing_of_each_other() -> None:
    plan = _shipped(Mode.REHEARSE)
    by_section = {section: [step for step in plan.steps if step.section is section] for section in Section}
    assert all(not step.needs for section in (Section.BEFORE, Section.GUARD) for step in by_section[section])
    assert all(step.kind is Kind.PROBE for step in by_section[Section.BEFORE])
    assert by_section[Section.AFTER][0].id == "no-split-brain"


def test_a_fault_is_never_part_of_an_incident_and_what_followed_it_starts_at_once() -> None:
    plan = _shipped(Mode.INCIDENT)
    assert not [step for step in plan.steps if step.kind is Kind.FAULT]
    assert plan.step("go").needs == ()
    assert plan.hold_for_s == 900.0


def test_the_path_to_the_objective_is_the_longest_expected_one() -> None:
    seconds, path = critical_path(_shipped(Mode.REHEARSE))
    assert path == ("lose", "go", "scale", "serving", "promote", "writer", "shift", "in-sync", "answers")
    assert seconds == pytest.approx(15 + 60 + 2 + 90 + 10 + 60 + 2 + 30 + 5)
    assert seconds <= 300.0


def test_before_a_boot_the_names_a_sandbox_will_tell_are_left_open() -> None:
    plan = _shipped(Mode.REHEARSE, world=None)
    assert plan.step("writer").params == Facts(dsn="${to.dsn}")
    check_bound(load_runbook(ROOT / "runbooks/warm-standby.yaml"), load_environment(ROOT / "environments/sandbox.yaml"))


def test_a_sandbox_that_does_not_tell_a_value_is_an_error_at_that_value() -> None:
    poor = SandboxValues("http://127.0.0.5:1", "127.0.0.6:1", "x", private=True, values={"url": "x"}, sites={})
    with pytest.raises(Invalid) as caught:
        _shipped(Mode.REHEARSE, world=poor)
    text = (ROOT / "environments/sandbox.yaml").read_text(encoding="utf-8").splitlines()
    named = {text[one.line - 1].split(":")[0].strip() for one in caught.value.problems if "environments" in one.file}
    assert named == {"zone", "vpc", "dsn", "direct", "address"}


def test_every_missing_name_is_told_at_its_line_and_with_the_nearest(tmp_path: Path) -> None:
    runbook = _runbook(
        tmp_path,
        '  - {id: a, probe: rds.is_writer, at: to, with: {db: "${to.bd}"}}\n'
        '  - {id: b, probe: http.answers, at: nowhere, with: {url: "${ulr}/x"}}\n'
        '  - {id: c, probe: autoscaling.in_service, at: east, with: {asg: g, count: "${to.db}"}}\n',
    )
    with pytest.raises(Invalid) as caught:
        _compiled(runbook, _environment(tmp_path))
    told = [(one.line, one.message) for one in caught.value.problems]
    assert [line for line, _ in told] == [5, 6, 6, 7, 7]
    assert "site west of environment place has no value 'bd'; did you mean 'to.db'?" in told[0][1]
    assert any("did you mean 'url'?" in message for _, message in told)
    assert any("never against a site's own name" in message for _, message in told)
    assert any("write a whole number" in message for _, message in told)


def test_whole_references_keep_their_type_and_values_are_not_read_again(tmp_path: Path) -> None:
    runbook = _runbook(
        tmp_path,
        '  - {id: a, probe: autoscaling.in_service, at: to, with: {asg: "${word}", count: "${to.n}"}}\n'
        '  - {id: b, action: flow.nothing, at: to, with: {note: "$${word} ${from.region} ${to.name}"}}\n',
        "parameters: {word: {default: x}}",
    )
    plan = _compiled(runbook, _environment(tmp_path), word="${url}")
    assert plan.step("a").params == Facts(asg="${url}", count=4)
    assert plan.step("b").params == Facts(note="${word} us-east-1 west")


def test_outputs_are_bound_just_before_the_step(tmp_path: Path) -> None:
    runbook = _runbook(
        tmp_path,
        "  - {id: a, action: flow.nothing, at: to}\n"
        '  - {id: b, action: flow.nothing, at: to, with: {note: "${steps.a.output.note} $${x} ${url}"}}\n',
    )
    params = _compiled(runbook, _environment(tmp_path)).step("b").params
    assert bind_outputs(params, {"a": Facts(note="${hi}")}) == Facts(note="${hi} ${x} https://example.com")
    for outputs in ({}, {"a": Facts(other=1)}):
        with pytest.raises(Rejected, match=r"steps\.a\.output\.note"):
            bind_outputs(params, outputs)
    assert bind_outputs(Facts(id="${steps.a.output.x.y}"), {"a": Facts(x={"y": 5})}) == Facts(id=5)


def test_a_step_limited_to_other_modes_is_left_out_and_bridged(tmp_path: Path) -> None:
    runbook = _runbook(
        tmp_path,
        "  - {id: a, action: flow.nothing, at: to}\n"
        "  - {id: b, action: flow.nothing, at: to, only: [rehearse], on_failure: {run: d}}\n"
        "  - {id: c, action: flow.nothing, at: to, on_failure: {run: d}}\n"
        "  - {id: d, action: flow.nothing, at: to, only: [run]}\n",
    )
    plan = _compiled(runbook, _environment(tmp_path))
    assert [(step.id, step.needs, step.reserve) for step in plan.steps] == [
        ("a", (), False),
        ("c", ("a",), False),
        ("d", (), True),
    ]
    assert plan.step("c").run_on_failure == "d"
    assert _compiled(runbook, _environment(tmp_path), Mode.INCIDENT).step("c").on_failure is OnFailure.HOLD


def test_parameters_from_the_command_line_are_typed_and_known(tmp_path: Path) -> None:
    runbook = _runbook(
        tmp_path,
        '  - {id: a, probe: autoscaling.in_service, at: to, with: {asg: g, count: "${n}"}}\n'
        '  - {id: b, probe: sql.accepts_writes, at: to, with: {dsn: "${dsn}"}}\n',
        "parameters: {n: {type: integer}, dsn: {type: secret, default: 'env:DSN'}}",
    )
    environment = _environment(tmp_path)
    plan = _compiled(runbook, environment, n="7")
    assert plan.step("a").params.integer("count") == 7
    assert plan.step("b").params == Facts(dsn="env:DSN")
    assert plan.parameters == Facts(n=7)
    check_bound(runbook, environment)
    cases: tuple[tuple[dict[str, str], str], ...] = (
        ({}, "--set n=VALUE"),
        ({"n": "many"}, "not of type integer"),
        ({"n": "1", "m": "2"}, "did you mean 'n'|there are"),
        ({"n": "1", "dsn": "hunter2"}, "never the secret"),
    )
    for given, words in cases:
        with pytest.raises(Usage, match=words) as caught:
            _compiled(runbook, environment, Mode.RUN, **given)
        assert "hunter2" not in str(caught.value)


def test_modes_run_only_where_they_may(tmp_path: Path) -> None:
    runbook = _runbook(tmp_path, "  - {id: a, action: flow.nothing, at: to}\n")
    for kind, more, mode in (
        ("staging", "", Mode.REHEARSE),
        ("production", "", Mode.REHEARSE),
        ("production", "", Mode.RUN),
    ):
        with pytest.raises(Refused, match="nothing was changed"):
            _compiled(runbook, _environment(tmp_path, kind, more), mode)
    allowed = _environment(tmp_path, "production", "drills: allowed")
    assert _compiled(runbook, allowed).environment_kind == "production"
    assert _compiled(runbook, _environment(tmp_path, "production"), Mode.INCIDENT).mode is Mode.INCIDENT


def test_a_site_that_is_not_there_is_told(tmp_path: Path) -> None:
    runbook = _runbook(tmp_path, "  - {id: a, action: flow.nothing, at: to}\n")
    environment = _environment(tmp_path)
    for old, new, words in (("east", "wset", "did you mean 'west'"), ("east", "east", "name two of")):
        with pytest.raises(Usage, match=words):
            compile_plan(
                runbook,
                environment,
                mode=Mode.RUN,
                from_site=old,
                to_site=new,
                parameters={},
                ask=False,
                world=None,
            )


def test_each_site_is_asked_whether_it_is_active() -> None:
    steps = active_steps(load_environment(ROOT / "environments/sandbox.yaml"), BOOTED)
    assert [(step.place, step.uses, step.params) for step in steps] == [
        ("east", "sql.accepts_writes", Facts(dsn="postgresql://east/orders")),
        ("west", "sql.accepts_writes", Facts(dsn="postgresql://west/orders")),
    ]


def test_the_deadline_is_the_worst_case_unless_the_runbook_says_less(tmp_path: Path) -> None:
    steps = "  - {id: a, action: flow.nothing, at: to, timeout: 1h}\n"
    environment = _environment(tmp_path)
    plan = _compiled(_runbook(tmp_path, steps, "finally: undo"), environment)
    assert plan.finally_ is Finally.UNDO
    assert plan.deadline_s == worst_s(plan) >= 7200.0
    assert _compiled(_runbook(tmp_path, steps, "deadline: 10m"), environment).deadline_s == 600.0


NETWORKS = """\
measure:
  availability:
    - {{id: web, http: "${{url}}", served_by: {{address: {{from: ["10.1.0.0/16"], to: [{}, "fd00:2::/32"]}}}}}}
    - {{id: port, tcp: "orders.example.com:5432", served_by: {{address: {{from: [10.1.2.3], to: [10.2.2.3]}}}}}}
"""
STEP = "  - {id: rest, probe: flow.wait, with: {for: 1s}}\n"


def test_the_site_that_answers_is_told_by_its_address_in_either_direction(tmp_path: Path) -> None:
    runbook = _runbook(tmp_path, STEP, NETWORKS.format('"10.2.0.0/16"'))
    web, port = _compiled(runbook, _environment(tmp_path)).availability
    assert web.by_address == (("10.1.0.0/16", "east"), ("10.2.0.0/16", "west"), ("fd00:2::/32", "west"))
    assert port.by_address == (("10.1.2.3/32", "east"), ("10.2.2.3/32", "west"))


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("orders-west", "web: 'orders-west' is no address and no network; write it as in 10.1.2.3 or 10.1.0.0/16"),
        ('"${to.db}"', "web: 'b' is no address and no network"),
        ("10.1.2.3", "web: 10.1.2.3 is an address of the other site as well; tell them apart"),
    ],
)
def test_networks_that_tell_no_site_are_told_with_their_line(tmp_path: Path, network: str, told: str) -> None:
    runbook = _runbook(tmp_path, STEP, NETWORKS.format(network))
    with pytest.raises(Invalid) as caught:
        _compiled(runbook, _environment(tmp_path))
    assert "made.yaml:5: " + told in str(caught.value)
