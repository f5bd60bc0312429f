"""What a query gives: Arrow inside, and every other form on demand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:  # hosts never load pandas, which saves each of them 32 MB
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ResultField:
    """One column of a result: its name, type (`string`, `integer`, `date`, …) and what it is."""

    name: str
    type: str
    role: Literal["dimension", "metric", "time", "column"]


@dataclass(frozen=True, slots=True)
class QueryStats:
    """What the query cost."""

    rows_scanned: int
    """Rows of the segments and the buffer that were read, before filters."""
    bytes_scanned: int
    """Size of the segments read, plus the buffer's columns in memory."""
    segments_total: int
    segments_pruned: int
    rows_returned: int
    truncated: bool
    """Whether there are more rows than the limit let through."""
    plan_ms: float
    execute_ms: float
    total_ms: float


@dataclass(frozen=True)
class QueryResult:
    """The rows of a query. Pickles, and holds no connection."""

    table: pa.Table
    schema: tuple[ResultField, ...]
    stats: QueryStats
    sql: str
    next_cursor: str | None = None
    """For `rows`: what gives the next page; None on the last."""

    @cached_property
    def data(self) -> list[dict[str, Any]]:
        """The rows as dictionaries of JSON's types: times and dates as ISO 8601 text, NaN and infinities as None."""
        columns = {field.name: _plain(self.table.column(index), field.type) for index, field in enumerate(self.schema)}
        names = tuple(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a data frame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def __len__(self) -> int:
        rows: int = self.table.num_rows
        return rows

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "data"}


def _plain(column: pa.ChunkedArray, kind: str) -> list[Any]:
    values: list[Any] = column.to_pylist()
    convert = _CONVERTERS.get(kind)
    if convert is None:
        return values
    if kind == "float" and pc.all(pc.is_finite(column)).as_py():
        return values
    return [None if value is None else convert(value) for value in values]


def _text(value: date | datetime) -> str:
    return value.isoformat()


def _escaped(value: bytes) -> str:
    """Bytes as the UTF-8 text they are; what is no text is escaped, as `\\xff`."""
    return value.decode("utf-8", "backslashreplace")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "timestamp": _text,
    "date": _text,
    "float": _finite,
    "map": dict,
    "binary": _escaped,
}
