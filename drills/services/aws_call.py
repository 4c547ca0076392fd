"""Reach any operation of AWS from a runbook, checked against botocore's model when the runbook is read."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from drills.aws.classify import mapped
from drills.errors import Rejected
from drills.services import aws_model
from drills.services.aws_bind import bind, expression, references, search
from drills.services.spec import ActionSpec, ProbeSpec
from drills.timeline.facts import Before, Facts, Json, Receipt
from drills.work import Aws, Observation, Undone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from botocore.model import OperationModel

MOST_ITEMS: Final = 1000
"""Items that are read from an operation that answers in pages."""
TOKEN: Final = "token"  # noqa: S105 - the name of a field


class Call(BaseModel):
    """One call of the same service: an operation and its parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: str = Field(min_length=1, description="As in StopDBInstance or stop_db_instance.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="As boto3 takes them.")


class Kept(Call):
    """A read whose answer is remembered before the change."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="What ${before.NAME} gives.")
    keep: str = Field(min_length=1, description="JMESPath: what of the answer is kept.")

    _check_keep = field_validator("keep")(staticmethod(expression))


class Asked(Call):
    """A read whose answer says yes or no."""

    expect: str = Field(min_length=1, description="JMESPath that gives true or false.")

    _check_expect = field_validator("expect")(staticmethod(expression))


class _Told:
    """A class attribute that each instance answers for itself; the class alone gives ``otherwise``."""

    def __init__(self, ask: Callable[[Any], Any], otherwise: Any) -> None:
        self._ask = ask
        self._otherwise = otherwise

    def __get__(self, instance: object | None, owner: type) -> Any:
        """Answer for the instance, or for the class."""
        del owner
        return self._otherwise if instance is None else self._ask(instance)


class AwsCall(ActionSpec):
    """Call any operation that changes something, and say how it is taken back.

    ``undo`` is another call; ``${before.NAME}`` in it is what ``capture`` kept, ``${receipt.NAME}`` is a declared
    ``output``. It needs ``capture`` or ``already``, because without either nobody can say whether all is as it was.
    Where there is no way back, ``one_way`` says why, and ``authority: true`` makes it the point of no return. With
    ``client_token: true`` the operation's client token makes repeating it harmless. Members that AWS marks as
    sensitive are never kept.

    .. code-block:: yaml

        action: aws.call
        with:
          service: cloudwatch
          operation: DisableAlarmActions
          parameters: {AlarmNames: [orders-errors]}
          capture:
            - name: enabled
              operation: DescribeAlarms
              parameters: {AlarmNames: [orders-errors]}
              keep: MetricAlarms[0].ActionsEnabled
          already:
            operation: DescribeAlarms
            parameters: {AlarmNames: [orders-errors]}
            expect: MetricAlarms[0].ActionsEnabled == `false`
          undo:
            operation: EnableAlarmActions
            parameters: {AlarmNames: [orders-errors]}
    """

    name: ClassVar[str] = "aws.call"
    permissions: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _Told(lambda call: call.needed(), ()))
    one_way: ClassVar[str | None] = cast("str | None", _Told(lambda call: call.irreversible, None))
    authority: ClassVar[bool] = cast("bool", _Told(lambda call: call.moves_authority, otherwise=False))
    holds_authority: ClassVar[bool] = cast("bool", _Told(lambda call: call.keeps_authority, otherwise=False))
    idempotent: ClassVar[bool] = cast("bool", _Told(lambda call: call.repeatable, otherwise=False))

    service: str = Field(min_length=1, description="As in boto3.client(SERVICE).")
    operation: str = Field(min_length=1, description="As in StopDBInstance or stop_db_instance.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="As boto3 takes them.")
    capture_: tuple[Kept, ...] = Field(default=(), alias="capture", max_length=20, description="What to remember.")
    already_: Asked | None = Field(default=None, alias="already", description="Whether the goal is there.")
    undo_: Call | None = Field(default=None, alias="undo", description="The call that takes it back.")
    irreversible: str | None = Field(default=None, alias="one_way", min_length=1, description="Why there is no undo.")
    moves_authority: bool = Field(default=False, alias="authority", description="It is the point of no return.")
    keeps_authority: bool = Field(
        default=False, alias="holds_authority", description="Its undo would revive an old primary."
    )
    output: dict[str, str] = Field(default_factory=dict, description="Name -> JMESPath of the answer.")
    client_token: bool = Field(default=False, description="Send the operation's client token, the same on each repeat.")
    repeatable: bool = Field(default=False, alias="idempotent", description="Calling it twice is as calling it once.")

    _model: Any = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Check all calls against the service's model."""
        model = aws_model.operation_model(self.service, self.operation)
        if aws_model.reads_only(model):
            raise ValueError(f"{model.name} only reads: write `probe: aws.read`")
        wrong = aws_model.problems(model, self.parameters)
        for call in (*self.capture_, *([self.already_] if self.already_ else [])):
            wrong += _read_problems(self.service, call)
        if self.undo_ is not None:
            wrong += aws_model.problems(
                aws_model.operation_model(self.service, self.undo_.operation), self.undo_.parameters
            )
        wrong += self._way_back_problems()
        wrong += self._reference_problems()
        if self.client_token and not aws_model.token_member(model):
            wrong.append(f"{model.name} has no client token: leave `client_token` out")
        if wrong:
            raise ValueError("; ".join(wrong))
        for text in self.output.values():
            expression(text)
        return self

    def _way_back_problems(self) -> Iterator[str]:
        if (self.undo_ is None) == (self.irreversible is None):
            yield "say how it is taken back: either `undo`, or `one_way: why not`"
        if self.undo_ is not None and not self.capture_ and self.already_ is None:
            yield "`undo` needs `capture` or `already`: nobody could say whether all is as it was"
        if self.moves_authority and self.irreversible is None:
            yield "`authority: true` belongs to a `one_way` call"

    def _reference_problems(self) -> Iterator[str]:
        kept, told = {one.name for one in self.capture_}, set(self.output)
        for where, scope in (
            (self.parameters, {"before"}),
            (self.undo_ and self.undo_.parameters, {"before", "receipt"}),
        ):
            for reference in references(where):
                root, _, path = reference.partition(".")
                if root not in ("before", "receipt"):
                    continue
                first = path.partition(".")[0]
                if root not in scope:
                    yield f"${{{reference}}} is not known yet when the call is made"
                elif first not in (kept if root == "before" else told):
                    yield f"${{{reference}}}: no {'capture' if root == 'before' else 'output'} is called {first!r}"

    def needed(self) -> tuple[str, ...]:
        """Give the IAM actions of all its calls."""
        calls = [self.operation, *(one.operation for one in self.capture_)]
        calls += [one.operation for one in (self.already_, self.undo_) if one is not None]
        models = (aws_model.operation_model(self.service, operation) for operation in calls)
        return tuple(sorted({action for model in models for action in aws_model.permissions(model)}))

    def capture(self, aws: Aws) -> Before:
        """Make the reads of ``capture`` and keep what they name."""
        kept: dict[str, Json] = {one.name: self._kept(aws, one) for one in self.capture_}
        if self.client_token:
            kept[TOKEN] = f"drills-{uuid.uuid4().hex}"
        return Before(**{**kept, "_region": aws.place.region})

    def already(self, aws: Aws) -> Observation:
        """Ask ``already``; without it nothing can be said, so the answer is no."""
        if self.already_ is None:
            return Observation(ok=False, detail=f"{self.operation} has no `already` to ask")
        return _ask(aws, self.service, self.already_)

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Make the call."""
        model = aws_model.operation_model(self.service, self.operation)
        given = cast("dict[str, Json]", bind(self.parameters, {"before": before}))
        if self.client_token:
            given = {**given, aws_model.token_member(model): before.text(TOKEN)}
        answer = _call(aws, self.service, model, given, writes=True)
        return Receipt(**{name: search(path, answer) for name, path in self.output.items()})

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Make the call of ``undo``, unless all is as it was, or is neither as it was nor as we made it."""
        if self.undo_ is None:
            raise Rejected(f"{self.operation} cannot be taken back: {self.irreversible}")
        seen = self.restored(aws, before)
        if seen.ok is True:
            return Undone(f"nothing to do: {seen.detail}")
        if self.already_ is not None and self.capture_:
            goal = self.already(aws)
            if goal.ok is False:
                return Undone("not changed back", f"{seen.detail}, and no longer as this drill made it")
        model = aws_model.operation_model(self.service, self.undo_.operation)
        given = cast("dict[str, Json]", bind(self.undo_.parameters, {"before": before, "receipt": receipt}))
        _call(aws, self.service, model, given, writes=True)
        return Undone(f"{model.name} was answered")

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether each captured value is as it was; without any, whether ``already`` says no."""
        if not self.capture_:
            goal = self.already(aws)
            return Observation(ok=None if goal.ok is None else not goal.ok, detail=goal.detail)
        other = [one.name for one in self.capture_ if self._kept(aws, one) != before.get(one.name)]
        detail = f"{', '.join(other)} is not as it was" if other else "all that was captured is as it was"
        return Observation(ok=not other, detail=detail)

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the call of ``undo`` as a command."""
        if self.undo_ is None:
            return ()
        model = aws_model.operation_model(self.service, self.undo_.operation)
        given = cast("dict[str, Json]", bind(self.undo_.parameters, {"before": before}, strict=False))
        return (aws_model.command(model, given, str(before.get("_region", "REGION"))),)

    def _kept(self, aws: Aws, one: Kept) -> Json:
        model = aws_model.operation_model(self.service, one.operation)
        return search(one.keep, _call(aws, self.service, model, one.parameters, writes=False))


class AwsRead(ProbeSpec):
    """Ask any reading operation, and judge its answer: ``expect`` is JMESPath that gives true or false.

    ``fail`` that gives true ends the wait at once. Anything that is neither true nor false is no answer. Operations
    that answer in pages are read up to 1,000 items.

    .. code-block:: yaml

        probe: aws.read
        with:
          service: cloudwatch
          operation: DescribeAlarms
          parameters: {AlarmNames: [orders-errors]}
          expect: length(MetricAlarms) == `1`
          output: {state: "MetricAlarms[0].StateValue"}
    """

    name: ClassVar[str] = "aws.read"
    permissions: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _Told(lambda read: read.needed(), ()))

    service: str = Field(min_length=1, description="As in boto3.client(SERVICE).")
    operation: str = Field(min_length=1, description="As in DescribeDBInstances or describe_db_instances.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="As boto3 takes them.")
    expect: str = Field(min_length=1, description="JMESPath that gives true or false.")
    fail: str = Field(default="", description="JMESPath that gives true when no waiting helps.")
    output: dict[str, str] = Field(default_factory=dict, description="Name -> JMESPath of the answer.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Check the call against the service's model."""
        call = Call(operation=self.operation, parameters=self.parameters)
        wrong = _read_problems(self.service, call)
        if wrong:
            raise ValueError("; ".join(wrong))
        for text in (self.expect, *([self.fail] if self.fail else []), *self.output.values()):
            expression(text)
        return self

    def needed(self) -> tuple[str, ...]:
        """Give the IAM actions of the call."""
        return aws_model.permissions(aws_model.operation_model(self.service, self.operation))

    def observe(self, aws: Aws) -> Observation:
        """Make the call once and judge the answer."""
        model = aws_model.operation_model(self.service, self.operation)
        answer = _call(aws, self.service, model, self.parameters, writes=False)
        value = Facts(**{name: search(path, answer) for name, path in self.output.items()})
        if self.fail and search(self.fail, answer) is True:
            return Observation(ok=False, detail=f"{self.fail} is true", value=value, final=True)
        return _judge(self.expect, answer, value)


def _read_problems(service: str, call: Call) -> list[str]:
    model = aws_model.operation_model(service, call.operation)
    if not aws_model.reads_only(model):
        return [f"{model.name} does not only read, or reads a secret: it cannot be asked here"]
    return aws_model.problems(model, call.parameters)


def _ask(aws: Aws, service: str, asked: Asked) -> Observation:
    model = aws_model.operation_model(service, asked.operation)
    return _judge(asked.expect, _call(aws, service, model, asked.parameters, writes=False), Facts())


def _judge(expect: str, answer: Json, value: Facts) -> Observation:
    found = search(expect, answer)
    if isinstance(found, bool):
        return Observation(ok=found, detail=f"{expect} is {str(found).lower()}", value=value)
    return Observation(ok=None, detail=f"{expect} gives {str(found)[:100]}, neither true nor false", value=value)


def _call(aws: Aws, service: str, model: OperationModel, parameters: Mapping[str, Any], *, writes: bool) -> Json:
    client = aws.client(service)
    method = aws_model.method_name(str(model.name))
    with mapped(writes=writes):
        if not writes and client.can_paginate(method):
            pages = client.get_paginator(method).paginate(**parameters, PaginationConfig={"MaxItems": MOST_ITEMS})
            answer = pages.build_full_result()
        else:
            answer = getattr(client, method)(**parameters)
    return aws_model.plain(model.output_shape, answer)
