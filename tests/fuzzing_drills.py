"""Damaged journals and evidence, made by seed; and what a door may answer to a drill that was damaged."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from fuzzing import Ran, flip, ran
from report_drills import CLAIMS, claiming, failover, keep, simulate
from test_cli_numbers import DRILL, lived


def whole_drills(folder: Path) -> list[Path]:
    """Write drills that are whole, each in a home of its own: met with evidence, claimed met, killed midway, held."""
    made = [lived(folder / "0" / DRILL)]
    made.append(keep(folder / "1", DRILL, claiming(simulate(failover()), CLAIMS, "met")))
    made.append(keep(folder / "2", DRILL, simulate(failover(), cut=14)))
    made.append(keep(folder / "3", DRILL, simulate(failover(), cut=22)))
    for one in made:
        for file in (one / "journal.db", *(one / "observers").glob("*.db")):
            _in_one_file(file)
    return made


def _in_one_file(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
        db.execute("pragma journal_mode = delete")


def damage(home: Path, whole: Sequence[Path], number: int) -> None:
    """Copy one whole drill into ``home`` and damage its journal or its evidence, in one to three ways."""
    chance = random.Random(number)
    drill = chance.choice(whole)
    copy = home / DRILL
    shutil.copytree(drill, copy)
    evidence = sorted((copy / "observers").glob("*.db"))
    file = chance.choice(evidence) if evidence and chance.random() < 0.35 else copy / "journal.db"
    for _ in range(chance.randint(1, 3)):
        chance.choice(_DAMAGES)(file, chance)


def _raw(file: Path, chance: random.Random) -> None:
    data = file.read_bytes()
    for _ in range(chance.choice([1, 1, 3, 40])):
        data = flip(data, chance)
    file.write_bytes(data)


def _short(file: Path, chance: random.Random) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: chance.randint(0, len(data))])


def _overwritten(file: Path, chance: random.Random) -> None:
    data = bytearray(file.read_bytes())
    if data:
        at = chance.randrange(len(data))
        data[at : at + 512] = chance.randbytes(512)
    file.write_bytes(bytes(data))


def _by_sql(file: Path, chance: random.Random) -> None:
    """Change rows as somebody would who knows SQLite and not the chain."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
            table = chance.choice(tables) if tables else "none"
            columns = [row[1] for row in db.execute(f"pragma table_info({table})")]
            rows = [row for (row,) in db.execute(f"select rowid from {table}")]  # noqa: S608 - a table of the file itself
            if rows and columns:
                one, other, column = chance.choice(rows), chance.choice(rows), chance.choice(columns)
                fresh = ", ".join("max(rowid) + 1" if name in ("seq", "id") else name for name in columns)
                statement, given = chance.choice(_STATEMENTS)
                values = {"one": one, "other": other, "odd": chance.choice(_VALUES)}
                values |= dict(zip(("old", "new"), chance.choice(_WORDS), strict=True))
                statement = statement.format(table=table, column=column, fresh=fresh)
                db.execute(statement, {name: values[name] for name in given})
    except (sqlite3.Error, UnicodeError, OverflowError):
        return


_STATEMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("delete from {table} where rowid = :one", ("one",)),
    ("delete from {table} where rowid >= :one", ("one",)),
    (
        "update {table} set {column} = (select {column} from {table} where rowid = :other) where rowid = :one",
        ("one", "other"),
    ),
    ("update {table} set {column} = :odd where rowid = :one", ("one", "odd")),
    ("update {table} set {column} = replace({column}, :old, :new)", ("old", "new")),
    ("drop table {table}", ()),
    ("insert into {table} select {fresh} from {table}", ()),
)
_VALUES = (0, -1, 2**62, "", "met", b"\xff\x00", None, 1.5, '{"kind":"Finished"}')
_WORDS = (
    ("unproven", "met"),
    ("UNPROVEN", "MET"),
    ("failed", "done"),
    ("Ended", "Finished"),
    ('"seq":', '"sec":'),
    ("lose", "gone"),
    ("1", "2"),
    ("{", "["),
    ("utc_ns", "utc_nd"),
)


def _foreign(file: Path, chance: random.Random) -> None:
    """Put something else in its place."""
    kind = chance.randrange(4)
    file.unlink(missing_ok=True)
    if kind == 0:
        file.write_bytes(chance.randbytes(3000))
    elif kind == 1:
        file.write_bytes(b"")
    elif kind == 2:
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("create table events(seq, line, link)")
            db.execute("insert into events values(1, 'met', 'x'), ('a', x'ff', null)")
    else:
        file.mkdir()


def _whole_page_of_another(file: Path, chance: random.Random) -> None:
    """Mix two pages up."""
    data = bytearray(file.read_bytes())
    pages = len(data) // 4096
    if pages > 1:
        one, other = chance.randrange(pages) * 4096, chance.randrange(pages) * 4096
        data[one : one + 4096] = data[other : other + 4096]
    file.write_bytes(bytes(data))


