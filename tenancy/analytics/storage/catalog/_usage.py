"""Accounts of what a tenant used: additions by the hour, each made once however often it is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tenancy.analytics.storage.catalog import _rows
from tenancy.analytics.storage.catalog._scoped import Scoped
from tenancy.analytics.storage.catalog._tables import segments, usage, usage_marks
from tenancy.analytics.storage.catalog.values import UsageAddition, UsageRow

STORED = "stored_bytes"
"""What is not added up: the bytes of the live segments when the hour was last written."""

KEPT = timedelta(days=400)
_MARKS_KEPT = timedelta(days=2)


def add(scoped: Scoped, addition: UsageAddition, now: datetime) -> None:
    """Add amounts, unless the same source added this sequence or a later one already."""
    mark = scoped.first(usage_marks, usage_marks.c.source == addition.source)
    if mark is not None and mark.sequence >= addition.sequence:
        return
    if mark is None:  # a new source, which is rare: the time to forget what is old
        scoped.delete(usage, usage.c.hour < _rows.micros(now - KEPT))
        scoped.delete(usage_marks, usage_marks.c.at < _rows.micros(now - _MARKS_KEPT))
    scoped.insert(usage, _amounts(addition.amounts), existing="add")
    stored = {"hour": _rows.micros(hour_of(now)), "what": STORED, "amount": scoped.total(segments.c.bytes)}
    scoped.insert(usage, [stored], existing="replace")
    seen = {"source": addition.source, "sequence": addition.sequence, "at": _rows.micros(now)}
    scoped.insert(usage_marks, [seen], existing="replace")


def between(scoped: Scoped, start: datetime, end: datetime) -> list[UsageRow]:
    """What was used in the hours that begin at `start` or later and before `end`, in order."""
    within = usage.c.hour >= _rows.micros(start), usage.c.hour < _rows.micros(end)
    found = scoped.select(usage, *within, order_by=[usage.c.hour, usage.c.what])
    return [UsageRow(_rows.moment(row.hour), row.what, row.amount) for row in found]


def hour_of(time: datetime) -> datetime:
    """When the hour began that `time` is in.

    >>> from datetime import UTC
    >>> hour_of(datetime(2025, 7, 15, 10, 59, 59, tzinfo=UTC)).isoformat()
    '2025-07-15T10:00:00+00:00'
    """
    return time.replace(minute=0, second=0, microsecond=0)


def _amounts(amounts: Mapping[tuple[datetime, str], int]) -> list[dict[str, object]]:
    return [
        {"hour": _rows.micros(hour), "what": what, "amount": amount} for (hour, what), amount in sorted(amounts.items())
    ]
