"""What a caller hands in: bytes or an Arrow table, cheap to send to another process."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeGuard
from uuid import UUID

import numpy as np
import orjson
import pyarrow as pa

from tenancy.analytics.errors import InvalidRequestError, PayloadTooLargeError, UnsupportedMediaError

if TYPE_CHECKING:
    import pandas as pd


class Media(StrEnum):
    """The form of a payload's body."""

    JSON = "json"
    """One object, or an array of objects, as bytes."""
    NDJSON = "ndjson"
    """One object a line, as bytes."""
    ARROW = "arrow"
    """An Arrow IPC stream, as bytes."""
    TABLE = "table"
    """A `pyarrow.Table`."""


_BY_CONTENT_TYPE: Mapping[str, Media] = {
    "application/json": Media.JSON,
    "application/x-ndjson": Media.NDJSON,
    "application/ndjson": Media.NDJSON,
    "application/jsonl": Media.NDJSON,
    "application/x-jsonlines": Media.NDJSON,
    "application/vnd.apache.arrow.stream": Media.ARROW,
}
SUPPORTED_CONTENT_TYPES = ("application/json", "application/x-ndjson", "application/vnd.apache.arrow.stream")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEVER_EMPTY = "send at least one event"


@dataclass(frozen=True, slots=True)
class Payload:
    """A body and its form.

    >>> Payload.of({"action": "play_song"})
    Payload(body=b'{"action":"play_song"}', media=<Media.NDJSON: 'ndjson'>)
    >>> Payload.from_http(b'{"action":"skip"}', "application/json; charset=utf-8").media
    <Media.JSON: 'json'>
    """

    body: bytes | pa.Table
    media: Media

    @classmethod
    def of(cls, data: object) -> Payload:
        """From a dictionary, a list of dictionaries, a pandas DataFrame, a pyarrow Table or RecordBatch.

        A Payload is returned as it is. Raises InvalidRequestError for anything else, and for a value inside
        a row that has no place in a column (it names the row).
        """
        match data:
            case Payload():
                return data
            case pa.Table():
                return cls(data, Media.TABLE)
            case pa.RecordBatch():
                return cls(pa.Table.from_batches([data]), Media.TABLE)
            case _ if _is_frame(data):
                return _of_frame(data)
            case Mapping():
                return cls(json_line(data, 0), Media.NDJSON)
            case [] | ():
                return cls(b"[]", Media.JSON)
            case list() | tuple():
                return cls(b"\n".join(json_line(row, index) for index, row in enumerate(data)), Media.NDJSON)
        raise InvalidRequestError(
            "data", type(data).__name__, "give a dict, a list of dicts, a pandas DataFrame or a pyarrow Table"
        )

    @classmethod
    def from_http(cls, body: bytes, content_type: str) -> Payload:
        """From a decompressed request body. Raises UnsupportedMediaError with the types that are supported."""
        media = _BY_CONTENT_TYPE.get(content_type.partition(";")[0].strip().lower())
        if media is None:
            raise UnsupportedMediaError(content_type, SUPPORTED_CONTENT_TYPES)
        return cls(body, media)

    @property
    def nbytes(self) -> int:
        """Bytes of the body."""
        size: int = len(self.body) if isinstance(self.body, bytes) else self.body.nbytes
        return size

    def expect_within(self, most: int) -> None:
        """Raises PayloadTooLargeError for a body of more bytes than `most`; a table, which is cut, may be larger."""
        if isinstance(self.body, bytes) and len(self.body) > most:
            raise PayloadTooLargeError(most)

    @property
    def rows_at_most(self) -> int:
        """The rows of the body, or for JSON a number they do not exceed, told at a glance."""
        if not isinstance(self.body, bytes):
            rows: int = self.body.num_rows
            return rows
        return self.body.count(b"\n") + 1 if self.media is Media.NDJSON else max(1, self.body.count(b"}"))

    def text(self) -> bytes:
        """The body as bytes, without a byte order mark. Raises InvalidRequestError when nothing is in it."""
        assert isinstance(self.body, bytes)
        body = self.body.removeprefix(_BYTE_ORDER_MARK)
        if not body or body.isspace():
            raise InvalidRequestError("body", "", f"it is empty; {_NEVER_EMPTY}")
        return body

    def table(self) -> pa.Table:
        """The body as an Arrow table. Raises InvalidRequestError when it is not a whole, valid Arrow IPC stream."""
        if not self.nbytes and isinstance(self.body, bytes):
            raise InvalidRequestError("body", "", f"it is empty; {_NEVER_EMPTY}")
        try:
            if isinstance(self.body, pa.Table):
                table = self.body
            else:
                with pa.ipc.open_stream(self.body) as stream:
                    table = stream.read_all()
            # Offsets, lengths and text inside are the caller's: unchecked, they read outside of the buffers.
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidRequestError("body", str(error), "send one whole, valid Arrow IPC stream") from None
        twice = [name for name, count in Counter(table.column_names).items() if count > 1]
        if twice:
            raise InvalidRequestError("body", twice[0], "give each column once")
        return table

    def fingerprint(self, dataset: str) -> bytes:
        """A digest of the body and where it goes (BLAKE2b, 16 bytes): equal for a retry, different for new data."""
        digest = hashlib.blake2b(f"{self.media}:{dataset}:".encode(), digest_size=16)
        if isinstance(self.body, bytes):
            digest.update(self.body)
        else:
            target = pa.BufferOutputStream()
            with pa.ipc.new_stream(target, self.body.schema) as stream:
                stream.write_table(self.body)
            digest.update(target.getvalue())
        return digest.digest()

    def slices(self, rows: int) -> Iterator[Payload]:
        """A table in pieces of `rows` rows, in order; a body of bytes in one piece."""
        if not isinstance(self.body, pa.Table) or self.body.num_rows <= rows:
            yield self
            return
        for start in range(0, self.body.num_rows, rows):
            yield Payload(self.body.slice(start, rows), self.media)

    def __reduce__(self) -> tuple[Any, ...]:
        # A slice pickles with the whole buffers it looks into; as a stream only its own rows travel.
        if isinstance(self.body, bytes):
            return Payload, (self.body, self.media)
        target = pa.BufferOutputStream()
        with pa.ipc.new_stream(target, self.body.schema) as stream:
            stream.write_table(self.body)
        return _of_stream, (target.getvalue().to_pybytes(),)


