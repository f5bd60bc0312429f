"""Fills the gaps of a time series: a row for every bucket and every group that was found."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.query.plan import Bucket, Kind, Plan
from tenancy.analytics.query.time_range import Interval, floor, floor_date, following, following_date, zone_of

MOST_CELLS = 2_000_000


def fill(plan: Plan, table: pa.Table, value: str) -> pa.Table:
    """`table` with the rows that are missing, in the same order; their metrics are null, or zero.

    The buckets are those of the plan's time range, or from the first found to the last where an end is open.
    Raises InvalidRequestError when there would be more than `MOST_CELLS` rows.
    """
    bucket = plan.outputs[0].of
    assert isinstance(bucket, Bucket)
    buckets = _buckets(bucket, plan.scan.time, table.column(0))
    names = [group.name for group in plan.outputs[1:]]
    groups = table.select(names).group_by(names).aggregate([]).select(names) if names else None
    count = 1 if groups is None else groups.num_rows
    if len(buckets) * count > MOST_CELLS:
        raise InvalidRequestError("query.fill", value, f"it makes {len(buckets) * count:,} rows; take a coarser grain")
    if not buckets or not count:
        return table
    grid: dict[str, pa.Array | pa.ChunkedArray] = {
        plan.outputs[0].name: pa.array(buckets, table.column(0).type).take(
            pa.array(np.repeat(np.arange(len(buckets)), count))
        )
    }
    order = np.tile(np.arange(count), len(buckets))
    if groups is not None:
        ordered = groups.take(pc.sort_indices(groups, sort_keys=[(name, "ascending") for name in names]))
        grid |= {name: ordered.column(name).take(pa.array(order)) for name in names}
    keys = [plan.outputs[0].name, *names]
    position = _positions(pa.table(grid), table, keys)
    filled = pa.table(grid)
    for measure in plan.measures:
        found = table.column(measure.name).take(position)
        if value == "zero" and measure.of.kind.is_number:
            missing = pc.is_null(position)
            found = pc.if_else(missing, pa.scalar(0, found.type), found)
        filled = filled.append_column(measure.name, found)
    return filled


def _buckets(bucket: Bucket, time: Interval, found: pa.ChunkedArray) -> list[Any]:
    zone = zone_of(bucket.zone)
    lowest, highest = pc.min_max(found).values() if len(found) else (pa.scalar(None), pa.scalar(None))
    low, high = lowest.as_py(), highest.as_py()
    dates = bucket.kind is Kind.DATE
    if time.start is not None:
        low = _of(bucket, time.start, zone)
    if time.end is not None:
        # The end is not included, so the last bucket is that of the moment before it.
        high = _of(bucket, time.end - datetime.resolution, zone)
    if low is None or high is None:
        return []
    buckets = [low]
    while buckets[-1] < high and len(buckets) <= MOST_CELLS:
        last = buckets[-1]
        buckets.append(following_date(last, bucket.unit) if dates else following(last, bucket.unit, zone))
    return buckets


def _of(bucket: Bucket, moment: datetime, zone: ZoneInfo) -> Any:
    if bucket.kind is Kind.DATE:
        return floor_date(moment.astimezone(zone).date(), bucket.unit)
    return floor(moment, bucket.unit, zone)


def _positions(grid: pa.Table, table: pa.Table, keys: list[str]) -> pa.Array:
    """Where each row of the grid is in the table; null where it is not."""
    there = {row: index for index, row in enumerate(zip(*(table.column(key).to_pylist() for key in keys), strict=True))}
    wanted = zip(*(grid.column(key).to_pylist() for key in keys), strict=True)
    return pa.array([there.get(row) for row in wanted], pa.int64())
