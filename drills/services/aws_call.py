"""Reach any operation of AWS from a runbook, checked against botocore's model when the runbook is read."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic import Field, model_validator

from drills.aws import forbidden
from drills.errors import Rejected
from drills.services import aws_model
from drills.services.aws_bind import bind, expression_problem, pick, references
from drills.services.aws_check import check_call
from drills.services.aws_read import (
    Asked,
    Awaited,
    Call,
    find_operation,
    permissions_of,
    send,
    wrong_output,
    wrong_read,
)
from drills.services.costs import of_actions
from drills.services.spec import ActionSpec, Follow, Told, Wrong, refuse
from drills.timeline.facts import Before, Facts, Json, Receipt
from drills.work import Aws, Cost, Observation, Target, UndoCall, Undone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

TOKEN: Final = "token"  # noqa: S105 - the name of a field
_OF_RECEIPT: Final = re.compile(r"(?<!\$)\$\{\s*receipt\.")
_TOO_EARLY: Final = "is not known yet when the call is made; it has a meaning in `undo` and in `wait`"
_TOO_LATE: Final = "has no meaning in `wait`; write it out, or name a declared `output` as ${receipt.NAME}"
_PLAIN: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*")


class Kept(Call):
    """A read whose answer is remembered before the change."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="What ${before.NAME} gives.")
    keep: str = Field(min_length=1, description="JMESPath: what of the answer is kept.")


