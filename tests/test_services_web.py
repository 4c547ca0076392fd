"""Looks at real web and DNS servers on this machine."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest
from observe_world import Mood, NameServer, Service, free_port
from pydantic import ValidationError

from drills.aws.place import Place
from drills.aws.sessions import Accounts, Session
from drills.services.dns import DnsAnswers
from drills.services.http import HttpAnswers, Request, look


@pytest.fixture
def aws() -> Session:
    return Accounts().read(Place("east", "111122223333", "us-east-1"))


@pytest.fixture
def names() -> Generator[NameServer]:
    with NameServer() as server:
        yield server


def in_sandbox(names: NameServer) -> Session:
    return Accounts().read(
        Place("east", "1", "us-east-1", None, "http://127.0.0.1:1", names.address, "AKIATEST00000000")
    )


def test_a_site_answers_as_it_should_or_the_detail_says_what_is_wrong(aws: Session) -> None:
    with Service(site="east") as site:
        assert HttpAnswers(url=site.url).observe(aws).ok is True
        wrong = HttpAnswers(url=site.url, status=204).observe(aws)
        assert (wrong.ok, wrong.value.integer("status")) == (False, 200)
        body = look(Request(site.url, 1.0), None)
        assert HttpAnswers(url=site.url, body="not in there").observe(aws).ok is False
        name, value = next(pair for pair in body.headers if pair[0].startswith("x-"))
        assert HttpAnswers(url=site.url, header=f"{name.upper()}: {value}").observe(aws).ok is True
        assert f"not {value}x" in HttpAnswers(url=site.url, header=f"{name}: {value}x").observe(aws).detail
        assert "without the header" in HttpAnswers(url=site.url, header="X-Nobody").observe(aws).detail
        assert body.header(name.upper()) == value


def test_a_site_that_refuses_or_stays_silent_is_down_within_the_timeout(aws: Session) -> None:
    gone = HttpAnswers(url=f"http://127.0.0.1:{free_port('127.0.0.1')}/").observe(aws)
    assert (gone.ok, gone.value.integer("status")) == (False, 0)
    with Service() as site:
        site.become(Mood.SILENT)
        begun = time.monotonic()
        silent = HttpAnswers.model_validate({"url": site.url, "timeout": "300ms"}).observe(aws)
        assert time.monotonic() - begun < 3
        assert (silent.ok, "within 0.3 s" in silent.detail) == (False, True)


def test_a_name_of_the_sandbox_is_resolved_at_its_own_server_at_each_look(names: NameServer) -> None:
    aws = in_sandbox(names)
    with Service() as site:
        url = f"http://orders.drills.test:{site.port}/healthz"
        assert HttpAnswers(url=url).observe(aws).ok is False
        names.records["orders.drills.test"] = ("127.0.0.1", 60)
        assert HttpAnswers(url=url).observe(aws).ok is True
        asked = names.asked
        HttpAnswers(url=url).observe(aws)
        assert names.asked > asked


def test_a_name_resolves_to_the_address_it_should_elsewhere_nowhere_or_is_not_answered(names: NameServer) -> None:
    aws = in_sandbox(names)

    def look_up(address: str) -> tuple[bool | None, str]:
        given = {"name": "orders.drills.test", "address": address, "timeout": "300ms"}
        seen = DnsAnswers.model_validate(given).observe(aws)
        return seen.ok, seen.detail

    names.records["orders.drills.test"] = ("127.0.0.7", 5)
    assert look_up("127.0.0.7") == (True, "orders.drills.test is 127.0.0.7")
    assert look_up("127.0.0.8")[0] is False
    names.records.clear()
    assert look_up("127.0.0.7")[0] is False
    names.mute = True
    assert look_up("127.0.0.7")[0] is None


def test_a_probe_that_could_say_nothing_is_refused_when_the_runbook_is_read() -> None:
    with pytest.raises(ValidationError, match="which `address` or which `target`"):
        DnsAnswers.model_validate({"name": "orders.drills.test"})
    for url in ("orders.example.com", "ftp://orders.example.com", "http:///x", "http://a b"):
        with pytest.raises(ValidationError, match="is no http"):
            HttpAnswers(url=url)
    with pytest.raises(ValidationError, match="is not a duration"):
        HttpAnswers.model_validate({"url": "http://x/", "timeout": "1"})
