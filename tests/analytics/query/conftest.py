"""A tenant's data on a plain filesystem, in as many segments as a test likes."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fsspec import AbstractFileSystem

from tenancy.analytics.config import PerformanceConfig
from tenancy.analytics.query import DuckDBExecutor, QueryProcessor, SemanticModel
from tenancy.analytics.schema import SYSTEM_COLUMNS, DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage.snapshot import ColumnStats, Segment, Snapshot
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import DatasetKind

NOW = datetime(2025, 7, 15, 12, tzinfo=UTC)


class _File:
    """A position for each thread, as DuckDB's readers share a handle."""

    def __init__(self, path: Path, failure: Exception | None) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._at = threading.local()
        self._failure = failure
        self.size = os.fstat(self._fd).st_size

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at.value = offset + (self.size if whence == 2 else self.tell() if whence == 1 else 0)
        return self.tell()

    def tell(self) -> int:
        return getattr(self._at, "value", 0)

    def read(self, length: int = -1) -> bytes:
        if self._failure is not None:
            raise self._failure
        data = os.pread(self._fd, self.size if length < 0 else length, self.tell())
        self._at.value = self.tell() + len(data)
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    closed = False


class FolderFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files of one folder, as folder://name; `failures` are raised when the file they name is read."""

    protocol = "folder"
    cachable = False

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.failures: dict[str, Exception] = {}

    def path(self, url: str) -> Path:
        return self.root / str(self._strip_protocol(url))

    def open(self, path: str, mode: str = "rb", **_: Any) -> _File:
        return _File(self.path(path), self.failures.get(path))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self.path(path).stat().st_size, "type": "file"}

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self.path(path).stat().st_mtime, UTC)


class Data:
    """A `SnapshotSource` made of Arrow tables."""

    def __init__(self, filesystem: FolderFileSystem) -> None:
        self.filesystem = filesystem
        self.snapshots: dict[str, Snapshot] = {}

    def datasets(self) -> list[DatasetSchema]:
        return [s.schema for s in self.snapshots.values() if s.schema.kind is not DatasetKind.QUARANTINE]

    @contextmanager
    def snapshot(self, name: str) -> Iterator[Snapshot]:
        yield self.snapshots[name]

    def put(
        self,
        name: str,
        rows: pa.Table,
        *,
        cuts: Sequence[int] = (),
        buffered: int = 0,
        statistics: bool = True,
        kind: DatasetKind = DatasetKind.EVENTS,
        **options: Any,
    ) -> Snapshot:
        """The rows as a dataset: cut into segments at `cuts`, the last `buffered` rows in the buffer."""
        fields = {
            n: FieldSpec(type=_type(rows.schema.field(n).type)) for n in rows.column_names if n not in SYSTEM_COLUMNS
        }
        schema = DatasetSchema(name=name, kind=kind, fields=fields, **options)
        rows = complete(rows, schema)
        on_disk = len(rows) - buffered
        ends = sorted({min(cut, on_disk) for cut in cuts} | {on_disk})
        segments, start = [], 0
        for end in ends:
            if end > start:
                segments.append(self.segment(rows.slice(start, end - start), statistics=statistics))
            start = end
        snapshot = Snapshot(schema, tuple(segments), rows.slice(on_disk), uuid.uuid4().hex)
        self.snapshots[name] = snapshot
        return snapshot

    def segment(self, rows: pa.Table, *, statistics: bool = True) -> Segment:
        """The rows as one Parquet file."""
        name = f"{uuid.uuid4().hex}.parquet"
        path = self.filesystem.root / name
        pq.write_table(rows, path, compression="zstd", row_group_size=10_000)
        own = [n for n in rows.column_names if n not in SYSTEM_COLUMNS]
        times = pc.min_max(rows["event_time"]).as_py()
        return Segment(
            id=name,
            url=f"folder://{name}",
            rows=len(rows),
            bytes=path.stat().st_size,
            min_time=times["min"],
            max_time=times["max"],
            columns={n: _type(rows.schema.field(n).type).value for n in own},
            stats={n: _stats(rows[n]) for n in own} if statistics else {},
        )


def complete(rows: pa.Table, schema: DatasetSchema) -> pa.Table:
    """The rows with the system's columns, and those the schema has besides as nulls."""
    count = len(rows)
    arrays = []
    for field in schema.arrow():
        if field.name in rows.column_names:
            arrays.append(rows[field.name].cast(field.type))
        elif field.name == "event_id":
            arrays.append(pa.array([f"id-{i:08d}" for i in range(count)], field.type))
        elif field.name == "ingest_time" or field.name == "event_time":
            arrays.append(pa.array([NOW] * count, field.type))
        else:
            arrays.append(pa.nulls(count, field.type))
    return pa.table(arrays, schema=schema.arrow())


def _type(kind: pa.DataType) -> FieldType:
    return next((t for t in FieldType if t.arrow == kind), FieldType.STRING)


def _stats(column: pa.ChunkedArray) -> ColumnStats:
    if pa.types.is_list(column.type) or column.null_count == len(column):
        return ColumnStats(column.null_count)
    found = pc.min_max(column)
    if pa.types.is_timestamp(column.type):
        return ColumnStats(column.null_count, found["min"].value, found["max"].value)
    return ColumnStats(column.null_count, found["min"].as_py(), found["max"].as_py())


@pytest.fixture
def filesystem(tmp_path: Path) -> FolderFileSystem:
    return FolderFileSystem(tmp_path)


@pytest.fixture
def data(filesystem: FolderFileSystem) -> Data:
    return Data(filesystem)


@pytest.fixture
def executor(filesystem: FolderFileSystem) -> Iterator[DuckDBExecutor]:
    made = DuckDBExecutor(filesystem, PerformanceConfig(memory_limit_mb=512, cpu_limit_cores=2))
    yield made
    made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def ask(data: Data, executor: DuckDBExecutor, clock: ManualClock) -> Callable[..., Any]:
    """Runs a query over `data`: `ask({...})`, or `ask({...}, model=…)`."""

    def run(request: Mapping[str, Any], model: str = "", timeout_s: float = 30.0) -> Any:
        parsed = SemanticModel.from_yaml(model)
        return QueryProcessor("tenant_001", data, executor, lambda: parsed, clock).run(request, timeout_s=timeout_s)

    return run
