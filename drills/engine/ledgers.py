"""The ledgers of markers of a runbook, bound to one environment in one direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.engine.plan import DataWatch
from drills.observe.ledger import Header, Options

if TYPE_CHECKING:
    from drills.engine.bind import Binder
    from drills.runbook.ledgers import Data
    from drills.runbook.load import LoadedRunbook
    from drills.yamldoc import Where


def data_watches(runbook: LoadedRunbook, binder: Binder) -> tuple[DataWatch, ...]:
    """Bind the ledgers; what are references to secrets stay references."""
    return tuple(
        _watch(one, ("measure", "data", number), binder) for number, one in enumerate(runbook.model.measure.data)
    )


def _watch(one: Data, where: Where, binder: Binder) -> DataWatch:
    sides = one.sides()
    aws = one.dynamodb or one.s3 or one.sqs
    here = (*where, one.kind.value)
    return DataWatch(
        id=one.id,
        store=one.kind.value,
        write=binder.text(sides.write.text, (*where, *sides.write.where)),
        read=binder.text(sides.read.text, (*where, *sides.read.where)),
        every_s=one.every.total_seconds(),
        timeout_s=one.timeout.total_seconds(),
        ordered=one.is_ordered,
        every_write=one.every_write,
        write_at=binder.site(aws.write_at, (*here, "write_at")) if aws else "",
        read_at=binder.site(aws.read_at, (*here, "read_at")) if aws else "",
        options=_options(one, where, binder),
        peak_per_s=one.peak_per_s,
    )


def _options(one: Data, where: Where, binder: Binder) -> Options:
    if one.s3 is not None:
        return Options(prefix=one.s3.prefix)
    if one.redis is not None:
        return Options(replicas=one.redis.replicas)
    if one.http is None:
        return Options()
    return Options(
        method=one.http.method or "",
        headers=tuple(Header(name, binder.text(value.text, (*where, *value.where))) for name, value in one.headers()),
        served_by=one.http.served_by.header if one.http.served_by else "",
    )
