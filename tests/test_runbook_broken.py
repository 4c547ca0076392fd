from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from drills.cli.check import check
from drills.errors import Invalid
from drills.runbook.load import load_environment, load_runbook

TOP = """\
runbook: broken
title: Something is wrong here
strategy: fault-injection
"""

STEPS = """\
steps:
  - id: note
    action: flow.nothing
    at: to
"""

WATCHED = """\
measure:
  availability:
    - {id: read, http: "http://x/r"}
    - {id: write, http: "http://x/w"}
    - {id: other, http: "http://x/o"}
"""

CAPACITY = (
    'measure:\n  availability:\n    - {{id: c, http: "http://x/c", expect: {{status: 200, at_least: {{{}}}}}}}\n'
    + STEPS
)

RUNBOOKS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "an empty file": ("", 1, ("is empty", "name: value")),
    "two ways to tell the site": (
        TOP + 'measure:\n  availability:\n    - {id: c, http: "http://x", served_by: {header: X, json: s}}\n' + STEPS,
        6,
        ("the site is told in one way", "one of header, json and address"),
    ),
    "a header of a connection": (
        TOP + "measure:\n  availability:\n    - {id: c, tcp: x:80, served_by: {header: X}}\n" + STEPS,
        6,
        ("no header and no body", "served_by: {address: ...}"),
    ),
    "networks of one site alone": (
        TOP + "measure:\n  availability:\n    - {id: c, tcp: x:80, served_by: {address: {to: [10.0.0.1]}}}\n" + STEPS,
        6,
        ("'from' is missing",),
    ),
    "a tab": (TOP + "steps:\n\t- id: a\n", 5, ("indent with spaces",)),
    "a tab in the indentation": (TOP + STEPS + "\tby_hand: x\n", 8, ("tab character", "indent with spaces")),
    "an end of line that no editor shows": (
        "runbook: b\ntitle: one\u2028two\n" + STEPS,
        2,
        ("U+2028", "end of the line", "remove it"),
    ),
    "a missing quote": (TOP + 'owner: "me\n' + STEPS, 9, ("quotes",)),
    "a colon in plain text": (TOP + "owner: a: b\n" + STEPS, 4, ("quote text that holds",)),
    "a key twice": (TOP + "title: again\n" + STEPS, 4, ("'title' stands twice", "line 2", "remove one")),
    "a python tag": (TOP + "owner: !!python/object:os.system x\n" + STEPS, 4, ("is not allowed", "plain value")),
    "two documents": (TOP + STEPS + "---\na: b\n", 8, ("second document", "keep one")),
    "an unknown alias": (TOP + "owner: *me\n" + STEPS, 4, ("define it with &me",)),
    "a number as key": (TOP + "1: x\n" + STEPS, 4, ("a key must be text", "'1':")),
    "an environment": ("# the wrong file\nenvironment: e\nkind: sandbox\n", 2, ("this is an environment", "--env")),
    "a when with a number that nobody can hold": (TOP + STEPS + f"    when: a == {'9' * 5000}\n", 8, ("no JMESPath",)),
    "a when of brackets in brackets": (TOP + STEPS + f"    when: '{'(' * 900}a{')' * 900}'\n", 8, ("nested too deep",)),
    "an unknown field": (TOP + "ower: me\n" + STEPS, 4, ("unknown field 'ower'", "did you mean 'owner'?")),
    "an unknown field of a step": (TOP + STEPS + "    tiemout: 3s\n", 8, ("did you mean 'timeout'?",)),
    "a missing title": ("runbook: broken\n" + STEPS, 1, ("'title' is missing", "add it")),
    "no steps": (TOP, 1, ("'steps' is missing", "add it")),
    "empty steps": (TOP + "steps: []\n", 4, ("write at least one",)),
    "a step that is text": (TOP + STEPS + "  - promote\n", 8, ("mapping",)),
    "an unknown strategy": (
        "runbook: b\ntitle: t\nstrategy: warm-stanby\n" + STEPS,
        3,
        ("'warm-stanby' is not known", "did you mean 'warm-standby'?"),
    ),
    "a duration without unit": (TOP + STEPS + "    timeout: 30\n", 8, ("30 has no unit", "write 30s")),
    "a duration with a wrong unit": (TOP + STEPS + "    timeout: 3 min\n", 8, ("not a duration", "as in 100ms, 90s")),
    "a duration in sixties": (TOP + STEPS + "    timeout: 1:30\n", 8, ("'1:30' is not a duration",)),
    "a timeout of nothing": (TOP + STEPS + "    timeout: 0s\n", 8, ("at least 1ms",)),
    "a timeout finer than a millisecond": (
        TOP + STEPS + "    timeout: 1.0005s\n",
        8,
        ("'1.0005s' is finer than a millisecond", "such as 1000ms"),
    ),
    "an endless timeout": (TOP + STEPS + "    timeout: 99999999999999d\n", 8, ("too long",)),
    "an unknown action": (
        TOP + "steps:\n  - id: a\n    action: rds.promote_read_replca\n    at: to\n",
        6,
        ("did you mean 'rds.promote_read_replica'?",),
    ),
    "a probe named as an action": (
        TOP + "steps:\n  - id: a\n    action: http.answers\n",
        6,
        ("write 'probe: http.answers'",),
    ),
    "an unknown work field": (
        TOP + "steps:\n  - id: a\n    probe: rds.is_writer\n    at: to\n    with:\n      bd: x\n      db: x\n",
        9,
        ("rds.is_writer has no field 'bd'", "there are: db"),
    ),
    "a missing work field": (
        TOP + "steps:\n  - id: a\n    probe: rds.is_writer\n    at: to\n    with: {}\n",
        8,
        ("rds.is_writer needs the field 'db'", "add it"),
    ),
    "a work field of the wrong type": (
        TOP + 'steps:\n  - id: a\n    probe: autoscaling.in_service\n    at: to\n    with: {asg: x, count: "many"}\n',
        8,
        ("count", "write a whole number"),
    ),
    "a parameter of the wrong type for its field": (
        TOP
        + "parameters: {n: {type: string, default: many}}\nsteps:\n  - id: a\n    probe: autoscaling.in_service\n"
        + '    at: to\n    with: {asg: x, count: "${n}"}\n',
        9,
        ("count", "write a whole number"),
    ),
    "work on AWS without a place": (
        TOP + "steps:\n  - id: a\n    probe: rds.is_writer\n    with: {db: x}\n",
        6,
        ("say where", "at: from"),
    ),
    "an id twice": (
        TOP + STEPS + "  - id: note\n    action: flow.nothing\n    at: to\n",
        8,
        ("'note' stands already on line 5",),
    ),
    "no id": (TOP + "steps:\n  - action: flow.nothing\n    at: to\n", 5, ("no id", "add one")),
    "two kinds in one step": (TOP + STEPS + "    probe: flow.wait\n", 8, ("action and probe", "make two steps")),
    "no kind": (TOP + "steps:\n  - id: a\n    say: hello\n", 5, ("does nothing", "add one of action")),
    "an unknown need": (TOP + STEPS + "    needs: [nte]\n", 8, ("no step 'nte'", "did you mean 'note'?")),
    "a need of itself": (TOP + STEPS + "    needs: [note]\n", 8, ("waits for itself", "remove it")),
    "a circle": (
        TOP
        + "steps:\n  - {id: a, action: flow.nothing, at: to, needs: [b]}\n"
        + "  - {id: b, action: flow.nothing, at: to, needs: [a]}\n",
        5,
        ("a -> b -> a is a circle", "remove one of these needs"),
    ),
    "an observers' mark": (
        TOP + STEPS + "    mark: service_restored\n",
        8,
        ("only observers set 'service_restored'", "remove it"),
    ),
    "an unknown mark": (TOP + STEPS + "    mark: dissaster\n", 8, ("'dissaster' is not known", "'disaster'")),
    "a mark twice": (
        TOP + STEPS + "    mark: decided\n  - {id: b, action: flow.nothing, at: to, mark: decided}\n",
        9,
        ("set already on line 8", "keep one"),
    ),
    "a when that is no JMESPath": (TOP + STEPS + '    when: "a ||"\n', 8, ("no JMESPath",)),
    "a when that denies before it looks": (
        TOP + STEPS + "    when: '!steps.note.adopted'\n",
        8,
        ("! comes before the dot", "write !(a.b)"),
    ),
    "a fallback that waits for its step": (
        TOP
        + STEPS
        + "    on_failure: {run: b}\n"
        + "  - {id: c, action: flow.nothing, at: to}\n"
        + "  - {id: b, action: flow.nothing, at: to, needs: [c]}\n",
        8,
        ("note -> b -> c -> note is a circle", "waits for what runs in its place"),
    ),
    "a fallback of a step that nobody waits for": (
        TOP + STEPS + "    best_effort: 5s\n    on_failure: {run: b}\n  - {id: b, action: flow.nothing, at: to}\n",
        9,
        ("best_effort", "remove one"),
    ),
    "a need of a fallback by a fallback": (
        TOP
        + STEPS
        + "    on_failure: {run: b}\n"
        + "  - {id: b, action: flow.nothing, at: to, needs: [c]}\n"
        + "  - {id: c, action: flow.nothing, at: to}\n"
        + "  - {id: d, action: flow.nothing, at: to, on_failure: {run: c}}\n",
        9,
        ("'c' runs only when another step fails", "remove it"),
    ),
    "an unclosed name": (TOP + STEPS + '    with: {note: "${oh"}\n', 8, ("not closed", "$${")),
    "an unknown direction": (TOP + STEPS + '    with: {note: "${form.db}"}\n', 8, ("did you mean 'from'?",)),
    "an output of nothing": (
        TOP + STEPS + '    with: {note: "${steps.gone.output.x}"}\n',
        8,
        ("no step 'gone'", "there are: note"),
    ),
    "an output of a later step": (
        TOP + STEPS + '    with: {note: "${steps.b.output.x}"}\n  - {id: b, action: flow.nothing, at: to}\n',
        8,
        ("need not have ended", "needs: [b]"),
    ),
    "a site's own value": (TOP + STEPS + '    with: {note: "${site.db}"}\n', 8, ("write from. or to.",)),
    "a secret in the file": (
        TOP + "parameters: {p: {type: secret, default: hunter2}}\n" + STEPS,
        4,
        ("never the secret itself", "env:NAME"),
    ),
    "a secret inside text": (
        TOP + 'parameters: {p: {type: secret, default: "env:P"}}\n' + STEPS + '    with: {note: "x ${p}"}\n',
        9,
        ("is a secret", "whole value"),
    ),
    "a parameter of the wrong type": (
        TOP + "parameters: {n: {type: integer, default: four}}\n" + STEPS,
        4,
        ("not of type integer", "as in 4"),
    ),
    "an action in after": (
        TOP + STEPS + "after:\n  - {id: b, action: flow.nothing, at: to}\n",
        9,
        ("takes probes only", "move this to 'steps'"),
    ),
    "a parallel inside a parallel": (
        TOP + "steps:\n  - parallel:\n      - parallel:\n          - {id: a, action: flow.nothing, at: to}\n",
        6,
        ("inside another", "lift it out"),
    ),
    "an on_failure nobody knows": (TOP + STEPS + "    on_failure: retry\n", 8, ("hold, continue, undo, ask",)),
    "an on_failure that runs nothing": (TOP + STEPS + "    on_failure: {run: nte}\n", 8, ("no step 'nte'",)),
    "an undo of a promotion": (
        TOP
        + "no_fence: a copy\nfinally: undo\nsteps:\n  - id: p\n    action: rds.promote_read_replica\n    at: to\n"
        + "    with: {db: x}\n",
        5,
        ("cannot take 'p' (line 7) back", "write keep or failback"),
    ),
    "a promotion without a fence": (
        TOP + "steps:\n  - id: p\n    action: rds.promote_read_replica\n    at: to\n    with: {db: x}\n",
        6,
        ("nothing fences", "rds.fence_writer", "no_fence: why"),
    ),
    "a failback to nowhere": (TOP + "finally: {failback: home}\n" + STEPS, 4, ("no runbook 'home' beside this one",)),
    "an unknown only": (TOP + STEPS + "    only: [rehearsal]\n", 8, ("'rehearsal' is not known", "'rehearse'")),
    "a fault in an incident": (
        TOP + "steps:\n  - id: a\n    fault: site.isolate\n    at: from\n    only: [incident]\n    with: {vpc: v}\n",
        8,
        ("never runs in an incident", "remove 'incident'"),
    ),
    "an objective without marks": (TOP + "objectives: {detection: 5m}\n" + STEPS, 4, ("detection", "mapping")),
    "an objective seen by nobody": (
        TOP + "objectives: {rto: {from: disaster, to: decided, within: 5m, seen_by: [check]}}\n" + STEPS,
        4,
        ("nothing under 'measure' is called 'check'",),
    ),
    "a joint objective of one": (
        TOP + WATCHED + "objectives: {rto: {within: 5m, joint: [read]}}\n" + STEPS,
        9,
        ("two or more observers", "seen_by"),
    ),
    "a joint objective with a stranger": (
        TOP + WATCHED + "objectives: {rto: {within: 5m, joint: [read, rite]}}\n" + STEPS,
        9,
        ("'measure: availability' is called 'rite'", "did you mean 'write'?"),
    ),
    "a joint objective that names one twice": (
        TOP + WATCHED + "objectives: {rto: {within: 5m, joint: [read, read]}}\n" + STEPS,
        9,
        ("'read' stands there twice", "remove one"),
    ),
    "a joint objective of something else": (
        TOP + WATCHED + "objectives: {rpo: {within: 5m, joint: [read, write]}}\n" + STEPS,
        9,
        ("rpo: joint says when the service is restored",),
    ),
    "times that do not fit into the tolerable downtime": (
        TOP + "objectives: {rto: 5m, wrt: 6m, mtd: 10m}\n" + STEPS,
        4,
        ("rto + wrt = 11m is more than mtd = 10m", "MTD = RTO + WRT"),
    ),
    "a capacity of nothing": (
        TOP + CAPACITY.format("json: healthy, value: 0"),
        6,
        ("0 asks for nothing", "above 0"),
    ),
    "a capacity that is said nowhere": (TOP + CAPACITY.format("value: 4"), 6, ("json: healthy, or header:",)),
    "a capacity that is no JMESPath": (
        TOP + CAPACITY.format("json: 'healthy[', value: 4"),
        6,
        ("no JMESPath", "length(targets)"),
    ),
    "a capacity that is text": (
        TOP + CAPACITY.format("json: healthy, value: four"),
        6,
        ("'four' is not a number", "${capacity}"),
    ),
    "a huge number": (TOP + STEPS + "    retry: {attempts: 1234567890123456789012}\n", 8, ("too large",)),
    "a list of names as text": (TOP + STEPS + "    needs: note\n", 8, ("write a list, as in [note]",)),
    "a block with nothing in it": (
        TOP + "steps:\n  - parallel:\n    id: a\n    action: flow.nothing\n",
        5,
        ("parallel is empty", "remove the line"),
    ),
    "a key without a value": (TOP + STEPS + "    timeout:\n", 8, ("timeout is empty", "remove the line")),
    "an objective without a unit": (TOP + "objectives: {rto: 5}\n" + STEPS, 4, ("rto: 5 has no unit", "write 5s")),
    "observers of an objective, and none named": (
        TOP + WATCHED + "objectives: {rto: {within: 5s, seen_by: []}}\n" + STEPS,
        9,
        ("rto: seen_by is empty", "or remove it"),
    ),
    "an observer of an objective twice": (
        TOP + WATCHED + "objectives: {rto: {within: 5s, seen_by: [read, read]}}\n" + STEPS,
        9,
        ("'read' stands there twice", "remove one"),
    ),
    "an objective of 0": (
        TOP + "objectives: {exposure: 0}\n" + STEPS,
        4,
        ("0 has no unit", "write a number and a unit"),
    ),
    "a number out of bounds": (TOP + STEPS + "    retry: {attempts: 0}\n", 8, ("attempts: 0", "write at least 1")),
    "a duration without unit in a work": (
        TOP + "steps:\n  - id: a\n    probe: rds.replica_lag\n    at: to\n    with: {db: x, at_most: 30}\n",
        8,
        ("at_most: 30 has no unit", "write 30s"),
    ),
    "sizes out of order though a name is open": (
        TOP
        + "steps:\n  - id: a\n    action: autoscaling.set_capacity\n    at: to\n    with:\n"
        + '      asg: "${to.asg}"\n      min: 5\n      desired: 1\n      max: 2\n',
        11,
        ("min 5 <= desired 1 <= max 2 must hold",),
    ),
    "an observer without a url": (
        TOP + "measure:\n  availability:\n    - id: web\n      every: 1s\n" + STEPS,
        6,
        ("write one of http, tcp, dns, sql",),
    ),
    "an observer of a port that cannot be": (
        TOP + 'measure:\n  availability:\n    - {id: c, http: "http://x:99999/"}\n' + STEPS,
        6,
        ("http://x:99999/ is no address", "out of range", "mend it"),
    ),
    "an observer of two kinds": (
        TOP + "measure:\n  availability:\n    - id: web\n      http: https://a/\n      tcp: a:1\n" + STEPS,
        6,
        ("not http and tcp",),
    ),
    "a status of a name": (
        TOP + "measure:\n  availability:\n    - id: web\n      dns: a\n      expect: {status: 200}\n" + STEPS,
        6,
        ("expect status has no meaning for dns; write address",),
    ),
    "tcp written as http": (
        TOP + "measure:\n  availability:\n    - id: web\n      http: tcp://a:1\n" + STEPS,
        6,
        ("tcp:// is no HTTP; write it as 'tcp:'",),
    ),
    "sql without a server": (
        TOP + "measure:\n  availability:\n    - id: web\n      sql: {query: SELECT 1}\n" + STEPS,
        7,
        ("write one of read and write",),
    ),
    "a switch that is no switch": (TOP + "no_fence: true\n" + STEPS, 4, ("true is not text",)),
    "a name of its own kind": (TOP + STEPS + '    with: {note: "${before.x}"}\n', 8, ("only an `aws.call` knows it",)),
    "many brackets": (TOP + "owner: " + "[" * 50_000 + "\n", 4, ("deeper than 60 levels", "flatten")),
    "an alias bomb": (
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
        10,
        ("aliases more than 2000 times",),
    ),
    "a megabyte": ("# " + "x" * (1 << 20), 1, ("larger than 1048576 bytes",)),
    "control characters": (TOP + "owner: a\x07b\n" + STEPS, 4, ("control character",)),
}

