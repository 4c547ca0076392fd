"""The small types that runbooks and environments are written in, each with an error that names its repair."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
)

from drills import durations

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST: Final = timedelta(days=30)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+")
_TWELVE: Final = re.compile(r"[0-9]{12}")


class Written(BaseModel):
    """Something a person writes: unknown fields are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def mapping(value: object) -> dict[str, object] | None:
    """Give a YAML mapping as such, None for anything else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def together(title: str, wrong: Iterable[tuple[str, str]], others: ValidationError | None = None) -> ValidationError:
    """Make one error of sentences about fields (empty: about the whole) and of what pydantic has found itself."""
    from pydantic_core import InitErrorDetails, PydanticCustomError

    lines = [
        InitErrorDetails(
            type=PydanticCustomError("value_error", "{told}", {"told": told}), loc=(name,) if name else (), input=None
        )
        for name, told in wrong
    ]
    lines += [
        InitErrorDetails(type=one["type"], loc=one["loc"], input=one["input"], ctx=one.get("ctx", {}))
        for one in (others.errors(include_url=False) if others is not None else ())
    ]
    return ValidationError.from_exception_data(title, lines)


def _wrong(message: str) -> ValueError:
    """Say what is wrong with a value: pydantic collects ``ValueError``, and lets ``TypeError`` through."""
    return ValueError(message)


def _span(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise _wrong(durations.unitless(value))
    if not isinstance(value, str):
        raise _wrong("must be a duration: write a number and a unit, as in 100ms, 90s")
    span = durations.parse(value)
    if span > LONGEST:
        raise _wrong(f"{value} is too long; write at most 30d")
    return span


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise _wrong("must be longer than nothing; write at least 1ms")
    return value


def _refuse_number(value: Any) -> None:
    if isinstance(value, bool):
        raise _wrong(f"{str(value).lower()} is not text; write some text")
    if isinstance(value, int | float):
        raise _wrong(f"{value} is not text; write it in quotes: '{value}'")


def _name(value: Any) -> str:
    _refuse_number(value)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _wrong(f"{value!r} is not a name; use letters, digits, '-' and '_', at most 64")
    return value


def _text(value: Any) -> str:
    _refuse_number(value)
    if not isinstance(value, str) or not value.strip():
        raise _wrong("must be text, and not empty; write some")
    return value


def _account(value: Any) -> str:
    if isinstance(value, int | float):
        raise _wrong(f'an account number must be quoted, or its leading zeros are lost: write "{value:0>12}"')
    if not isinstance(value, str) or not _TWELVE.fullmatch(value):
        raise _wrong(f'{value!r} is not an account number; write 12 digits in quotes, as in "111122223333"')
    return value


def _region(value: Any) -> str:
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise _wrong(f"{value!r} is not a region; write it as in us-east-1")
    return value


def _role(value: Any) -> str:
    if not isinstance(value, str) or not _ROLE.fullmatch(value):
        raise _wrong(f"{value!r} is not a role; write its ARN, as in arn:aws:iam::111122223333:role/drills")
    return value


def _session_word(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[\w+=,.@:/-]{2,64}", text, re.ASCII):
        raise ValueError(f"{text!r} is not what STS takes: 2 to 64 letters, digits and +=,.@:/-_")
    return text


def _scalar(value: Any) -> Any:
    if isinstance(value, str | int | float | bool):
        return value
    raise _wrong("must be text, a number, true or false; a list or mapping has no place here")


_written_span = PlainSerializer(lambda value: durations.show(value.total_seconds()), return_type=str)
Span = Annotated[
    timedelta, BeforeValidator(_span, json_schema_input_type=str), AfterValidator(_positive), _written_span
]
"""A duration longer than nothing; a bare number is refused."""
Wait = Annotated[timedelta, BeforeValidator(_span, json_schema_input_type=str), _written_span]
"""A duration that may be ``0s``."""
Name = Annotated[str, BeforeValidator(_name), Field(json_schema_extra={"pattern": f"^{_NAME.pattern}$"})]
Text = Annotated[str, BeforeValidator(_text)]
Account = Annotated[str, BeforeValidator(_account), Field(json_schema_extra={"pattern": "^[0-9]{12}$"})]
Region = Annotated[str, BeforeValidator(_region)]
GroupName = Annotated[str, Field(pattern=r"^[0-9a-zA-Z_.-]{1,64}$")]
Role = Annotated[str, BeforeValidator(_role)]
SessionWord = Annotated[str, BeforeValidator(_session_word)]
"""What STS takes as an external id or a source identity."""
Scalar = Annotated[str | int | float | bool, PlainValidator(_scalar, json_schema_input_type=str | int | float | bool)]
