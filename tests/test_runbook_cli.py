from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from terminal import terminal

from drills.catalog import names
from drills.cli.check import catalog, check, find, print_, schema
from drills.errors import Usage
from drills.runbook.find import environment_path
from drills.runbook.load import load_environment, load_runbook
from drills.work import Kind
from drills.yamldoc import load

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "runbooks").glob("*.yaml"))
PLACES = sorted((ROOT / "environments").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_everything_shipped_is_valid_without_a_warning() -> None:
    result = CliRunner().invoke(check, [])
    assert result.exit_code == 0, result.output
    assert "warning" not in result.output
    assert "needs from an environment: url, " in result.output


@pytest.mark.parametrize("environment", [path.name for path in PLACES])
def test_every_shipped_runbook_binds_to_every_shipped_environment(environment: str) -> None:
    names = [path.name for path in SHIPPED]
    result = CliRunner().invoke(check, [*names, "--env", environment, "--output", "json"])
    told = json.loads(result.output)
    assert result.exit_code == 0, result.output
    assert [one["ok"] for one in told["files"]] == [True] * (1 + len(names))


def test_a_step_that_needs_the_lost_region_is_warned_of_by_its_line_until_it_is_best_effort(tmp_path: Path) -> None:
    book, calm = tmp_path / "orders.yaml", tmp_path / "calm.yaml"
    text = (ROOT / "runbooks" / "warm-standby.yaml").read_text(encoding="utf-8")
    book.write_text(text, encoding="utf-8")
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "- id: shift" in one)
    told = CliRunner().invoke(check, [str(book), "--env", "sandbox"])
    assert told.exit_code == 0, told.output
    assert f"orders.yaml:{line}: warning: shift, from east to west: route53:ChangeResourceRecordSets" in told.output
    calm.write_text(text.replace("- id: shift\n", "- id: shift\n    best_effort: 20s\n"), encoding="utf-8")
    assert "warning: shift" not in CliRunner().invoke(check, [str(calm), "--env", "sandbox"]).output


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_runbook_says_what_it_does_and_how_to_do_it_by_hand(path: Path) -> None:
    loaded = load_runbook(path)
    for one in loaded.model.listed():
        assert one.step.say, one.step.id
        found = loaded.checked.traits[one.where]
        if found.one_way is not None or one.step.operator is not None:
            assert one.step.by_hand, one.step.id
    assert "{id:" not in path.read_text(encoding="utf-8"), "shipped files use block style"