SITES = """\
environment: broken
kind: staging
home: us-east-2
sites:
  east: {account: "111122223333", region: us-east-1, values: {db: a}}
"""

ENVIRONMENTS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "an observer that is closer than the ring it is kept in": (
        SITES + "observe:\n  availability:\n  - {id: web, http: http://x, every: 500ms}\n",
        8,
        ("web: every 500ms is closer than 'observe: every' (1s)", "write 1s or more"),
    ),
    "a window that no ring can fill": (
        SITES + "observe:\n  every: 5s\n  availability:\n  - {id: web, http: http://x, stable_for: 10s}\n",
        9,
        ("web: stable_for 10s is shorter than 5 x (timeout + every)", "write 30s or more"),
    ),
    "a TTL that no name server can tell": (
        SITES.replace("staging", "sandbox") + "world: {primary: east, record: a.b, ttl: 1500ms}\n",
        6,
        ("whole seconds", "write 1s or more"),
    ),
    "an account without quotes": (
        SITES + "  west: {account: 111122223333, region: us-west-2}\n",
        6,
        ("must be quoted", '"111122223333"'),
    ),
    "a short account": (SITES + '  west: {account: "1234", region: us-west-2}\n', 6, ("12 digits",)),
    "a wrong region": (SITES + '  west: {account: "111122223333", region: oregon}\n', 6, ("as in us-east-1",)),
    "a role of another account": (
        SITES + '  west: {account: "111122223333", region: us-west-2, role: "arn:aws:iam::999988887777:role/x"}\n',
        6,
        ("account 999988887777", "mend one"),
    ),
    "an unknown kind": (SITES.replace("staging", "stagng"), 2, ("'stagng' is not known", "'staging'")),
    "a site called from": (SITES + '  from: {account: "111122223333", region: us-west-2}\n', 6, ("is a direction",)),
    "a place that is a site": (
        SITES + 'places:\n  east: {account: "111122223333", region: us-east-1}\n',
        7,
        ("is a site already",),
    ),
    "an unknown probe": (SITES + "active: {probe: sql.accept_writes}\n", 6, ("did you mean 'sql.accepts_writes'?",)),
    "a value no site has": (
        SITES + 'active: {probe: sql.accepts_writes, with: {dsn: "${site.dsn}"}}\n',
        6,
        ("site east has no value 'dsn'",),
    ),
    "a sandbox value in staging": (SITES + 'values: {url: "${sandbox.url}"}\n', 6, ("kind sandbox",)),
    "a sandbox without a world": (SITES.replace("staging", "sandbox"), 2, ("needs 'world:'",)),
    "a world in staging": (SITES + "world: {primary: east, record: a.b}\n", 6, ("only a sandbox",)),
    "a sandbox value nobody tells": (
        SITES.replace("staging", "sandbox") + 'world: {primary: east, record: a.b}\nvalues: {url: "${sandbox.ulr}"}\n',
        7,
        ("did you mean 'url'?",),
    ),
    "a value that is a list": (SITES + "values: {url: [a]}\n", 6, ("no place here",)),
}