def _of_stream(stream: bytes) -> Payload:
    with pa.ipc.open_stream(stream) as reader:
        return Payload(reader.read_all(), Media.TABLE)


def _is_frame(data: object) -> TypeGuard[pd.DataFrame]:
    """Whoever has a data frame has loaded pandas; hosts never do, which saves each of them 32 MB."""
    loaded = sys.modules.get("pandas")
    return loaded is not None and isinstance(data, loaded.DataFrame)


def _of_frame(frame: pd.DataFrame) -> Payload:
    named = frame.rename(columns=str)
    try:
        return Payload(pa.Table.from_pandas(named, preserve_index=False), Media.TABLE)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # A column of mixed objects: row by row, each can be judged on its own.
        return Payload.of(named.astype(object).where(named.notna(), None).to_dict("records"))


def json_line(row: object, index: int) -> bytes:
    """One row as JSON. orjson writes NaN as null, so a row that shows a null is written by the slower, exact way."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)
        if b"null" not in line:
            return line
    except (TypeError, ValueError):
        pass  # lone surrogates, integers over 64 bits, keys that are no strings, types unknown to orjson
    try:
        return json.dumps(row, default=_plain, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"data[{index}]", str(error), "give text, numbers, booleans, times, lists and dicts of them"
        ) from None


def _plain(value: object) -> object:
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case np.generic():
            return value.item()
        case np.ndarray():
            return value.tolist()
        case Decimal():
            return float(value)
        case UUID():
            return str(value)
        case Mapping():
            return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} has no place in a column")
