"""Ask any operation of AWS that only reads, and judge what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from drills.aws.classify import mapped
from drills.services import aws_model
from drills.services.aws_bind import expression_problem, pick, search
from drills.services.aws_check import check_call
from drills.services.spec import ProbeSpec, Told, Wrong, refuse
from drills.timeline.facts import Facts, Json
from drills.work import Aws, Evidence, Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

    from botocore.model import OperationModel

    from drills.yamldoc import Where

MOST_ITEMS: Final = 1000
"""Items that are read from an operation that answers in pages."""
CONTENT: Final = frozenset({("dynamodb", name) for name in ("BatchGetItem", "GetItem", "Query", "Scan")})
"""Operations that read data itself."""
MOST_WORDS: Final = 100
"""Characters of a value that stand in an observation."""


class Call(BaseModel):
    """One call: an operation and its parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: str = Field(min_length=1, description="As in StopDBInstance or stop_db_instance.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="As boto3 takes them.")


class Asked(Call):
    """A read whose answer says yes or no: by ``expect``, or by ``path`` with ``equals`` or ``in``."""

    expect: str = Field(default="", description="JMESPath that gives true or false.")
    path: str = Field(default="", description="JMESPath of a value, which is compared; instead of `expect`.")
    equals: JsonValue = Field(default=None, description="What `path` must give.")
    among: tuple[JsonValue, ...] = Field(
        default=(), alias="in", max_length=100, description="Values of which `path` must give one."
    )

    def wrong_goal(self, where: Where) -> Iterator[Wrong]:
        """Give what is wrong with how the answer is judged."""
        compared = [name for name in ("equals", "among") if name in self.model_fields_set]
        if bool(self.expect) == bool(self.path):
            yield Wrong(where, "say what the answer must be: either `expect`, or `path` with `equals` or `in`")
        elif self.path and len(compared) != 1:
            yield Wrong((*where, "path"), "`path` needs one of `equals` and `in`: what it must give")
        elif self.expect and compared:
            yield Wrong((*where, "expect"), "`equals` and `in` go with `path`; `expect` says it all by itself")
        for name, text in self.expressions():
            reason = expression_problem(text) if text else ""
            if reason:
                yield Wrong((*where, name), reason)

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Give the fields that hold JMESPath."""
        yield "expect", self.expect
        yield "path", self.path

    def judge(self, answer: Json, value: Facts) -> Observation:
        """Judge one answer; a yes or a no only where it clearly is one."""
        if self.expect:
            found = search(self.expect, answer)
            if isinstance(found, bool):
                return Observation(ok=found, detail=f"{self.expect} is {str(found).lower()}", value=value)
            said = f"{self.expect} gives {_shown(found)}, neither true nor false"
            return Observation(ok=None, detail=said, value=value)
        found, wanted = search(self.path, answer), self._wanted()
        if any(_same(found, one) for one in wanted):
            return Observation(ok=True, detail=f"{self.path} is {_shown(found)}", value=value)
        if found is None:
            return Observation(ok=None, detail=f"{self.path} is nowhere in the answer", value=value)
        said = f"{self.path} is {_shown(found)}, not {' or '.join(map(_shown, wanted))}"
        return Observation(ok=False, detail=said, value=value)

    def _wanted(self) -> tuple[Json, ...]:
        return cast("tuple[Json, ...]", self.among or (self.equals,))


class Awaited(Asked):
    """A read that is repeated until its answer says yes, or says that no waiting helps."""

    fail: str = Field(default="", description="JMESPath that gives true when no waiting helps.")
    fails_on: tuple[JsonValue, ...] = Field(
        default=(), max_length=100, description="Values of `path` with which no waiting helps."
    )

    def wrong_goal(self, where: Where) -> Iterator[Wrong]:
        """Give what is wrong with how the answer is judged."""
        yield from super().wrong_goal(where)
        if self.fails_on and not self.path:
            yield Wrong((*where, "fails_on"), "`fails_on` goes with `path`; beside `expect` write `fail`")

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Give the fields that hold JMESPath."""
        yield from super().expressions()
        yield "fail", self.fail

    def judge(self, answer: Json, value: Facts) -> Observation:
        """Judge one answer; a state that no waiting mends ends the wait."""
        if self.fail and search(self.fail, answer) is True:
            return Observation(ok=False, detail=f"{self.fail} is true", value=value, final=True)
        found = search(self.path, answer) if self.fails_on else None
        if any(_same(found, cast("Json", one)) for one in self.fails_on):
            said = f"{self.path} is {_shown(found)}, and no waiting mends that"
            return Observation(ok=False, detail=said, value=value, final=True)
        return super().judge(answer, value)


class _OfService(ProbeSpec):
    """The service stands first among the fields."""

    service: str = Field(min_length=1, description="As in boto3.client(SERVICE).")


class AwsRead(Awaited, _OfService):
    """Ask any reading operation, and judge its answer.

    ``expect`` is JMESPath that gives true or false; or ``path`` names a value that must be what ``equals`` says, or
    one of ``in``. ``fail`` that gives true, or a value of ``path`` that stands in ``fails_on``, ends the wait at
    once. Anything else is no answer. Operations that answer in pages are read up to 1,000 items.

    .. code-block:: yaml

        probe: aws.read
        with:
          service: dynamodb
          operation: DescribeTable
          parameters: {TableName: orders}
          path: Table.TableStatus
          equals: ACTIVE
          fails_on: [DELETING, INACCESSIBLE_ENCRYPTION_CREDENTIALS]
          output: {items: Table.ItemCount}
    """

    name: ClassVar[str] = "aws.read"
    permissions: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", Told(lambda read: read.needed(), ()))
    varies: ClassVar[bool] = True
    evidence: ClassVar[frozenset[Evidence]] = cast(
        "frozenset[Evidence]", Told(lambda read: read.proves(), frozenset[Evidence]())
    )

    output: dict[str, str] = Field(default_factory=dict, description="Name -> JMESPath of the answer.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Check the call against the service's model."""
        refuse(self.name, [*wrong_read(self.service, self, ()), *self.wrong_goal(()), *wrong_output(self.output)])
        return self

    def proves(self) -> frozenset[Evidence]:
        """Say what a yes proves: of an operation that reads data itself, its content."""
        return frozenset({Evidence.CONTENT_CHECKED}) if _operation(self) in CONTENT else frozenset()

    def needed(self) -> tuple[str, ...]:
        """Give the IAM actions of the call."""
        return permissions_of(self.service, [self.operation])

    def observe(self, aws: Aws) -> Observation:
        """Make the call once and judge the answer."""
        model = aws_model.operation_model(self.service, self.operation)
        answer = send(aws, self.service, model, self.parameters, writes=False)
        return self.judge(answer, Facts(**pick(self.output, answer)))


def _operation(read: AwsRead) -> tuple[str, str]:
    model = find_operation(read.service, read.operation, ())
    return (read.service, "" if model is None or isinstance(model, Wrong) else str(model.name))


def find_operation(service: str, operation: str, where: Where) -> OperationModel | Wrong | None:
    """Find an operation; what is wrong where there is none, None while either name is not bound yet."""
    if aws_model.REFERENCE.search(service):
        return None
    try:
        aws_model.service_model(service)
    except ValueError as error:
        return Wrong(("service",), str(error))
    if aws_model.REFERENCE.search(operation):
        return None
    try:
        return aws_model.operation_model(service, operation)
    except ValueError as error:
        return Wrong((*where, "operation"), str(error))


def wrong_read(service: str, call: Call, where: Where) -> Iterator[Wrong]:
    """Give what is wrong with a call that must only read."""
    model = find_operation(service, call.operation, where)
    if isinstance(model, Wrong):
        yield model
    elif model is not None and not aws_model.reads_only(model):
        told = f"{model.name} does not only read, or reads a secret: it cannot be asked here"
        yield Wrong((*where, "operation"), told)
    elif model is not None:
        yield from check_call(model, call.parameters, (*where, "parameters"))


def wrong_output(output: Mapping[str, str]) -> Iterator[Wrong]:
    """Give what is wrong with what is kept of an answer."""
    for name, text in output.items():
        reason = expression_problem(text)
        if reason:
            yield Wrong(("output", name), reason)


def permissions_of(service: str, operations: Iterable[str]) -> tuple[str, ...]:
    """Give the IAM actions of some operations; of those whose names are not bound yet, none."""
    found = (find_operation(service, operation, ()) for operation in operations)
    known = (one for one in found if one is not None and not isinstance(one, Wrong))
    return tuple(sorted({action for model in known for action in aws_model.permissions(model)}))


def send(aws: Aws, service: str, model: OperationModel, parameters: Mapping[str, Any], *, writes: bool) -> Json:
    """Make one call and give its answer as it may be stored; a read in pages up to the limit."""
    client = aws.client(service)
    method = aws_model.method_name(str(model.name))
    with mapped(writes=writes):
        answer = getattr(client, method)(**parameters)
        if not writes and any(search(sign, answer) for sign in aws_model.signs_of_more(service, str(model.name))):
            # Again from the first page on: botocore knows how pages are put together.
            pages = client.get_paginator(method).paginate(**parameters, PaginationConfig={"MaxItems": MOST_ITEMS})
            answer = pages.build_full_result()
    return aws_model.plain(model.output_shape, answer)


def _same(found: Json, wanted: Json) -> bool:
    """Compare as JSON does: true is not 1."""
    return found == wanted and isinstance(found, bool) is isinstance(wanted, bool)


def _shown(value: Json) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)[:MOST_WORDS]
