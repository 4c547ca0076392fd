"""How events and plans become JSON text on disk and come back, by msgspec and by their own types.

The text is the fact: it is hashed as it stands, and never written again from the object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import msgspec

from drills.errors import JournalError
from drills.timeline.events import Body, Event
from drills.timeline.facts import Facts, Json

if TYPE_CHECKING:
    from drills.clock import Stamp

T = TypeVar("T")

_BODIES: dict[str, type[Body]] = {body.__name__: body for body in get_args(Body)}


def _write(value: object) -> object:
    if isinstance(value, Facts):
        return dict(value.items())
    message = f"{type(value).__name__} has no place on the timeline"
    raise NotImplementedError(message)


def _read(kind: type, value: Any) -> object:
    if issubclass(kind, Facts) and isinstance(value, dict):
        return kind(**cast("dict[str, Json]", value))
    message = f"{kind.__name__} cannot be read from {type(value).__name__}"
    raise NotImplementedError(message)


_encoder = msgspec.json.Encoder(enc_hook=_write, order="deterministic")
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def dump(value: object) -> str:
    """Write a frozen dataclass (or Facts) as one line of JSON.

    Half of a surrogate pair, as a broken answer may hold it, has no place in a file: it becomes U+FFFD.
    """
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_whole(msgspec.to_builtins(value, enc_hook=_write))).decode()


def _whole(value: object) -> object:
    """Give plain values with each half of a surrogate pair replaced."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_whole(name): _whole(one) for name, one in cast("dict[str, object]", value).items()}
        case list() | tuple():
            return [_whole(one) for one in cast("list[object]", value)]
        case _:
            return value


def load(kind: type[T], text: str) -> T:
    """Read back what ``dump`` wrote of a ``kind``; ``JournalError`` when it is something else."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_read)
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
        message = f"not a {kind.__name__}: {error}"
        raise JournalError(message) from error


class _Line(msgspec.Struct, frozen=True):
    seq: int
    at: Any
    kind: str
    body: msgspec.Raw


def dump_event(seq: int, at: Stamp, body: Body) -> str:
    """Write one event as the line that goes to disk and into the chain."""
    return dump({"at": at, "body": body, "kind": type(body).__name__, "seq": seq})


def load_event(text: str) -> Event:
    """Read one event line; ``JournalError`` when it is none."""
    from drills.clock import Stamp

    line = load(_Line, text)
    body = _BODIES.get(line.kind)
    if body is None:
        message = f"event {line.seq} is of a kind this version does not know: {line.kind!r}"
        raise JournalError(message)
    try:
        at = msgspec.convert(line.at, Stamp)
    except msgspec.MsgspecError as error:
        message = f"event {line.seq} carries no moment: {error}"
        raise JournalError(message) from error
    return Event(line.seq, at, load(body, bytes(line.body).decode()))
