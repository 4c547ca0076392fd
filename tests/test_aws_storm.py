"""A storm in front of AWS: no torn answer is a fact, and what a storm makes of a call is what the engine expects."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from aws_world import World, moto_server

from drills.aws.classify import classify
from drills.aws.sessions import Accounts
from drills.aws.storm import ALL, Storm, Weather, response
from drills.errors import Busy, Expired, Unanswered


@pytest.fixture(scope="module")
def world() -> Generator[World]:
    with moto_server() as address:
        yield World(address)


READS: dict[str, tuple[str, dict[str, Any]]] = {
    "cloudwatch": ("describe_alarms", {}),
    "ssm": ("describe_parameters", {}),
    "ec2": ("describe_vpcs", {}),
    "route53": ("list_hosted_zones", {}),
    "rds": ("describe_db_instances", {}),
    "autoscaling": ("describe_auto_scaling_groups", {}),
    "lambda": ("list_functions", {}),
    "dynamodb": ("list_tables", {}),
    "s3": ("list_buckets", {}),
}


def told(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def outcome(call: Callable[[], object]) -> object:
    """Give what a call comes to: its answer, or as what its error is known."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be known
        return type(classify(error, writes=True))


@pytest.mark.parametrize("service", READS)
def test_an_answer_cut_anywhere_is_no_answer_or_the_same_answer(world: World, service: str) -> None:
    world.client("ssm").put_parameter(Name="orders", Value="1", Type="String", Overwrite=True)
    world.zone()
    operation, given = READS[service]
    client = Accounts().write(world.place).client(service)
    kept: list[Any] = []
    cut = 1 << 20

    def before_send(request: Any, **_: Any) -> Any:
        if not kept:
            kept.append(client._endpoint.http_session.send(request))
        return response(kept[0].url, kept[0].status_code, dict(kept[0].headers), kept[0].content[:cut])

    client.meta.events.register("before-send", before_send)
    call = getattr(client, operation)
    whole = told(call(**given))
    for cut in range(0, len(kept[0].content), 1 + len(kept[0].content) // 200):
        assert outcome(lambda: told(call(**given))) in (whole, Unanswered), f"cut after {cut} bytes"


EXPECTED = {
    Weather.THROTTLED: Busy,
    Weather.UNREACHABLE: Busy,
    Weather.EXPIRED: Expired,
}


@pytest.mark.parametrize("weather", ALL)
@pytest.mark.parametrize("service", ["ssm", "autoscaling", "ec2", "route53"])
def test_each_weather_is_what_the_engine_knows_it_as(world: World, service: str, weather: Weather) -> None:
    storm = Storm(1.0, 1, (weather,))
    client = Accounts(storm=storm).write(world.place).client(service)
    operation = {"ssm": "describe_parameters", "autoscaling": "describe_tags", "ec2": "describe_vpcs"}
    with pytest.raises(Exception, match=r".") as raised:
        getattr(client, operation.get(service, "list_hosted_zones"))()
    assert type(classify(raised.value, writes=True)) is EXPECTED.get(weather, Unanswered)
    assert storm.told == {weather: 1}


@pytest.mark.parametrize("weather", [Weather.UNHEARD, Weather.CUT, Weather.BROKEN, Weather.TRUNCATED])
def test_half_of_the_weather_comes_after_the_effect(world: World, weather: Weather) -> None:
    name = world.name("after")
    client = Accounts(storm=Storm(1.0, 1, (weather,))).write(world.place).client("ssm")
    with pytest.raises(Exception, match=r"."):
        client.put_parameter(Name=name, Value="1", Type="String")
    assert world.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == "1"


@pytest.mark.parametrize("weather", [one for one in ALL if "after" not in one])
def test_the_other_half_comes_before_it(world: World, weather: Weather) -> None:
    name = world.name("before")
    client = Accounts(storm=Storm(1.0, 1, (weather,))).write(world.place).client("ssm")
    with pytest.raises(Exception, match=r"."):
        client.put_parameter(Name=name, Value="1", Type="String")
    names = [one.get("Name") for one in world.client("ssm").describe_parameters()["Parameters"]]
    assert name not in names


def test_the_same_seed_makes_the_same_weather() -> None:
    storms = [Storm(0.3, seed) for seed in (7, 7, 8)]
    one, other, another = ([storm.draw("ec2") for _ in range(200)] for storm in storms)
    assert one == other != another
    assert 30 < sum(weather is not None for weather in one) < 110
