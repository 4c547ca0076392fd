"""What PostgreSQL says about itself, asked of real servers: a primary, its standby, a lost one and a mute one."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator

import psycopg
import pytest
from observe_world import NameServer, Postgres, free_port, postgres_pair, wait_until
from psycopg import sql

from drills.aws.place import Place
from drills.aws.sessions import Accounts, Session
from drills.errors import Rejected
from drills.services.sql import AcceptsWrites, Query, ReceiverStopped, Replicating, WritesRefused
from drills.services.sql_standby import CaughtUp, HasStandby


@pytest.fixture(scope="module")
def pair() -> Generator[tuple[Postgres, Postgres]]:
    with postgres_pair() as servers:
        wait_until(lambda: servers[1].ask("SELECT status FROM pg_stat_wal_receiver") == [("streaming",)], "the stream")
        yield servers


@pytest.fixture
def aws() -> Session:
    return Accounts().read(Place("east", "111122223333", "us-east-1"))


def replicating(dsn: str, at_most: str) -> Replicating:
    return Replicating.model_validate({"dsn": dsn, "at_most": at_most})


def stopped(dsn: str, idle_for: str) -> ReceiverStopped:
    return ReceiverStopped.model_validate({"dsn": dsn, "idle_for": idle_for})


def test_a_primary_takes_writes_and_leaves_no_trace_of_the_probe(aws: Session, pair: tuple[Postgres, Postgres]) -> None:
    primary, _ = pair
    seen = AcceptsWrites(dsn=primary.dsn).observe(aws)
    assert (seen.ok, seen.detail) == (True, "writes are taken (a row was inserted and rolled back)")
    assert WritesRefused(dsn=primary.dsn).observe(aws).ok is False
    assert primary.ask("SELECT to_regclass('drills_probe')") == [(None,)]
    primary.ask("CREATE TABLE drills_probe (at timestamptz NOT NULL)")
    assert AcceptsWrites(dsn=primary.dsn).observe(aws).ok is True
    assert primary.ask("SELECT count(*) FROM drills_probe") == [(0,)]
    primary.ask("DROP TABLE drills_probe")


def test_a_standby_refuses_writes_streams_and_goes_on_receiving(aws: Session, pair: tuple[Postgres, Postgres]) -> None:
    _, standby = pair
    wait_until(lambda: AcceptsWrites(dsn=standby.dsn).observe(aws).ok is False, "the standby")
    refused = WritesRefused(dsn=standby.dsn).observe(aws)
    assert refused.ok is True
    assert "read-only" in refused.detail
    wait_until(lambda: replicating(standby.dsn, "30s").observe(aws).ok is True, "replication")
    assert stopped(standby.dsn, "1h").observe(aws).ok is False
    assert stopped(standby.dsn, "0s").observe(aws).ok is True
    assert replicating(pair[0].dsn, "30s").observe(aws).ok is False


def caught_up(dsn: str, quiet_for: str) -> CaughtUp:
    return CaughtUp.model_validate({"dsn": dsn, "quiet_for": quiet_for})


def test_a_standby_has_caught_up_once_a_quiet_primary_says_that_there_is_no_more(
    aws: Session, pair: tuple[Postgres, Postgres]
) -> None:
    primary, standby = pair
    primary.ask("CREATE TABLE noise (at int)")
    primary.ask("INSERT INTO noise VALUES (1)")
    wait_until(lambda: standby.ask("SELECT count(*) FROM noise") == [(1,)], "the row")
    assert caught_up(standby.dsn, "1h").observe(aws).ok is False
    wait_until(lambda: caught_up(standby.dsn, "0s").observe(aws).ok is True, "the end of the log", 90)
    of_primary = caught_up(primary.dsn, "0s").observe(aws)
    assert (of_primary.ok, of_primary.detail) == (False, "the server is no standby: it is out of recovery")
    standby.ask("SELECT pg_wal_replay_pause()")
    try:
        primary.ask("INSERT INTO noise VALUES (2)")
        wait_until(lambda: caught_up(standby.dsn, "0s").observe(aws).ok is False, "what is not replayed")
        assert "not replayed" in caught_up(standby.dsn, "0s").observe(aws).detail
    finally:
        standby.ask("SELECT pg_wal_replay_resume()")
        primary.ask("DROP TABLE noise")


def test_a_primary_tells_whether_a_standby_follows_it(aws: Session, pair: tuple[Postgres, Postgres]) -> None:
    primary, standby = pair

    def seen(dsn: str, at_most: str = "30s") -> tuple[bool | None, str]:
        found = HasStandby.model_validate({"dsn": dsn, "at_most": at_most}).observe(aws)
        return found.ok, found.detail

    wait_until(lambda: seen(primary.dsn)[0] is True, "the standby")
    assert "1 standby follows the primary" in seen(primary.dsn)[1]
    assert seen(standby.dsn) == (False, "the server is in recovery: it is no primary")
    assert seen(f"postgresql://drills@127.0.0.1:{free_port('127.0.0.1')}/postgres")[0] is None
    [(source,)] = standby.ask("SHOW primary_conninfo")
    follow(standby, "")
    try:
        wait_until(lambda: seen(primary.dsn) == (False, "no standby follows the primary"), "the standby to leave")
    finally:
        follow(standby, str(source))
    wait_until(lambda: seen(primary.dsn)[0] is True, "the standby again", 60)


def follow(standby: Postgres, source: str) -> None:
    """Name the primary a standby follows; none: it follows nobody."""
    with psycopg.connect(standby.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(sql.Literal(source)))
        connection.execute("SELECT pg_reload_conf()")


def test_a_query_proves_content_by_one_value_and_can_change_nothing(
    aws: Session, pair: tuple[Postgres, Postgres]
) -> None:
    dsn = pair[0].dsn
    pair[0].ask("CREATE TABLE kept (id int PRIMARY KEY, note text)")
    pair[0].ask("INSERT INTO kept VALUES (1, 'one'), (2, 'two')")

    def seen(query: str, **wanted: object) -> tuple[bool | None, str]:
        found = Query.model_validate({"dsn": dsn, "query": query, **wanted}).observe(aws)
        return found.ok, found.detail

    assert seen("SELECT count(*) FROM kept", at_least=2) == (True, "the query gives 2; at least 2 is wanted")
    assert seen("SELECT count(*) FROM kept", at_least=3)[0] is False
    assert seen("SELECT count(*) FROM kept", equals=2)[0] is True
    assert seen("SELECT note FROM kept WHERE id = 1", equals="one")[0] is True
    assert seen("SELECT note FROM kept WHERE id = 1", equals="two")[0] is False
    assert seen("SELECT max(id) = 2 FROM kept") == (True, "the query gives True; true is wanted")
    assert seen("SELECT 1") == (False, "the query gives 1; true is wanted")
    assert seen("SELECT note FROM kept WHERE id = 9") == (None, "no answer: the query gives no row")
    assert seen("SELECT id, note FROM kept")[0] is None
    assert seen("SELECT note FROM kept", at_least=1)[0] is None
    assert seen("SELECT nothing FROM nowhere")[0] is None
    for change in (
        "DELETE FROM kept RETURNING 1",
        "SELECT 1; COMMIT; DELETE FROM kept",
        "COMMIT; DELETE FROM kept",
        "SET TRANSACTION READ WRITE",
        "COMMIT",
    ):
        assert seen(change, equals=1)[0] is not True, change
    assert pair[0].ask("SELECT count(*) FROM kept") == [(2,)]
    pair[0].ask("DROP TABLE kept")
    with pytest.raises(ValueError, match="exclude each other"):
        Query.model_validate({"dsn": dsn, "query": "SELECT 1", "equals": 1, "at_least": 1})


def test_a_user_who_may_not_insert_is_asked_for_a_transaction_id_and_a_read_only_one_refused(
    aws: Session, pair: tuple[Postgres, Postgres]
) -> None:
    primary, standby = pair
    primary.ask("DROP ROLE IF EXISTS looker")
    primary.ask("CREATE ROLE looker LOGIN")
    primary.ask("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    dsn = primary.dsn.replace("drills:", "looker:")
    seen = AcceptsWrites(dsn=dsn).observe(aws)
    assert (seen.ok, "a transaction id was given" in seen.detail) == (True, True)
    read_only = f"{dsn}?options=-c%20default_transaction_read_only%3Don"
    assert AcceptsWrites(dsn=read_only).observe(aws).ok is False
    assert WritesRefused(dsn=read_only).observe(aws).ok is True
    on_standby = standby.dsn.replace("drills:", "looker:")
    wait_until(lambda: WritesRefused(dsn=on_standby).observe(aws).ok is True, "the role on the standby")


def test_a_server_that_is_gone_refuses_writes_and_says_which_way(aws: Session) -> None:
    port = free_port("127.0.0.1")
    dsn = f"postgresql://drills:never-shown@127.0.0.1:{port}/postgres"
    gone = WritesRefused(dsn=dsn).observe(aws)
    assert gone.ok is True
    assert "refused" in gone.detail
    assert AcceptsWrites(dsn=dsn).observe(aws).ok is False
    assert replicating(dsn, "1s").observe(aws).ok is None
    assert stopped(dsn, "1s").observe(aws).ok is None
    assert "never-shown" not in f"{gone}{replicating(dsn, '1s').observe(aws)}"


def test_a_server_that_stays_silent_is_given_up_after_two_seconds(aws: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        dsn = f"postgresql://drills@127.0.0.1:{mute.getsockname()[1]}/postgres"
        begun = time.monotonic()
        seen = WritesRefused(dsn=dsn).observe(aws)
        assert time.monotonic() - begun < 8
    assert seen.ok is True
    assert "timeout" in seen.detail


def test_a_server_that_answers_but_cannot_be_asked_proves_no_fence(
    aws: Session, pair: tuple[Postgres, Postgres]
) -> None:
    unknown = pair[0].dsn.replace("drills:", "nobody:")
    seen = WritesRefused(dsn=unknown).observe(aws)
    assert seen.ok is None
    assert "nobody" in seen.detail
    assert AcceptsWrites(dsn=unknown).observe(aws).ok is False
    unnamed = WritesRefused(dsn="postgresql://drills@no-such-host.invalid/postgres").observe(aws)
    assert unnamed.ok is None


def test_what_is_no_address_is_an_error_that_does_not_show_it(aws: Session) -> None:
    with pytest.raises(Rejected) as caught:
        AcceptsWrites(dsn="password=never-shown nonsense").observe(aws)
    assert "never-shown" not in str(caught.value)


def test_a_dsn_may_be_a_secret_and_its_host_a_name_of_the_sandbox(
    pair: tuple[Postgres, Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, _ = pair
    with NameServer() as names:
        names.records["db.east.test"] = (primary.host, 1)
        place = Place("east", "1", "us-east-1", None, "http://127.0.0.1:1", names.address, "AKIATEST00000000")
        session = Accounts().read(place)
        monkeypatch.setenv("DRILLS_TEST_DSN", primary.dsn.replace(primary.host, "db.east.test"))
        assert AcceptsWrites(dsn="env:DRILLS_TEST_DSN").observe(session).ok is True
        names.records.clear()
        assert WritesRefused(dsn="env:DRILLS_TEST_DSN").observe(session).ok is None


def test_a_standby_cut_off_from_its_primary_has_no_receiver_and_a_promoted_one_takes_writes(aws: Session) -> None:
    with postgres_pair() as (primary, standby):
        wait_until(lambda: replicating(standby.dsn, "30s").observe(aws).ok is True, "replication")
        primary.kill()
        wait_until(lambda: stopped(standby.dsn, "1h").observe(aws).ok is True, "the end of the receiver")
        assert "has no receiver" in stopped(standby.dsn, "1h").observe(aws).detail
        assert replicating(standby.dsn, "30s").observe(aws).ok is False
        assert WritesRefused(dsn=primary.dsn).observe(aws).ok is True
        with psycopg.connect(standby.dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        wait_until(lambda: AcceptsWrites(dsn=standby.dsn).observe(aws).ok is True, "the promotion")
        assert "out of recovery" in replicating(standby.dsn, "30s").observe(aws).detail
