"""The bytes of one object of the write-ahead log: what each batch was, then all their rows as Arrow IPC.

    magic 8 · batches u32 · bytes of events u64 · bytes of quarantined rows u64
    for each batch: sizes, times, idempotency key, fingerprint, receipts, digests of claimed ids
    events as one Arrow IPC stream, quarantined rows as another where there are any

Numbers are little-endian. Batches share one stream, since a stream of its own for each would cost more than
the rows of a small one; a batch's rows are found by counting. The object is authenticated by the encrypted
filesystem it is written through, so a checksum of its own would check nothing more.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from tenancy.analytics.errors import IntegrityError
from tenancy.analytics.storage.catalog import IdempotencyRecord

MAGIC = b"TNCYWAL1"
DIGEST_BYTES = 16

_HEAD = struct.Struct("<8sIQQ")
_BATCH = struct.Struct("<qIIIB")
"""Time in µs, rows of events, rows of the quarantine, digests, whether an idempotency record follows."""
_ANSWER = struct.Struct("<qIII")
"""Time in µs, bytes of key, fingerprint and receipts."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Measured on 1,000 rows of 8 columns: LZ4 0.08 ms, zstd 0.3 ms, and the log is soon deleted.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class LogBatch:
    """One batch, without its rows. `digests` are the claimed ids', 16 bytes each, accepted at `at`."""

    at: datetime
    event_rows: int
    quarantined_rows: int
    digests: bytes
    idempotency: IdempotencyRecord | None


@dataclass(frozen=True, slots=True)
class LogObject:
    """The batches of one group commit, and their rows in the same order."""

    batches: tuple[LogBatch, ...]
    events: pa.Table
    quarantined: pa.Table | None

    def parts(self) -> Iterator[tuple[LogBatch, pa.Table, pa.Table | None]]:
        """Each batch with its own rows."""
        event, refused = 0, 0
        for batch in self.batches:
            quarantined = self.quarantined.slice(refused, batch.quarantined_rows) if self.quarantined else None
            yield batch, self.events.slice(event, batch.event_rows), quarantined
            event += batch.event_rows
            refused += batch.quarantined_rows


def encode(batches: Sequence[LogBatch], events: pa.Table, quarantined: pa.Table | None) -> pa.Buffer:
    """The bytes of an object."""
    sink = pa.BufferOutputStream()
    sink.write(_HEAD.pack(MAGIC, len(batches), 0, 0))
    sink.write(b"".join(part for batch in batches for part in _batch_bytes(batch)))
    start = sink.tell()
    _write_stream(sink, events)
    middle = sink.tell()
    if quarantined is not None:
        _write_stream(sink, quarantined)
    end = sink.tell()
    data = sink.getvalue()
    # The sizes are known only now; the buffer is ours alone until it is returned.
    _HEAD.pack_into(memoryview(data), 0, MAGIC, len(batches), middle - start, end - middle)
    return data


def decode(data: bytes, url: str) -> LogObject:
    """The object again. Raises IntegrityError, naming `url`, for anything that `encode` did not make."""
    try:
        return _decode(memoryview(data))
    except (ValueError, struct.error, pa.ArrowInvalid, OSError) as error:
        raise IntegrityError(url, f"it is not an object of the write-ahead log ({error})") from error


def _decode(data: memoryview) -> LogObject:
    magic, count, event_bytes, quarantined_bytes = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"it begins with {bytes(magic)!r}")
    batches = []
    at = _HEAD.size
    for _ in range(count):
        batch, at = _read_batch(data, at)
        batches.append(batch)
    if at + event_bytes + quarantined_bytes != len(data):
        raise ValueError(f"it has {len(data)} bytes instead of {at + event_bytes + quarantined_bytes}")
    events = _read_stream(data[at : at + event_bytes])
    quarantined = _read_stream(data[at + event_bytes :]) if quarantined_bytes else None
    rows = sum(batch.event_rows for batch in batches), sum(batch.quarantined_rows for batch in batches)
    found = events.num_rows, quarantined.num_rows if quarantined is not None else 0
    if rows != found:
        raise ValueError(f"it has {found} rows instead of {rows}")
    return LogObject(tuple(batches), events, quarantined)


def _batch_bytes(batch: LogBatch) -> Iterator[bytes]:
    answer = batch.idempotency
    digests = len(batch.digests) // DIGEST_BYTES
    yield _BATCH.pack(micros(batch.at), batch.event_rows, batch.quarantined_rows, digests, answer is not None)
    if answer is not None:
        key = answer.key.encode()
        yield _ANSWER.pack(micros(answer.created_at), len(key), len(answer.fingerprint), len(answer.receipts))
        yield from (key, answer.fingerprint, answer.receipts)
    yield batch.digests


def _read_batch(data: memoryview, at: int) -> tuple[LogBatch, int]:
    time, event_rows, quarantined_rows, digests, answered = _BATCH.unpack_from(data, at)
    at += _BATCH.size
    answer = None
    if answered:
        created, *sizes = _ANSWER.unpack_from(data, at)
        at += _ANSWER.size
        texts = []
        for size in sizes:
            texts.append(_piece(data, at, size))
            at += size
        answer = IdempotencyRecord(texts[0].decode(), texts[1], texts[2], moment(created))
    ids = _piece(data, at, digests * DIGEST_BYTES)
    return LogBatch(moment(time), event_rows, quarantined_rows, ids, answer), at + len(ids)


def _piece(data: memoryview, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ValueError(f"it ends within a batch, at {len(data)}")
    return bytes(data[at : at + size])


def _write_stream(sink: pa.BufferOutputStream, table: pa.Table) -> None:
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as stream:
        stream.write_table(table)


def _read_stream(data: memoryview) -> pa.Table:
    # In this thread: most objects are small, and waiting for Arrow's threads took 8 ms on a busy machine.
    options = pa.ipc.IpcReadOptions(use_threads=False)
    with pa.ipc.open_stream(pa.py_buffer(data), options=options) as stream:
        return stream.read_all()


def micros(time: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The time again."""
    return _EPOCH + timedelta(microseconds=microseconds)
