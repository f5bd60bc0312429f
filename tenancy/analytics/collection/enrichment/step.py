"""What an enrichment step is, and what it is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from tenancy.analytics.clock import Clock
from tenancy.analytics.errors import InvalidRequestError, UnavailableError, near
from tenancy.analytics.schema import DatasetSchema, FieldSpec

Lookups = Callable[[str], pa.Table]
"""The rows of a dimension table by its name, with the newest row of each key last."""
Recent = Callable[[str, Sequence[str], datetime], pa.Table]
"""Columns of a dataset's rows with an event time since then: (dataset, columns, since)."""


def no_lookups(dataset: str) -> pa.Table:
    """Where nobody wired dimension tables in."""
    raise UnavailableError(f"dimension table {dataset!r}", "this collector was given no way to read it")


def no_history(_dataset: str, columns: Sequence[str], _since: datetime) -> pa.Table:
    """Where nobody wired stored events in: as if there were none."""
    return pa.table({name: pa.array([], pa.null()) for name in columns})


@dataclass(frozen=True, slots=True)
class Context:
    """What a step may use."""

    schema: DatasetSchema
    clock: Clock
    lookups: Lookups
    recent: Recent


class Step(Protocol):
    """One enrichment: new columns computed from the rows of a batch."""

    @property
    def columns(self) -> Mapping[str, FieldSpec]:
        """What it writes."""
        ...

    def apply(self, events: pa.Table) -> Mapping[str, pa.Array]:
        """One array for each of `columns`, as long as `events`."""
        ...


class Options(BaseModel):
    """Options of a step: unknown ones are refused, with the nearest known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, step: str, given: Mapping[str, Any]) -> Any:
        """Raises InvalidRequestError that names the option."""
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            remedy = first["msg"]
            if first["type"] == "extra_forbidden":
                close = near(name, cls.model_fields) or tuple(cls.model_fields)
                remedy = f"did you mean {' or '.join(map(repr, close))}?"
            value = None if first["type"] == "missing" else first["input"]
            raise InvalidRequestError(f"enrichment {step!r}, option {name!r}", value, remedy) from None


def column_or_nulls(events: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    """A column as one array of `kind`; nulls where there is no such column."""
    if name not in events.column_names:
        return pa.nulls(events.num_rows, kind)
    joined = events[name].combine_chunks()
    values = pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined
    return values if values.type == kind else values.cast(kind)
