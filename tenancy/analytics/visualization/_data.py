"""Whatever holds rows, as a frame whose columns are numbers, times or categories and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Number
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa

from tenancy.analytics.errors import InvalidRequestError

NO_VALUE = "(no value)"
"""What a missing category is called."""

_ISO_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?",
)


class ColumnKind(Enum):
    """What the values of a column are."""

    NUMBER = "numbers"
    TIME = "times"
    CATEGORY = "texts"


@runtime_checkable
class HasArrow(Protocol):
    """Anything that can give its rows as an Arrow table, as a query's result."""

    def to_arrow(self) -> pa.Table: ...


def frame_of(data: object) -> pd.DataFrame:
    """The rows of a list of dictionaries, an Arrow table, a pandas frame, or a query's result.

    Numbers become float64 with NaN where there is none (infinities too: no axis reaches them); times lose their
    zone but keep the clock they were given in; everything else becomes text. ISO 8601 texts are times.
    Raises InvalidRequestError for anything that is not rows.
    """
    data = unwrapped(data)
    if isinstance(data, pa.Table):
        data = data.to_pandas(timestamp_as_object=False, date_as_object=True)
    if isinstance(data, pd.DataFrame):
        raw = data.reset_index(drop=True)
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes) and all(isinstance(r, Mapping) for r in data):
        # Columns as objects: pandas would guess, and make floats of large integers or fail on mixed values.
        raw = pd.DataFrame.from_records(list(data)).astype(object) if len(data) else pd.DataFrame()
    else:
        remedy = "give a list of dictionaries, an Arrow table, a pandas frame, or a query's result"
        raise InvalidRequestError("data", type(data).__name__, remedy)
    return pd.DataFrame({str(name): _column(raw[name]) for name in raw.columns}, index=raw.index)


def kind_of(column: pd.Series[Any]) -> ColumnKind:
    """What the values of a column of `frame_of` are."""
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return ColumnKind.TIME
    return ColumnKind.NUMBER if pd.api.types.is_float_dtype(column.dtype) else ColumnKind.CATEGORY


def unwrapped(data: object) -> object:
    """What holds the rows: the Arrow table of a result, anything else as it is."""
    if isinstance(data, HasArrow):
        data = data.to_arrow()
    return pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data


def zone_of(data: object, column: str) -> str | None:
    """The time zone a column of times was given in, where it says one by name."""
    if isinstance(data, pa.Table) and column in data.column_names:
        kind = data.schema.field(column).type
        return kind.tz if pa.types.is_timestamp(kind) else None
    if isinstance(data, pd.DataFrame) and column in data.columns:
        zone = getattr(data[column].dtype, "tz", None)
        return str(zone) if zone is not None else None
    return None


def _column(values: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_bool_dtype(values.dtype):
        named: pd.Series[Any] = values.map({True: "true", False: "false"}).astype(object)
        return named
    if pd.api.types.is_numeric_dtype(values.dtype):
        return _finite(pd.Series(values.to_numpy(np.float64, na_value=np.nan), index=values.index))
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        on_the_clock: pd.Series[Any] = values.dt.tz_localize(None)
        return on_the_clock
    if pd.api.types.is_datetime64_dtype(values.dtype):
        return values
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        seconds: pd.Series[Any] = values.dt.total_seconds()
        return seconds
    return _objects(values.astype(object))


def _objects(values: pd.Series[Any]) -> pd.Series[Any]:
    missing = values.isna()
    present = values[~missing]
    if present.empty:
        return pd.Series(np.nan, index=values.index, dtype=np.float64)
    if all(isinstance(v, bool | np.bool_) for v in present):
        return values.map(lambda v: None if pd.isna(v) else str(bool(v)).lower()).astype(object)
    if all(isinstance(v, Number | Decimal) and not isinstance(v, complex) for v in present):
        numbers = [np.nan if gone else _float(v) for v, gone in zip(values, missing, strict=True)]
        return _finite(pd.Series(numbers, index=values.index, dtype=np.float64))
    if all(isinstance(v, timedelta) for v in present):
        return pd.Series(
            [np.nan if g else v.total_seconds() for v, g in zip(values, missing, strict=True)], values.index
        )
    if all(isinstance(v, date) or (isinstance(v, str) and _ISO_TIME.fullmatch(v)) for v in present):
        times = pd.Series([None if g else _clock(v) for v, g in zip(values, missing, strict=True)], values.index)
        # Instants outside what pandas holds, or texts like 2025-13-45, are still worth showing: as texts.
        parsed = pd.to_datetime(times, errors="coerce")
        if parsed.isna().equals(missing):
            return parsed
    return pd.Series([None if g else str(v) for v, g in zip(values, missing, strict=True)], values.index, dtype=object)


def _clock(value: date | str) -> datetime | None:
    """The time on the clock of the zone that the value was given in."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return datetime(value.year, value.month, value.day)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.nan


def _finite(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.where(np.isfinite(values), np.nan)