def _write(folder: Path, text: str) -> Path:
    path = folder / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _assert_told(path: Path, line: int, words: tuple[str, ...], problems: Invalid) -> None:
    on_line = [one for one in problems.problems if one.line == line and one.file == str(path)]
    assert on_line, f"nothing on line {line}: {problems}"
    assert any(all(word in one.message for word in words) for one in on_line), str(problems)
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 5
    assert f"{path}:{line}: " in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("case", RUNBOOKS)
def test_a_broken_runbook_is_told_with_its_line_and_the_repair(case: str, tmp_path: Path) -> None:
    text, line, words = RUNBOOKS[case]
    path = _write(tmp_path, text)
    with pytest.raises(Invalid) as caught:
        load_runbook(path)
    _assert_told(path, line, words, caught.value)


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_a_broken_environment_is_told_with_its_line_and_the_repair(case: str, tmp_path: Path) -> None:
    text, line, words = ENVIRONMENTS[case]
    path = _write(tmp_path, text)
    with pytest.raises(Invalid) as caught:
        load_environment(path)
    _assert_told(path, line, words, caught.value)


def test_a_runbook_in_the_place_of_an_environment_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        load_environment(_write(tmp_path, TOP + STEPS))
    assert [(one.line, "an environment goes with `--env`" in str(one)) for one in caught.value.problems] == [(1, True)]


