"""The availability observers of a plan, bound: one form for each kind of target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drills.engine.plan import AvailabilityWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.engine.bind import Binder
    from drills.runbook.availability import Availability
    from drills.yamldoc import Where

ALIVE = "SELECT 1"
"""What a SQL server is asked where the runbook names no query."""


def bound_watches(
    written: Sequence[Availability], binder: Binder, resolver: str | None, where: Where
) -> tuple[AvailabilityWatch, ...]:
    """Bind observers that stand in a list at ``where``; addresses that are secret references stay references."""
    return tuple(_bound(one, binder, resolver, (*where, number)) for number, one in enumerate(written))


def _bound(one: Availability, binder: Binder, resolver: str | None, where: Where) -> AvailabilityWatch:
    texts = {inner: binder.text(text, (*where, *inner)) for inner, text, _ in one.spoken()}
    ca = texts.get(("ca",), "")
    query = texts.get(("sql", "query"), ALIVE) if one.sql is not None and one.sql.read is not None else ""
    return AvailabilityWatch(
        id=one.id,
        url=_url(one, texts),
        status=one.expect.status,
        body=texts.get(("expect", "body"), ""),
        header=one.served_by.header if one.served_by else "",
        every_s=one.every.total_seconds(),
        timeout_s=one.timeout.total_seconds(),
        stable_for_s=one.stable_for.total_seconds(),
        resolve=one.resolve.value,
        resolver=resolver,
        connect_to=texts.get(("connect_to",), ""),
        method=one.method,
        addresses=tuple(texts["expect", "address", number] for number in range(len(one.expect.address))),
        ca=str(Path(ca).absolute()) if ca else "",
        dsn=texts.get(("sql", "read"), "") or texts.get(("sql", "write"), ""),
        query=query,
        value=texts.get(("expect", "value")),
    )


def _url(one: Availability, texts: dict[tuple[str | int, ...], str]) -> str:
    """Write every kind of target as a URL; that of a SQL server names no server, which may be a secret."""
    if one.sql is not None:
        return f"sql-{'read' if one.sql.read is not None else 'write'}://{one.id}"
    if one.http is not None:
        return texts["http",]
    kind = "tcp" if one.tcp is not None else "dns"
    text = texts[kind,]
    return text if text.startswith(f"{kind}://") else f"{kind}://{text}"