def _safely(damages: Callable[[Path, random.Random], None]) -> Callable[[Path, random.Random], None]:
    def safe(file: Path, chance: random.Random) -> None:
        if file.is_file():
            damages(file, chance)

    return safe


_DAMAGES = tuple(map(_safely, (_raw, _raw, _short, _overwritten, *[_by_sql] * 5, _foreign, _whole_page_of_another)))


def contents(drill: Path) -> list[Any]:
    """Give all that a drill's files hold, so that damage which changed nothing is known for what it is."""
    held: list[Any] = []
    for file in sorted((drill / "journal.db", *(drill / "observers").glob("*.db"))):
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
                tables = sorted(name for (name,) in db.execute("select name from sqlite_master where type = 'table'"))
                held.append((file.name, [(name, _rows(db, name)) for name in tables]))
        except (sqlite3.Error, UnicodeError) as error:
            held.append((file.name, str(error)))
    return held


def _rows(db: sqlite3.Connection, table: str) -> list[Any]:
    """Give the rows of a table; the number under which a sample was put down says nothing, and is in no seal."""
    names = [row[1] for row in db.execute(f"pragma table_info({table})")]
    rows = db.execute(f"select * from {table}").fetchall()  # noqa: S608 - a table of the file itself
    return sorted(repr(row[1:]) for row in rows) if table == "samples" and names[:1] == ["id"] else rows


def _as_written(held: list[Any], whole: Sequence[Path]) -> bool:
    return any(held == contents(one) for one in whole)


def _only_cut(drill: Path, whole: Sequence[Path]) -> bool:
    """Whether all the evidence is as it was, and the journal but for its last events."""
    held = contents(drill)
    return any(_begins(held, contents(one)) for one in whole)


def _journal(files: list[Any]) -> Any:
    """Give the rows of the journal; None when it cannot be read."""
    tables = dict(files)["journal.db"]
    return dict(cast("list[Any]", tables)).get("events") if isinstance(tables, list) else None


def _begins(held: list[Any], other: list[Any]) -> bool:
    mine, theirs = _journal(held), _journal(other)
    rest = [[one for one in files if one[0] != "journal.db"] for files in (held, other)]
    return bool(mine) and theirs is not None and mine == theirs[: len(mine)] and rest[0] == rest[1]


DOORS: tuple[tuple[str, ...], ...] = (
    ("show", DRILL, "--output", "json"),
    ("show", DRILL),
    ("report", DRILL, "--format", "md"),
    ("report", DRILL),
    ("verify", DRILL, "--output", "json"),
    ("list",),
    ("status",),
    ("history",),
    ("resume", DRILL),
    ("undo", DRILL, "--accept-data-loss"),
    ("abort", DRILL),
    ("watch", DRILL),
)
JUDGES = frozenset({"show", "report", "verify", "watch", "resume", "undo"})
LISTS = frozenset({"list", "status"})
"""They tell what a whole chain claims, and look at no evidence."""


def fuzz_drill(number: int, folder: Path, whole: Sequence[Path], run: Callable[..., Ran] = ran) -> list[str]:
    """Give one damaged drill to its doors, and say what was wrong."""
    chance = random.Random(number + 1)
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    damage(home, whole, number)
    os.environ["DRILLS_HOME"] = str(home)
    intact = _as_written(contents(home / DRILL), whole)
    chain_holds = any(_journal(contents(home / DRILL)) == _journal(contents(one)) for one in whole)
    faults: list[str] = []
    for words in [DOORS[0], DOORS[4], *chance.sample(DOORS, 2)]:
        # A journal that lacks its end is what a crash leaves: going on with it leads to a verdict from whole evidence.
        intact = intact or (words[0] in ("resume", "undo") and _only_cut(home / DRILL, whole))
        answer = run(*words)
        fault = _wrong_of_a_drill(answer, intact=chain_holds or intact if words[0] in LISTS else intact)
        if fault:
            faults.append(f"drill {number}: {fault}")
    return faults


def _wrong_of_a_drill(answer: Ran, *, intact: bool) -> str:
    name = " ".join(answer.words)
    if answer.crash:
        return f"{name}: {answer.crash}"
    said = answer.out + answer.err
    if "Traceback" in said:
        return f"{name}: a traceback was printed"
    if answer.code and not said.strip():
        return f"{name}: exit code {answer.code} and no word"
    if answer.code not in range(10):
        return f"{name}: exit code {answer.code}"
    met = any(word in answer.out for word in ('"MET"', " MET", "**MET**", '"met"'))
    if not intact and answer.words[0] in JUDGES | LISTS and met and not (answer.words[0] == "verify" and answer.code):
        return f"{name}: damaged, and it says met (exit {answer.code})"
    return ""
