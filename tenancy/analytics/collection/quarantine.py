"""Rows that were refused: kept with the reason and byte for byte, so that they can be collected again.

A quarantine is append-only. When a row of it has been collected after all, a marker is appended: a row of the
same `event_id` whose `error_code` is `replayed`. What is pending is what has no marker:

    SELECT * FROM plays_quarantine WHERE error_code <> 'replayed' AND event_id NOT IN
        (SELECT event_id FROM plays_quarantine WHERE error_code = 'replayed')

The marker and the event are one append, so one is never there without the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.collection.reading import RawRows
from tenancy.analytics.schema import EVENT_ID, EVENT_TIME, INGEST_TIME, TIMESTAMP, DatasetSchema, quarantine_schema
from tenancy.analytics.types import Refusal

REPLAYED = "replayed"
"""The `error_code` of a marker."""


def quarantined(
    rows: npt.NDArray[np.int64],
    refusals: Mapping[int, Refusal],
    raw: RawRows,
    events: pa.Table,
    schema: DatasetSchema,
    max_row_bytes: int,
) -> pa.Table:
    """The quarantine's rows for `rows` of `events`, a table with every row of the batch."""
    kept = events.take(pa.array(rows))
    reasons = [refusals[row] for row in rows.tolist()]
    errors: dict[str, list[Any]] = {
        "error_code": [reason.code for reason in reasons],
        "error_field": [reason.field for reason in reasons],
        "error_value": [reason.value for reason in reasons],
        "error_remedy": [reason.remedy for reason in reasons],
        "error_line": [raw.line(row) for row in rows.tolist()],
        "raw": [raw.raw(row)[:max_row_bytes] for row in rows.tolist()],
    }
    return _in_order(schema, {name: kept[name] for name in kept.column_names}, errors, len(rows))


def markers(ids: pa.Array, now: datetime, schema: DatasetSchema) -> pa.Table:
    """What to append to the quarantine when the rows of these ids have been collected."""
    times = pa.array([now] * len(ids), TIMESTAMP)
    return _in_order(
        schema,
        {EVENT_ID: ids, EVENT_TIME: times, INGEST_TIME: times},
        {"error_code": [REPLAYED] * len(ids)},
        len(ids),
    )


def pending(rows: pa.Table) -> pa.Table:
    """The rows of a quarantine that were not collected since, in their order."""
    marks = pc.equal(rows["error_code"], REPLAYED)
    done = rows.filter(marks)[EVENT_ID].combine_chunks()
    return rows.filter(pc.invert(pc.or_(marks, pc.is_in(rows[EVENT_ID], done))))


def _in_order(
    schema: DatasetSchema, columns: Mapping[str, pa.Array], errors: Mapping[str, list[Any]], rows: int
) -> pa.Table:
    target = quarantine_schema(schema).arrow()
    arrays = []
    for field in target:
        if field.name in errors:
            arrays.append(pa.array(errors[field.name], field.type))
        elif field.name in columns:
            arrays.append(columns[field.name])
        else:
            arrays.append(pa.nulls(rows, field.type))
    return pa.Table.from_arrays(arrays, schema=target)
