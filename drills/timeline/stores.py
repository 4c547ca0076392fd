"""The stores in which markers can be kept, by the names that runbooks and plans use."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class StoreKind(StrEnum):
    """A kind of store; ``sql`` is PostgreSQL or MySQL, as the URL says."""

    SQL = "sql"
    DYNAMODB = "dynamodb"
    S3 = "s3"
    SQS = "sqs"
    REDIS = "redis"
    HTTP = "http"


ORDERED: Final = frozenset({StoreKind.SQL, StoreKind.REDIS})
"""Stores in which one primary writes one log; the order of all others must be declared."""
IN_AWS: Final = frozenset({StoreKind.DYNAMODB, StoreKind.S3, StoreKind.SQS})
"""Stores that are reached through a place: account, region and role."""
