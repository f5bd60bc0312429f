"""A file as batches. Where one ends depends on the file and the number of rows alone, so a resumed load cuts alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tenancy.analytics.errors import InvalidRequestError, UnsupportedMediaError

NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"

_TEXT = (".ndjson", ".jsonl")
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
_BLOCK = 8 * 1024 * 1024
_COLUMN = "In CSV column #"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows `start` to `start + rows` of a file, as the body of a request."""

    start: int
    rows: int
    body: bytes
    content_type: str
    done: float
    """The share of the file that ends with this batch, from 0 to 1."""


def fingerprint(path: Path) -> str:
    """A digest of a file's content (BLAKE2b, 16 bytes, in hex): another content is another source."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def batches(path: Path, batch_rows: int, start: int = 0) -> Iterator[Batch]:
    """The batches of an NDJSON, CSV or Parquet file from row `start` on, which is where a batch ended before.

    NDJSON and CSV may be compressed (`.gz`, `.zst`, `.bz2`, `.lz4`). Raises UnsupportedMediaError for other files,
    InvalidRequestError for one that is damaged.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSED.get(suffixes[-1]) if suffixes else None
    form = suffixes[-2] if compression and len(suffixes) > 1 else suffixes[-1] if suffixes else ""
    if form in _TEXT:
        return _lines(path, compression, batch_rows, start)
    if form == ".csv":
        return _tables(_csv(path, compression), batch_rows, start, path)
    if form in (".parquet", ".pq") and compression is None:
        return _tables(_parquet(path), batch_rows, start, path)
    raise UnsupportedMediaError(path.name, (".ndjson", ".jsonl", ".csv", ".parquet"))


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """A batch of two rows or more as two, of which the first has the fewer rows where they are not alike."""
    middle = batch.rows // 2
    first: bytes
    second: bytes
    if batch.content_type == NDJSON:
        lines = batch.body.split(b"\n", middle)
        second = lines.pop()
        first = b"\n".join(lines) + b"\n"
    else:
        with pa.ipc.open_stream(batch.body) as stream:
            table = stream.read_all()
        first, second = _stream(table.slice(0, middle)), _stream(table.slice(middle))
    return (
        replace(batch, rows=middle, body=first),
        replace(batch, start=batch.start + middle, rows=batch.rows - middle, body=second),
    )


def _lines(path: Path, compression: str | None, batch_rows: int, start: int) -> Iterator[Batch]:
    size = max(path.stat().st_size, 1)
    with path.open("rb") as file, pa.input_stream(file, compression=compression, buffer_size=_BLOCK) as plain:
        lines = _split(plain, path)
        for _ in islice(lines, start):
            pass
        while piece := list(islice(lines, batch_rows)):
            yield Batch(start, len(piece), b"".join(piece), NDJSON, min(file.tell() / size, 1.0))
            start += len(piece)


def _split(plain: pa.NativeFile, path: Path) -> Iterator[bytes]:
    """Whole lines, each with its end. Blank ones count: a receipt's line number is that of the file."""
    rest = b""
    try:
        while block := plain.read(_BLOCK):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield line + b"\n"
    except (OSError, pa.ArrowException) as error:
        raise InvalidRequestError(str(path), str(error), "give a whole file") from None
    if rest:
        yield rest


def _tables(read: Iterator[tuple[pa.RecordBatch, float]], batch_rows: int, start: int, path: Path) -> Iterator[Batch]:
    """Tables as Arrow IPC streams of `batch_rows` rows each, however the reader cut them."""
    waiting: list[pa.RecordBatch] = []
    held, skip, done = 0, start, 0.0
    try:
        for batch, done in read:
            skipped = min(skip, batch.num_rows)
            skip -= skipped
            waiting.append(batch.slice(skipped))
            held += batch.num_rows - skipped
            while held >= batch_rows:
                table = pa.Table.from_batches(waiting)
                yield Batch(start, batch_rows, _stream(table.slice(0, batch_rows)), ARROW, done)
                start += batch_rows
                held -= batch_rows
                waiting = table.slice(batch_rows).to_batches()
    except (OSError, pa.ArrowException) as error:
        raise InvalidRequestError(str(path), str(error), "give a whole file of this kind") from None
    if held:
        yield Batch(start, held, _stream(pa.Table.from_batches(waiting)), ARROW, 1.0)


def _parquet(path: Path) -> Iterator[tuple[pa.RecordBatch, float]]:
    with pq.ParquetFile(path) as file:
        rows, seen = max(file.metadata.num_rows, 1), 0
        for batch in file.iter_batches():
            seen += batch.num_rows
            yield batch, seen / rows


def _csv(path: Path, compression: str | None) -> Iterator[tuple[pa.RecordBatch, float]]:
    size = max(path.stat().st_size, 1)
    types = _csv_types(path, compression)
    with path.open("rb") as file, pa.input_stream(file, compression=compression) as plain:
        for batch in _open_csv(plain, types):
            yield batch, min(file.tell() / size, 1.0)


def _csv_types(path: Path, compression: str | None) -> dict[str, pa.DataType]:
    """The types of the columns, by the whole file: a column whose later values do not fit is widened to text.

    Arrow decides by the first block alone. Reading once more is cheap beside sending.
    """
    types: dict[str, pa.DataType] = {}
    while True:
        with pa.input_stream(path, compression=compression) as plain:
            reader = _open_csv(plain, types)
            try:
                for _ in reader:
                    pass
            except pa.ArrowInvalid as error:
                name = _column_at_fault(error, reader.schema)
                if name is None or types.get(name) == pa.string():
                    raise
                whole = pa.types.is_integer(reader.schema.field(name).type) and name not in types
                types[name] = pa.float64() if whole else pa.string()
            else:
                return {field.name: field.type for field in reader.schema}


def _open_csv(plain: pa.NativeFile, types: dict[str, pa.DataType]) -> pacsv.CSVStreamingReader:
    return pacsv.open_csv(
        plain,
        read_options=pacsv.ReadOptions(block_size=_BLOCK),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(column_types=types, strings_can_be_null=True),
    )


def _column_at_fault(error: pa.ArrowInvalid, schema: pa.Schema) -> str | None:
    text = str(error)
    if not text.startswith(_COLUMN):
        return None
    name: str = schema.names[int(text.removeprefix(_COLUMN).partition(":")[0])]
    return name


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body
