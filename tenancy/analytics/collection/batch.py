"""From checked rows to what is appended and what is answered: ids, duplicates, lateness, quarantine, receipts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.collection.checks import Checked
from tenancy.analytics.collection.quarantine import quarantined
from tenancy.analytics.collection.reading import Reading
from tenancy.analytics.collection.uuid7 import first_id, id_texts
from tenancy.analytics.schema import EVENT_ID, EVENT_TIME, INGEST_TIME, OVERFLOW, TIMESTAMP, DatasetSchema
from tenancy.analytics.types import DatasetKind, Receipt, Receipts, ReceiptStatus

Mask = npt.NDArray[np.bool_]
Claim = Callable[[pa.Array], Mask]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one call comes to."""

    events: pa.Table
    """The rows to store."""
    claimed: pa.Array
    """Their own ids, claimed."""
    quarantined: pa.Table | None
    receipts: Receipts
    repeated: pa.Array
    """Ids of rows that were stored before."""


def settle(
    reading: Reading,
    checked: Checked,
    schema: DatasetSchema,
    now: datetime,
    watermark: datetime | None,
    claim: Claim,
    max_row_bytes: int,
) -> Batch:
    """Decides every row. The last thing it does that can be undone is to claim ids: nothing after that raises."""
    rows = reading.rows
    first = first_id(now)
    event_ids, own = _ids(checked.ids, first, rows)
    valid = np.ones(rows, dtype=bool)
    valid[list(checked.refusals)] = False
    table = _table(checked, reading.overflow, schema, event_ids, now)
    refused = np.flatnonzero(~valid)
    kept_aside = None
    if len(refused):
        kept_aside = quarantined(refused, checked.refusals, reading.raw, table, schema, max_row_bytes)
    late = _late(checked, schema, watermark, rows)

    duplicate = np.zeros(rows, dtype=bool)
    candidates = np.flatnonzero(valid & own)
    if len(candidates):
        duplicate[candidates] = claim(event_ids.take(pa.array(candidates)) if len(candidates) < rows else event_ids)
    keep = valid & ~duplicate
    receipts = Receipts(
        rows,
        _exceptions(reading, checked, event_ids, duplicate),
        first if rows else None,
        _packed(own),
        late=_packed(late & keep),
    )
    return Batch(
        events=table if keep.all() else table.filter(pa.array(keep)),
        claimed=event_ids.filter(pa.array(keep & own)),
        quarantined=kept_aside,
        receipts=receipts,
        repeated=event_ids.filter(pa.array(duplicate)),
    )


def _ids(own_ids: pa.Array | None, first: int, rows: int) -> tuple[pa.Array, Mask]:
    if own_ids is None or own_ids.null_count == rows:
        return id_texts(first, rows), np.zeros(rows, dtype=bool)
    if own_ids.null_count == 0:
        return own_ids, np.ones(rows, dtype=bool)
    return pc.coalesce(own_ids, id_texts(first, rows)), own_ids.is_valid().to_numpy(zero_copy_only=False)


def _table(
    checked: Checked, overflow: pa.Array | None, schema: DatasetSchema, event_ids: pa.Array, now: datetime
) -> pa.Table:
    rows = len(event_ids)
    ingested = pa.scalar(now, TIMESTAMP)
    ingest_times = pa.repeat(ingested, rows)
    event_times = checked.event_time
    if event_times is None:
        event_times = ingest_times
    elif event_times.null_count:
        event_times = pc.fill_null(event_times, ingested)
    given: Mapping[str, pa.Array | None] = {
        **checked.columns,
        EVENT_ID: event_ids,
        EVENT_TIME: event_times,
        INGEST_TIME: ingest_times,
        OVERFLOW: overflow,
    }
    target = schema.arrow()
    arrays = []
    for field in target:
        column = given.get(field.name)
        arrays.append(pa.nulls(rows, field.type) if column is None else column)
    return pa.Table.from_arrays(arrays, schema=target)


def _late(checked: Checked, schema: DatasetSchema, watermark: datetime | None, rows: int) -> Mask:
    """Events further behind the newest one seen before this batch than the dataset allows."""
    if watermark is None or checked.event_time is None or schema.kind is not DatasetKind.EVENTS:
        return np.zeros(rows, dtype=bool)
    oldest = pa.scalar(watermark - timedelta(hours=schema.allowed_lateness_hours), TIMESTAMP)
    behind = pc.fill_null(pc.less(checked.event_time, oldest), False)
    mask: Mask = behind.to_numpy(zero_copy_only=False)
    return mask


def _packed(mask: Mask) -> bytes:
    return np.packbits(mask).tobytes() if mask.any() else b""


def _exceptions(reading: Reading, checked: Checked, event_ids: pa.Array, duplicate: Mask) -> dict[int, Receipt]:
    statuses = dict.fromkeys(checked.refusals, ReceiptStatus.QUARANTINED)
    statuses |= dict.fromkeys(np.flatnonzero(duplicate).tolist(), ReceiptStatus.DUPLICATE)
    return {
        row: Receipt(row, status, event_ids[row].as_py(), reading.raw.line(row), checked.refusals.get(row))
        for row, status in sorted(statuses.items())
    }