@pytest.mark.parametrize("path", [*SHIPPED, *PLACES], ids=lambda path: path.name)
def test_editors_find_the_schema_from_the_first_line(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert named != first
    assert (path.parent / named).is_file()


@pytest.mark.parametrize("what", ["runbook", "environment"])
def test_the_committed_schema_is_the_current_one(what: str) -> None:
    result = CliRunner().invoke(schema, [what])
    assert json.loads(result.output) == json.loads((ROOT / f"{what}s/schema.json").read_text(encoding="utf-8"))


def test_a_wrong_name_in_the_environment_is_told_at_the_runbook_line(tmp_path: Path) -> None:
    place = tmp_path / "place.yaml"
    text = (ROOT / "environments/staging.example.yaml").read_text(encoding="utf-8").replace("  zone: Z0", "  zoen: Z0")
    place.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(check, ["warm-standby", "--env", str(place)])
    lines = (ROOT / "runbooks/warm-standby.yaml").read_text(encoding="utf-8").splitlines()
    line = 1 + next(number for number, one in enumerate(lines) if "${zone}" in one)
    assert result.exit_code == 5
    assert f"warm-standby.yaml:{line}: ${{zone}}" in result.output
    assert "did you mean 'zoen'?" in result.output


def test_an_unknown_runbook_names_the_nearest() -> None:
    result = CliRunner().invoke(check, ["warm-stanby"])
    assert result.exit_code == 2
    assert "did you mean 'warm-standby'?" in result.output


LINTED = {
    "a flap could hide": ("    stable_for: 2s", "stable_for"),
    "cannot tell which site answers": ("", "id: web"),
    "a twentieth of the rto": ("    every: 30s\n    timeout: 2s\n    stable_for: 5m", "every"),
}


@pytest.mark.parametrize("words", LINTED)
def test_what_is_likely_to_hurt_is_warned_of_and_does_not_fail(words: str, tmp_path: Path) -> None:
    more, _ = LINTED[words]
    path = tmp_path / "lint.yaml"
    path.write_text(
        "runbook: a\ntitle: t\nobjectives: {rto: 1m}\nmeasure:\n  availability:\n  - id: web\n    http: http://x\n"
        f"{more}\nsteps:\n- {{id: a, action: flow.nothing, at: to, mark: disaster}}\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 0
    assert f"{path}:" in result.output
    assert words in result.output


def test_steps_behind_the_point_of_no_return_and_times_that_cannot_be_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "late.yaml"
    path.write_text(
        "runbook: a\ntitle: t\nno_fence: a test\nobjectives: {rpo: 1m}\nsteps:\n"
        "- {id: p, action: rds.promote_read_replica, at: to, with: {db: x}, expect: 5m, timeout: 1m}\n"
        "- {id: c, action: autoscaling.set_capacity, at: to, with: {asg: g, min: 1, desired: 1, max: 1}}\n",
        encoding="utf-8",
    )
    told = {one.line: one.message for one in load_runbook(path).warnings}
    assert "behind the point of no return" in told[7]
    every = "\n".join(one.message for one in load_runbook(path).warnings)
    for words in ("longer than its timeout", "add 'by_hand:'", "nobody writes markers", "no step sets the mark"):
        assert words in every


AT_A_TERMINAL = """
import sys
from drills.cli.main import main
for words in sys.argv[1:]:
    print("==", words)
    main(words.split())
"""
WIDE = ("catalog", "catalog aws.call", "check", "fis actions", "fis lint", "print warm-standby", "find", "status")


def test_lists_fit_a_terminal_and_stay_whole_in_a_pipe() -> None:
    words = [sys.executable, "-c", AT_A_TERMINAL, *WIDE]
    variables = {**os.environ, "COLUMNS": "80"}
    with terminal(words, variables, ROOT) as shown:
        assert shown.wait() == 0, shown.text
    lines = shown.text.replace("\r", "").splitlines()
    long = [line for line in lines if len(line) > 80]
    assert all("> aws rds " in line for line in long), long
    found = " ".join(shown.text.split())
    assert "Where there is no way back, `one_way` says why" in found
    piped = CliRunner().invoke(catalog, []).output.splitlines()
    assert len(piped) == len({name for kind in Kind for name in names(kind)})
    assert max(map(len, piped)) > 80


def test_the_paper_runbook_numbers_steps_and_says_what_to_do_by_hand() -> None:
    loose = CliRunner().invoke(print_, ["warm-standby"])
    assert loose.exit_code == 0, loose.output
    assert "6. [ ] **lose**" in loose.output
    bound = CliRunner().invoke(print_, ["warm-standby", "--env", "staging.example", "--to", "west"])
    assert bound.exit_code == 0, bound.output
    assert "**lose**" not in bound.output
    assert "aws rds promote-read-replica --db-instance-identifier orders-b --region us-west-2" in bound.output
    assert CliRunner().invoke(print_, ["warm-standby", "--env", "staging.example"]).exit_code == 2
    assert CliRunner().invoke(print_, ["warm-standby", "--to", "west"]).exit_code == 2


def test_the_three_in_the_morning_entrance_finds_the_runbook() -> None:
    for arguments in (["--severity", "sev1", "--service", "orders"], ["standby"]):
        result = CliRunner().invoke(find, arguments)
        assert "runbooks/warm-standby.yaml" in result.output
    nothing = CliRunner().invoke(find, ["--severity", "sev9"])
    assert "no runbook fits" in nothing.output
    assert json.loads(CliRunner().invoke(find, ["--severity", "sev9", "--output", "json"]).stdout) == []


def test_the_catalogue_tells_names_fields_and_the_way_back() -> None:
    every = CliRunner().invoke(catalog, [])
    assert "rds.promote_read_replica" in every.output
    one = CliRunner().invoke(catalog, ["rds.promote_read_replica"])
    for words in ("one way:", "Fields:", "rds:PromoteReadReplica", "Example:"):
        assert words in one.output
    assert CliRunner().invoke(catalog, ["rds.promot"]).exit_code == 2
    assert json.loads(CliRunner().invoke(catalog, ["http.answers", "--output", "json"]).output)["kind"] == "probe"


def test_a_failback_beside_the_runbook_is_found(tmp_path: Path) -> None:
    (tmp_path / "home.yaml").write_text("runbook: way-home\ntitle: x\nsteps: []\n", encoding="utf-8")
    out = tmp_path / "out.yaml"
    out.write_text(
        "runbook: o\ntitle: t\nfinally: {failback: way-home}\nsteps:\n- {id: a, action: flow.nothing, at: to}\n",
        encoding="utf-8",
    )
    assert load_runbook(out).model.finally_.failback == "way-home"


def _big(path: Path) -> Path:
    step = "  - id: s{0}\n    say: step {0}\n    action: flow.nothing\n    at: to\n    timeout: 30s\n    with:\n"
    steps = "".join(step.format(number) + f"      note: number {number}\n" for number in range(1000))
    path.write_text(f"runbook: big\ntitle: t\nsteps:\n{steps}", encoding="utf-8")
    return path


def test_a_thousand_steps_are_checked_in_a_blink_and_without_the_heavy_libraries(tmp_path: Path) -> None:
    path = _big(tmp_path / "big.yaml")
    code = (
        "import sys, time\nfrom drills.cli.check import check\n"
        "check.main([sys.argv[1]], standalone_mode=False)\n"
        "heavy = {'boto3', 'botocore', 'structlog', 'rich', 'aiohttp', 'psycopg', 'jmespath'} & set(sys.modules)\n"
        "print(time.process_time(), sorted(heavy))\n"
    )
    spent: list[float] = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True, timeout=60
        )
        assert "runbook is valid, 1000 steps" in done.stdout
        seconds, _, heavy = done.stdout.splitlines()[-1].partition(" ")
        assert heavy == "[]"
        spent.append(float(seconds))
    assert min(spent) < 1.5


def test_reading_a_thousand_steps_again_costs_little(tmp_path: Path) -> None:
    path = _big(tmp_path / "big.yaml")
    load_runbook(path)
    best = 9.0
    for _ in range(3):
        begun = time.process_time()
        load_runbook(path)
        best = min(best, time.process_time() - begun)
    assert best < 0.6


def test_loading_what_is_shipped_gives_the_names_in_the_files() -> None:
    for path in PLACES:
        data = load(path).data
        assert isinstance(data, dict)
        assert load_environment(path).model.environment == data["environment"]


def test_a_place_that_looks_like_a_misspelt_direction_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "form.yaml"
    path.write_text("runbook: a\ntitle: t\nsteps:\n- {id: a, action: flow.nothing, at: form}\n", encoding="utf-8")
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 0
    assert f"{path}:4: " in result.output
    assert "a: 'form' is taken for a place of the environment; did you mean 'from'?" in result.output


def test_without_a_disaster_check_says_which_objectives_can_be_judged(tmp_path: Path) -> None:
    path = tmp_path / "switchover.yaml"
    text = (
        "runbook: a\ntitle: t\nobjectives: {rto: 1m, GOALS}\nmeasure:\n  availability:\n  - id: web\n"
        "    http: http://x\nsteps:\n- {id: a, action: flow.nothing, at: to}\n"
    )
    path.write_text(text.replace("GOALS", "downtime: 30s"), encoding="utf-8")
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 0
    assert "rto will be UNPROVEN" in result.output
    assert "without a disaster downtime can be judged" in result.output
    assert "downtime: within 30s\n" in CliRunner().invoke(print_, [str(path)]).output
    wrong = {
        "downtime: {within: 30s, seen_by: [wep]}": "did you mean 'web'",
        "downtime: {within: 30s, from: decided}": "has no marks; remove",
        "x: {from: decided, within: 30s}": "an interval has two marks",
    }
    for goals, words in wrong.items():
        path.write_text(text.replace("GOALS", goals), encoding="utf-8")
        result = CliRunner().invoke(check, [str(path)])
        assert result.exit_code == 5
        assert f"{path}:3: " in result.output
        assert words in result.output


def test_lost_rows_and_exposure_have_short_forms_and_their_mistakes_name_the_repair(tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    text = (
        "runbook: a\ntitle: t\nobjectives: {GOALS}\nmeasure:\n  availability:\n  - {id: web, http: http://x}\n"
        "  data:\n  - {id: orders, sql: {write: 'postgresql://a', read: 'postgresql://b'}}\n"
        "steps:\n- {id: a, action: flow.nothing, at: to, mark: redundancy_restored}\n"
    )
    for goals in ("lost_rows: 0, exposure: 1h", "lost_rows: {at_most: 3, seen_by: [orders]}"):
        path.write_text(text.replace("GOALS", goals), encoding="utf-8")
        result = CliRunner().invoke(check, [str(path)])
        assert result.exit_code == 0, result.output
        assert "UNPROVEN" not in result.output
    wrong = {
        "lost_rows: 30s": "write a whole number",
        "lost_rows: -1": "write at least 0",
        "lost_rows: 1.5": "write a whole number",
        "lost_rows: {within: 30s}": "write a number of rows in its place: {at_most: 0}",
        "lost_rows: {seen_by: [orders]}": "write the number of rows",
        "lost_rows: {at_most: 0, seen_by: [order]}": "did you mean 'orders'",
        "lost_rows: {at_most: 0, seen_by: [web]}": "nothing under 'measure: data' is called 'web'",
        "downtime: {at_most: 3}": "only lost_rows counts rows",
        "downtime: {seen_by: [web]}": "write 'within' and a duration",
    }
    for goals, told in wrong.items():
        path.write_text(text.replace("GOALS", goals), encoding="utf-8")
        result = CliRunner().invoke(check, [str(path)])
        assert result.exit_code == 5, goals
        assert told in result.output, (goals, result.output)
    begin, _, end = text.replace("GOALS", "lost_rows: 0").partition("  data:")
    path.write_text(begin + end[end.index("steps:") :], encoding="utf-8")
    assert "lost_rows will be UNPROVEN: nobody writes markers" in CliRunner().invoke(check, [str(path)]).output


def test_every_mistake_of_an_objective_is_told_at_once_and_each_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "goals.yaml"
    path.write_text(
        "runbook: a\ntitle: t\nmeasure:\n  availability:\n  - {id: web, http: http://x}\nobjectives:\n"
        "  lost_rows: {within: 3, joint: [web], seen_by: [web]}\n"
        "  downtime: {at_most: 3, from: disaster}\n"
        "  rto: {at_most: 4, within: 3}\n"
        "  mine: {within: 5}\n"
        "  fourth: {}\n"
        "steps:\n- {id: a, action: flow.nothing, at: to}\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 5
    marks = "an interval has two marks; write {from: MARK, to: MARK, within: 5m}"
    assert [line.removeprefix(f"{path}:") for line in result.output.splitlines()[:-1]] == [
        "7: joint: lost rows are counted over the whole drill; remove it",
        "7: lost_rows: nothing under 'measure: data' is called 'web'; there are none",
        "7: within: lost rows are a number and no time; write a number of rows in its place: {at_most: 3}",
        "8: at_most: only lost_rows counts rows; write 'within' and a duration in its place",
        "8: from: a downtime counts over the whole drill and has no marks; remove it",
        "9: at_most: only lost_rows counts rows; remove it",
        "9: within: 3 has no unit: write 3s, 3m or 3ms",
        f"10: mine: {marks}",
        "10: within: 5 has no unit: write 5s, 5m or 5ms",
        f"11: fourth: {marks}",
        "11: fourth: it has no limit; write 'within' and a duration, such as {within: 5m}",
    ]


def test_a_folder_is_checked_whole_and_an_empty_one_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "runbook: NAME\ntitle: t\nsteps:\n- {id: a, action: flow.nothing, at: to}\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(text.replace("NAME", name).replace("two", "two\nower: me"))
    result = CliRunner().invoke(check, [str(tmp_path), "--output", "json"])
    assert result.exit_code == 5
    assert {Path(one["file"]).name: one["ok"] for one in json.loads(result.output)["files"]} == {
        "one.yaml": True, "two.yaml": False,
    }  # fmt: skip
    (tmp_path / "empty").mkdir()
    empty = CliRunner().invoke(check, [str(tmp_path / "empty")])
    assert (empty.exit_code, "holds no file that ends in .yaml" in empty.output) == (2, True)
    monkeypatch.chdir(tmp_path / "empty")
    nothing = CliRunner().invoke(check, ["--output", "json"])
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert "nothing to check: there is no runbook in runbooks/" in nothing.stderr


def test_an_example_of_an_environment_is_not_found_by_the_name_it_would_have(tmp_path: Path) -> None:
    (tmp_path / "staging.example.yaml").write_text("environment: staging\n")
    with pytest.raises(Usage, match=r"staging.example.yaml is an example; copy it to staging.yaml"):
        environment_path("staging", tmp_path)
    (tmp_path / "sandbox.yaml").write_text("environment: sandbox\n")
    for wrong in ("nowhere", "stagin"):
        with pytest.raises(
            Usage, match=rf"'{wrong}'; .* holds: sandbox; staging.example.yaml is an example; copy it to"
        ):
            environment_path(wrong, tmp_path)
    (tmp_path / "staging.yaml").write_text("environment: staging\n")
    assert environment_path("staging", tmp_path) == tmp_path / "staging.yaml"
    with pytest.raises(Usage, match=r"holds: sandbox, staging$"):
        environment_path("nowhere", tmp_path)
    assert environment_path("staging.example", tmp_path) == tmp_path / "staging.example.yaml"
