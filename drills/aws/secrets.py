"""Secrets as references (``env:NAME``, ``secretsmanager:ID[#KEY]``, ``ssm:NAME``), resolved where they are used.

A resolved value is concealed from every log line at once. It is kept in memory, and asked for again after a
minute; when that fails the old value serves, because the region that holds it may be the one that was lost.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from drills.aws.classify import classify
from drills.errors import Rejected
from drills.log import conceal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient

    from drills.clock import Clock, Stamp

SCHEMES: Final = ("env:", "secretsmanager:", "ssm:")
FRESH_S: Final = 60.0


def is_reference(text: str) -> bool:
    """Say whether a text names a secret rather than being a value."""
    return text.startswith(SCHEMES)


def of_environment(reference: str) -> str:
    """Give what ``env:NAME`` stands for, concealed from the log; a text that is no such reference as it is.

    Raises ``Rejected`` when the variable is not set.
    """
    scheme, _, name = reference.partition(":")
    if scheme != "env":
        return reference
    value = os.environ.get(name)
    if value is None:
        raise Rejected(f"the secret env:{name} is not there: set the variable {name}")
    conceal(value)
    return value


class Secrets:
    """Resolves references with the clients of one place. Safe to use from many threads."""

    def __init__(self, client: Callable[[str], Any], clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, Stamp]] = {}

    def resolve(self, reference: str) -> str:
        """Give what a reference stands for; a text that is no reference is given back as it is.

        Raises ``Rejected`` when there is no such secret, or a ``WorkError`` of the service that holds it.
        """
        if not is_reference(reference):
            return reference
        with self._lock:
            known = self._known.get(reference)
        if known is not None and self._clock.now().since(known[1]) < FRESH_S:
            return known[0]
        try:
            value = self._ask(reference)
        except Exception as error:
            if known is not None:
                return known[0]
            mapped = classify(error, writes=False)
            if mapped is None:
                raise
            raise mapped from error
        conceal(value)
        with self._lock:
            self._known[reference] = (value, self._clock.now())
        return value

    def _ask(self, reference: str) -> str:
        scheme, _, name = reference.partition(":")
        if scheme == "env":
            return of_environment(reference)
        if scheme == "ssm":
            ssm: SSMClient = self._client("ssm")
            return ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"].get("Value", "")
        secret_id, _, key = name.partition("#")
        manager: SecretsManagerClient = self._client("secretsmanager")
        answer = manager.get_secret_value(SecretId=secret_id)
        if "SecretString" not in answer:
            raise Rejected(f"the secret {secret_id} is binary; only text can be used")
        text = answer["SecretString"]
        return _member(text, key, reference) if key else text


def _member(text: str, key: str, reference: str) -> str:
    try:
        given: Any = json.loads(text)
    except json.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or key not in given:
        raise Rejected(f"the secret {reference.partition('#')[0]} has no key {key!r}")
    return str(given[key])  # pyright: ignore[reportUnknownArgumentType] - JSON of the owner's own making
