"""Which shard a row belongs to, and a call's rows as one payload for each shard. Pure.

A row goes by the text of its key (`user_id` by default), a row without a key by its own event id, and a row with
neither, or one that is no event at all, by its bytes as they came. Nothing but the body and the layout decides, so
a call that is repeated is split the same way again, whatever was declared meanwhile.

    shard = BLAKE2b(text, 8 bytes, big-endian) mod shards

The text of a key is the JSON string itself, `true` or `false`, or a number as decimal text, where 7.0 is 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from tenancy.analytics.collection.lenient import lenient
from tenancy.analytics.collection.lines import Lines
from tenancy.analytics.collection.payload import Media, Payload
from tenancy.analytics.collection.portion import packed
from tenancy.analytics.collection.reader import lines_of
from tenancy.analytics.schema import EVENT_TIME, DatasetSchema
from tenancy.analytics.types import Refusal

Rows = npt.NDArray[np.int64]


def shard_by(text: bytes, shards: int) -> int:
    """The shard of a key's text; the same on every machine and for ever.

    >>> [shard_by(name.encode(), 4) for name in ("u1", "u2", "u3")]
    [1, 2, 3]
    """
    return int.from_bytes(blake2b(text, digest_size=8).digest()) % shards if shards > 1 else 0


def key_text(value: object) -> str | None:
    """What of a key's value is hashed; None where it is no key.

    >>> key_text("u1"), key_text(7), key_text(7.0), key_text(True), key_text(None), key_text("")
    ('u1', '7', '7', 'true', None, None)
    """
    match value:
        case str():
            return value or None
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case None | dict() | list():
            return None
    return str(value)


class Body(Protocol):
    """The rows of a call, to be dealt out."""

    @property
    def rows(self) -> int: ...

    def shards(self, key: str, id_field: str, shards: int) -> Rows:
        """The shard of each row."""
        ...

    def part(self, rows: Rows) -> tuple[Payload, bytes]:
        """Some rows as a payload, and their lines in the whole body, as `Portion.lines`."""
        ...

    def may_grow(self, schema: DatasetSchema) -> bool:
        """Whether a row may bring a column that the schema does not have; told at a glance, and rather too often."""
        ...


def body_of(payload: Payload) -> Body:
    """The rows of `payload`. Raises InvalidRequestError where it cannot be read as a whole."""
    if payload.media in (Media.ARROW, Media.TABLE):
        return TableBody(payload.table(), payload.media)
    return LinesBody(lines_of(payload), payload.media)


@dataclass(frozen=True)
class LinesBody:
    """Rows that came as JSON."""

    lines: Lines
    media: Media

    @property
    def rows(self) -> int:
        return len(self.lines.texts)

    def shards(self, key: str, id_field: str, shards: int) -> Rows:
        found = [
            shard_by(_text(row, key, id_field, raw), shards)
            for row, raw in zip(self._parsed, self.lines.texts, strict=True)
        ]
        return np.array(found, dtype=np.int64)

    def part(self, rows: Rows) -> tuple[Payload, bytes]:
        texts = [self.lines.texts[row] for row in rows.tolist()]
        if self.media is Media.JSON or not texts:
            return Payload(b"[" + b",".join(texts) + b"]", Media.JSON), self._numbers(rows)
        return Payload(b"\n".join(texts), Media.NDJSON), self._numbers(rows)

    def may_grow(self, schema: DatasetSchema) -> bool:
        if schema.extras != "columns":
            return False
        known = {*schema.fields, schema.time_field, schema.id_field, EVENT_TIME}
        shapes = {tuple(row) for row in self._parsed if row is not None}
        if not all(known.issuperset(shape) for shape in shapes):
            return True
        return any(text.count(b"{") > 1 for text in self.lines.texts)  # perhaps an object within

    def _numbers(self, rows: Rows) -> bytes:
        numbers = self.lines.numbers
        return b"" if numbers is None else packed([numbers[row] for row in rows.tolist()])

    @cached_property
    def _parsed(self) -> list[Mapping[str, Any] | None]:
        return [_object(text) for text in self.lines.texts]


@dataclass(frozen=True, slots=True)
class TableBody:
    """Rows that came as an Arrow table."""

    table: pa.Table
    media: Media

    @property
    def rows(self) -> int:
        count: int = self.table.num_rows
        return count

    def shards(self, key: str, id_field: str, shards: int) -> Rows:
        keys, ids = self._texts(key), self._texts(id_field)
        found = [
            shard_by((one or other or str(row)).encode("utf-8", "surrogatepass"), shards)
            for row, (one, other) in enumerate(zip(keys, ids, strict=True))
        ]
        return np.array(found, dtype=np.int64)

    def part(self, rows: Rows) -> tuple[Payload, bytes]:
        taken = self.table.take(pa.array(rows))
        if self.media is Media.TABLE:
            return Payload(taken, Media.TABLE), b""
        target = pa.BufferOutputStream()
        with pa.ipc.new_stream(target, taken.schema) as stream:
            stream.write_table(taken)
        return Payload(target.getvalue().to_pybytes(), Media.ARROW), b""

    def may_grow(self, schema: DatasetSchema) -> bool:
        known = {*schema.fields, schema.time_field, schema.id_field, EVENT_TIME}
        nested = any(pa.types.is_nested(field.type) for field in self.table.schema)
        return schema.extras == "columns" and (nested or not known.issuperset(self.table.column_names))

    def _texts(self, name: str) -> list[str | None]:
        if name not in self.table.column_names:
            return [None] * self.table.num_rows
        return [key_text(value) for value in self.table.column(name).to_pylist()]


def dealt(shards: Rows, rows: Rows) -> dict[int, Rows]:
    """`rows` by the shard they belong to, each in order.

    >>> dealt(np.array([1, 0, 1]), np.array([0, 1, 2]))
    {0: array([1]), 1: array([0, 2])}
    """
    of_rows = shards[rows]
    return {int(shard): rows[of_rows == shard] for shard in np.unique(of_rows)}


def sub_key(key: str, layout: int) -> str:
    """The idempotency key of a call's parts under one layout; under none it is the call's own.

    >>> sub_key("load-7", 0), sub_key("load-7", 2)
    ('load-7', 'load-7@2')
    """
    if layout == 0:
        return key
    made = f"{key}@{layout}"
    return made if len(made) <= 255 else f"{blake2b(key.encode(), digest_size=32).hexdigest()}@{layout}"


def _object(text: bytes) -> Mapping[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = lenient(text, "")
        value = None if isinstance(found, Refusal) else found
    return value if isinstance(value, dict) else None


def _text(row: Mapping[str, Any] | None, key: str, id_field: str, raw: bytes) -> bytes:
    if row is None:
        return raw
    text = key_text(row.get(key)) or key_text(row.get(id_field))
    return raw if text is None else text.encode("utf-8", "surrogatepass")
