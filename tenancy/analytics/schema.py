"""What a dataset's rows look like: declared by the tenant, or grown from the data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tenancy.analytics.types import DatasetKind, quarantine_of

EVENT_ID = "event_id"
EVENT_TIME = "event_time"
INGEST_TIME = "ingest_time"
OVERFLOW = "overflow"

TIMESTAMP = pa.timestamp("us", tz="UTC")

SYSTEM_COLUMNS: Mapping[str, pa.DataType] = {
    EVENT_ID: pa.string(),
    EVENT_TIME: TIMESTAMP,
    INGEST_TIME: TIMESTAMP,
    OVERFLOW: pa.map_(pa.string(), pa.string()),
}
"""Columns every dataset has, before its own; `overflow` keeps unknown fields as JSON-free text by name."""


class FieldType(StrEnum):
    """The types a column may have."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    STRINGS = "strings"
    """A list of strings."""
    BINARY = "binary"
    """Bytes as they came, as the `raw` row of a quarantine."""

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that holds it."""
        return _ARROW[self]


_ARROW: Mapping[FieldType, pa.DataType] = {
    FieldType.STRING: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.TIMESTAMP: TIMESTAMP,
    FieldType.STRINGS: pa.list_(pa.string()),
    FieldType.BINARY: pa.binary(),
}


class FieldSpec(BaseModel):
    """One column: its type and what its values must satisfy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: FieldType
    required: bool = False
    enum: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    """A regular expression (RE2 syntax) that must match the whole value."""
    max_length: int | None = Field(default=None, ge=1)
    """In characters."""


class Enrichment(BaseModel):
    """One enrichment step by name, with its options: see `tenancy.analytics.collection.enrichment`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    options: Mapping[str, Any] = Field(default_factory=dict)


class DatasetSchema(BaseModel):
    """One dataset of a tenant.

    >>> schema = DatasetSchema(name="plays", fields={"duration": FieldSpec(type=FieldType.INTEGER)})
    >>> schema.arrow().names
    ['event_id', 'event_time', 'ingest_time', 'overflow', 'duration']
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: DatasetKind = DatasetKind.EVENTS
    fields: Mapping[str, FieldSpec] = Field(default_factory=dict)
    extras: Literal["columns", "overflow", "quarantine"] = "columns"
    """What unknown fields become: new columns, entries of the overflow map, or a reason to refuse the row."""
    time_field: str = "timestamp"
    """The input field that gives the event's time (ISO 8601, or epoch in s, ms, µs or ns)."""
    id_field: str = EVENT_ID
    """The input field that gives the event's own id; rows without one are assigned a UUIDv7."""
    key: str | None = None
    """For dimension tables: the column that identifies a row; a later row of the same key replaces it."""
    allowed_lateness_hours: float = Field(default=24.0, gt=0)
    """An event this far behind the newest one seen is accepted and marked late."""
    enrichments: tuple[Enrichment, ...] = ()
    max_columns: int = Field(default=1_000, ge=1)
    """Beyond so many columns, unknown fields go to the overflow map."""

    @model_validator(mode="after")
    def _dimension_has_key(self) -> Self:
        if (self.kind is DatasetKind.DIMENSION) != (self.key is not None):
            raise ValueError("a dimension table names its key, and only a dimension table does")
        return self

    def arrow(self) -> pa.Schema:
        """The Arrow schema of stored rows: the system's columns, then the dataset's own in order."""
        own = [pa.field(name, spec.type.arrow) for name, spec in self.fields.items()]
        return pa.schema([pa.field(name, kind) for name, kind in SYSTEM_COLUMNS.items()] + own)

    def with_fields(self, new: Mapping[str, FieldSpec]) -> DatasetSchema:
        """The schema grown by `new` columns; what is there already stays as it is."""
        return self.model_copy(
            update={"fields": {**self.fields, **{n: s for n, s in new.items() if n not in self.fields}}}
        )


ERROR_FIELDS: Mapping[str, FieldSpec] = {
    "error_code": FieldSpec(type=FieldType.STRING),
    "error_field": FieldSpec(type=FieldType.STRING),
    "error_value": FieldSpec(type=FieldType.STRING),
    "error_remedy": FieldSpec(type=FieldType.STRING),
    "error_line": FieldSpec(type=FieldType.INTEGER),
    "raw": FieldSpec(type=FieldType.BINARY),
}
"""Columns of a quarantine that say why a row is there, and what it was, byte for byte."""


def quarantine_schema(schema: DatasetSchema) -> DatasetSchema:
    """The schema of what `schema` refuses: why, the row as it came, and the values that could be read.

    >>> plays = DatasetSchema(name="plays", fields={"duration": FieldSpec(type=FieldType.INTEGER, minimum=0)})
    >>> quarantine_schema(plays).arrow().names[4:]
    ['error_code', 'error_field', 'error_value', 'error_remedy', 'error_line', 'raw', 'duration']

    The dataset's own columns come last, so a column it grows is appended here too. They keep their types
    and lose their constraints. A column of the dataset named like one of `ERROR_FIELDS` (in any case, as
    SQL names go) is left out; its value is still in `raw`.
    """
    own = {n: FieldSpec(type=spec.type) for n, spec in schema.fields.items() if n.lower() not in ERROR_FIELDS}
    return DatasetSchema(
        name=quarantine_of(schema.name),
        kind=DatasetKind.QUARANTINE,
        fields={**ERROR_FIELDS, **own},
        max_columns=schema.max_columns + len(ERROR_FIELDS),
    )