def test_most_broken_files_have_exactly_one_problem(tmp_path: Path) -> None:
    several = {
        case: str(caught)
        for case, (text, _, _) in RUNBOOKS.items()
        if len((caught := _problems(_write(tmp_path, text))).problems) > 1
    }
    assert several == {}


def _problems(path: Path) -> Invalid:
    with pytest.raises(Invalid) as caught:
        load_runbook(path)
    return caught.value


def test_all_errors_are_told_at_once_in_file_order(tmp_path: Path) -> None:
    text = dedent("""\
        runbook: many
        title: Many things are wrong
        ower: me
        strategy: fault-injection
        steps:
          - id: a
            action: flow.nothng
            at: to
            timeout: 5
          - id: b
            probe: http.answers
            needs: [c]
            mark: recovery_point
            with:
              ulr: http://x
        after:
          - id: a
            probe: http.answers
            with: {url: "${oops"}
    """)
    found = [(one.line, one.message.partition(";")[0]) for one in _problems(_write(tmp_path, text)).problems]
    assert [line for line, _ in found] == [3, 7, 9, 12, 13, 14, 15, 17, 19], found


def test_a_folder_and_a_missing_file_are_errors_too(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        assert "check the path" in str(_problems(path))


def test_text_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"runbook: a\ntitle: caf\xe9\n")
    assert str(_problems(path)) == f"{path}:2: is not UTF-8 text; save the file as UTF-8"