class AwsCall(ActionSpec):
    """Call any operation that changes something, and say how it is taken back.

    ``undo`` is another call; ``${before.NAME}`` in it is what ``capture`` kept, ``${receipt.NAME}`` is a declared
    ``output``. It needs ``capture`` or ``already``, because without either nobody can say whether all is as it was.
    A receipt is lost when nobody answers the call: prefer names that you chose, and ``${before.NAME}``.
    Where there is no way back, ``one_way`` says why, and ``authority: true`` makes it the point of no return. With
    ``client_token: true`` the operation's client token makes repeating it harmless. Members that AWS marks as
    sensitive are never kept.

    An action never waits, so ``wait`` becomes a step of its own right behind this one, an ``aws.read`` called
    ``ID.wait``: what needs this step waits for that one. The step's ``timeout``, ``every``, ``expect`` and ``mark``
    are those of the wait; ``${receipt.NAME}`` in it is a declared ``output``. Later steps reach an output as
    ``${steps.ID.output.NAME}``.

    .. code-block:: yaml

        action: aws.call
        with:
          service: dynamodb
          operation: UpdateTable
          parameters:
            TableName: orders
            ProvisionedThroughput: {ReadCapacityUnits: 200, WriteCapacityUnits: 100}
          capture:
            - name: reads
              operation: DescribeTable
              parameters: {TableName: orders}
              keep: Table.ProvisionedThroughput.ReadCapacityUnits
            - name: writes
              operation: DescribeTable
              parameters: {TableName: orders}
              keep: Table.ProvisionedThroughput.WriteCapacityUnits
          already:
            operation: DescribeTable
            parameters: {TableName: orders}
            path: Table.ProvisionedThroughput.ReadCapacityUnits
            equals: 200
          undo:
            operation: UpdateTable
            parameters:
              TableName: orders
              ProvisionedThroughput:
                ReadCapacityUnits: ${before.reads}
                WriteCapacityUnits: ${before.writes}
          wait:
            operation: DescribeTable
            parameters: {TableName: orders}
            path: Table.TableStatus
            equals: ACTIVE
            fails_on: [DELETING]
          output: {arn: TableDescription.TableArn}
    """

    name: ClassVar[str] = "aws.call"
    permissions: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", Told(lambda call: call.needed(), ()))
    one_way: ClassVar[str | None] = cast("str | None", Told(lambda call: call.irreversible, None))
    authority: ClassVar[bool] = cast("bool", Told(lambda call: call.moves_authority, otherwise=False))
    holds_authority: ClassVar[bool] = cast("bool", Told(lambda call: call.keeps_authority, otherwise=False))
    idempotent: ClassVar[bool] = cast("bool", Told(lambda call: call.repeatable or call.client_token, otherwise=False))
    restore_timeout: ClassVar[timedelta] = timedelta(minutes=5)  # whatever it is that AWS brings back
    cost: ClassVar[Cost] = cast("Cost", Told(lambda call: of_actions(call.needed()), Cost.NONE))
    varies: ClassVar[bool] = True
    decided_by: ClassVar[tuple[str, ...]] = ("authority", "client_token", "holds_authority", "idempotent")
    own_names: ClassVar[Mapping[str, frozenset[str]]] = MappingProxyType(
        {
            "parameters": frozenset({"before"}),
            "undo": frozenset({"before", "receipt"}),
            "wait": frozenset({"receipt"}),
        }
    )

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
    wait: Awaited | None = Field(default=None, description="What is waited for afterwards, as a step of its own.")
    output: dict[str, str] = Field(default_factory=dict, description="Name -> JMESPath of the answer.")
    client_token: bool = Field(default=False, description="Send the operation's client token, the same on each repeat.")
    repeatable: bool = Field(default=False, alias="idempotent", description="Calling it twice is as calling it once.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Check all calls against the service's model."""
        wrong = [*self._wrong_calls(), *self._wrong_way_back(), *self._wrong_names(), *wrong_output(self.output)]
        refuse(self.name, dict.fromkeys(wrong))
        return self

    def _wrong_calls(self) -> Iterator[Wrong]:
        model = find_operation(self.service, self.operation, ())
        if isinstance(model, Wrong):
            yield model
        elif model is not None and aws_model.reads_only(model):
            yield Wrong(("operation",), f"{model.name} only reads: write `probe: aws.read`")
        elif model is not None and (denied := forbidden.reason(self.service, model.name, self.parameters)):
            yield Wrong(("operation",), f"{model.name} is denied always: {denied}")
        elif model is not None:
            yield from check_call(model, self.parameters, ("parameters",))
            if self.client_token and not aws_model.token_member(model):
                yield Wrong(("client_token",), f"{model.name} has no client token: leave `client_token` out")
        for number, one in enumerate(self.capture_):
            where = ("capture", number)
            yield from wrong_read(self.service, one, where)
            reason = expression_problem(one.keep)
            if reason:
                yield Wrong((*where, "keep"), reason)
        for word, asked in (("already", self.already_), ("wait", self.wait)):
            if asked is not None:
                yield from wrong_read(self.service, asked, (word,))
                yield from asked.wrong_goal((word,))
        if self.undo_ is not None:
            back = find_operation(self.service, self.undo_.operation, ("undo",))
            if isinstance(back, Wrong):
                yield back
            elif back is not None and (denied := forbidden.reason(self.service, back.name, self.undo_.parameters)):
                yield Wrong(("undo", "operation"), f"{back.name} is denied always: {denied}")
            elif back is not None:
                yield from check_call(back, self.undo_.parameters, ("undo", "parameters"))

    def _wrong_way_back(self) -> Iterator[Wrong]:
        if self.undo_ is None and self.irreversible is None:
            yield Wrong((), "say how it is taken back: either `undo`, or `one_way: why not`")
        elif self.undo_ is not None and self.irreversible is not None:
            yield Wrong(
                ("one_way",), "it has an `undo`, so it is not one-way; keep either `undo`, or `one_way: why not`"
            )
        if self.undo_ is not None and not self.capture_ and self.already_ is None:
            yield Wrong(("undo",), "`undo` needs `capture` or `already`: nobody could say whether all is as it was")
        if self.moves_authority and self.irreversible is None:
            yield Wrong(("authority",), "`authority: true` belongs to a `one_way` call; say why there is no way back")

    def _wrong_names(self) -> Iterator[Wrong]:
        kept, told = {one.name for one in self.capture_}, set(self.output)
        spoken = {
            "parameters": self.parameters,
            "undo": self.undo_ and self.undo_.parameters,
            "wait": self.wait and self.wait.parameters,
        }
        for field, value in spoken.items():
            where = (field,) if field == "parameters" else (field, "parameters")
            for place, reference in references(value, where):
                root, _, path = reference.partition(".")
                if root not in ("before", "receipt"):
                    continue
                shown, first = f"${{{reference}}}", path.partition(".")[0].partition("[")[0]
                known, word = (kept, "capture") if root == "before" else (told, "output")
                if root not in self.own_names[field]:
                    yield Wrong(place, f"{shown} {_TOO_EARLY if root == 'receipt' else _TOO_LATE}")
                elif first not in known:
                    yield Wrong(place, f"{shown}: no {word} is called {first!r}{aws_model.near(first, known)}")
                elif field == "wait" and not _PLAIN.fullmatch(path):
                    yield Wrong(place, f"{shown}: write a plain name here, and let the `output` pick what it needs")

    def needed(self) -> tuple[str, ...]:
        """Give the IAM actions of all its calls but ``wait``, which is a step with its own."""
        calls = [self.operation, *(one.operation for one in self.capture_)]
        calls += [one.operation for one in (self.already_, self.undo_) if one is not None]
        return permissions_of(self.service, calls)

    @classmethod
    def follow(cls, given: Mapping[str, Any], step: str) -> Follow | None:
        """Make of ``wait`` a probe of the same service that names the step's output where it names the receipt."""
        wait = given.get("wait")
        if not isinstance(wait, dict):
            return None
        fields: dict[str, Json] = {"service": given.get("service"), **cast("dict[str, Json]", wait)}
        named = cast("dict[str, Json]", _of_step(fields, step))
        goal = named.get("expect") or f"{named.get('path')} is {_either(named)}"
        return Follow("aws.read", named, f"Wait until {goal}.")

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name the operation: what it touches is not known, so a scope must allow it by this name."""
        del aws
        return (Target(f"{self.service}:{self.operation}"),)

    def capture(self, aws: Aws) -> Before:
        """Make the reads of ``capture`` and keep what they name.

        ``Rejected`` when AWS calls it a secret, or when something is not there that ``undo`` would need.
        """
        kept: dict[str, Json] = {one.name: self._kept(aws, one) for one in self.capture_}
        for one in self.capture_:
            if aws_model.struck(kept[one.name]):
                raise Rejected(f"capture {one.name!r}: AWS marks {one.keep} as secret, and no secret is written down")
        needed = (self.parameters, self.undo_.parameters if self.undo_ else None)
        bind(list(needed), {"before": Before(**kept)})  # what cannot be put in now could not be taken back later
        if self.client_token:
            kept[TOKEN] = f"drills-{uuid.uuid4().hex}"
        return Before(**{**kept, "_region": aws.place.region})

    def already(self, aws: Aws) -> Observation:
        """Ask ``already``; without it nothing can be said, so the answer is no."""
        if self.already_ is None:
            return Observation(ok=False, detail=f"{self.operation} has no `already` to ask")
        model = aws_model.operation_model(self.service, self.already_.operation)
        answer = send(aws, self.service, model, self.already_.parameters, writes=False)
        return self.already_.judge(answer, Facts())

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Make the call."""
        model = aws_model.operation_model(self.service, self.operation)
        given = cast("dict[str, Json]", bind(self.parameters, {"before": before}))
        if self.client_token:
            given = {**given, aws_model.token_member(model): before.text(TOKEN)}
        answer = send(aws, self.service, model, given, writes=True)
        return Receipt(**pick(self.output, answer))

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
        send(aws, self.service, model, given, writes=True)
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
        region = str(before.get("_region", "REGION"))
        calls = self.undo_calls(before)
        return tuple(aws_model.told(one.service, one.operation, one.parameters, region) for one in calls)

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        """Make the call of ``undo``; a receipt in it stays as it is written."""
        if self.undo_ is None:
            return ()
        model = aws_model.operation_model(self.service, self.undo_.operation)
        given = cast("dict[str, Json]", bind(self.undo_.parameters, {"before": before}, strict=False))
        return (UndoCall(self.service, str(model.name), Facts(**given)),)

    @classmethod
    def unarmable(cls, given: Mapping[str, Any]) -> str:
        """Say why no schedule can make the call of ``undo``: it needs what only the change itself will tell."""
        late = any(one.partition(".")[0] == "receipt" for _, one in references(given.get("undo")))
        return "its undo names ${receipt...}, which is known only after the change" if late else ""

    def _kept(self, aws: Aws, one: Kept) -> Json:
        model = aws_model.operation_model(self.service, one.operation)
        return pick({one.name: one.keep}, send(aws, self.service, model, one.parameters, writes=False))[one.name]


def _of_step(value: Any, step: str) -> Json:
    """Write ``${receipt.NAME}`` as the output of a step."""
    if isinstance(value, dict):
        return {key: _of_step(item, step) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_of_step(item, step) for item in cast("list[Any]", value)]
    return _OF_RECEIPT.sub(f"${{steps.{step}.output.", value) if isinstance(value, str) else value


def _either(fields: Mapping[str, Json]) -> str:
    among = fields.get("in")
    return " or ".join(map(str, among)) if isinstance(among, list) else str(fields.get("equals"))
