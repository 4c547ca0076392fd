"""The seam that takes no torn answer for a fact.

botocore reads a body that is no JSON, and an empty one, as an answer in which nothing stands: a list cut on its way
becomes an empty list, and what is not in the list would be "not there". Such an answer is no answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from drills.aws.readonly import only_reads

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

_JSON: Final = frozenset({"json", "rest-json"})
_OK: Final = range(200, 300)


def refuse_torn(operation_model: OperationModel, response_dict: dict[str, Any], **_: Any) -> None:
    """Refuse an answer of which a part is missing; a handler for botocore's ``before-parse``.

    Raises ``ResponseParserError``, which is silence: a read is repeated, a write is in doubt.
    """
    body: Any = response_dict.get("body")
    shape = operation_model.output_shape
    if response_dict.get("status_code") not in _OK or not isinstance(body, bytes) or not _speaks(shape):
        return
    service = operation_model.service_model
    if not body.strip():
        if only_reads(service.service_name, operation_model.name):
            _torn(operation_model, "it is empty")
    elif service.resolved_protocol in _JSON:
        try:
            json.loads(body)
        except ValueError as error:
            _torn(operation_model, str(error))


def _speaks(shape: Shape | None) -> bool:
    """Say whether the answer's body is a document: something stands in it, and it is not a file."""
    members: dict[str, Any] = getattr(shape, "members", {})
    if shape is None or "payload" in shape.serialization:
        return False
    return any("location" not in member.serialization for member in members.values())


def _torn(operation_model: OperationModel, why: str) -> None:
    from botocore.parsers import ResponseParserError

    raise ResponseParserError(f"{operation_model.name} was answered only in part: {why}")
