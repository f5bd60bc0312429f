"""Threads, DuckDB and PyArrow read the same bytes, however they ask for them."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.fs import FSSpecHandler, PyFileSystem

from tenancy.analytics.errors import IntegrityError
from tenancy.analytics.storage._sources import RemoteSource
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.framing import FRAME_BYTES, SEALED_BYTES
from tenancy.analytics.testing import MemoryKeys

FOLDER = "tenancy://tenant_001/plays/segments"
URL = f"{FOLDER}/1.parquet"


@pytest.fixture(params=["local", "memory"])
def either(request: pytest.FixtureRequest, tmp_path: Path, keys: MemoryKeys) -> EncryptedFileSystem:
    if request.param == "local":
        return EncryptedFileSystem(LocalFileSystem(), str(tmp_path), keys)
    return EncryptedFileSystem(MemoryFileSystem(global_store=False, skip_instance_cache=True), "/root", keys)


def plays(rows: int, first: int = 0) -> pa.Table:
    number = np.arange(first, first + rows)
    return pa.table(
        {
            "id": number,
            "song": number * 7919 % 1000,
            "seconds": np.random.default_rng(first).normal(200, 40, rows),
            "text": pa.array([f"play {n} of song {n % 97}" for n in number]),
        }
    )


near_borders = st.builds(lambda frames, off: max(0, frames * FRAME_BYTES + off), st.integers(0, 9), st.integers(-3, 3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    size=st.one_of(near_borders, st.integers(0, 9 * FRAME_BYTES)),
    reads=st.lists(st.tuples(near_borders, st.one_of(near_borders, st.integers(0, 100))), max_size=12),
)
def test_any_read_equals_the_same_part_of_the_plaintext(
    either: EncryptedFileSystem, size: int, reads: list[tuple[int, int]]
) -> None:
    data = random.Random(size).randbytes(size)
    with either.open(URL, "wb") as file:
        file.write(data)
    with either.open(URL) as file:
        for start, length in reads:
            file.seek(start)
            assert file.read(length) == data[start : start + length]
            assert file.read(5) == data[start + length : start + length + 5] or start > size


def test_threads_that_share_a_handle_do_not_disturb_each_other(either: EncryptedFileSystem) -> None:
    data = random.Random(7).randbytes(12 * FRAME_BYTES + 1234)
    either.write_durable(URL, data)
    together = threading.Barrier(6)
    with either.open(URL) as file:

        def read(seed: int) -> None:
            chance = random.Random(seed)
            together.wait()
            for _ in range(150):
                start = chance.randrange(len(data))
                length = chance.choice([1, 100, FRAME_BYTES, chance.randrange(4 * FRAME_BYTES)])
                file.seek(start)
                assert file.read(length) == data[start : start + length]
                assert file.tell() == min(start + length, len(data))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(read, range(6)))


def test_only_the_frames_read_are_decrypted(fs: EncryptedFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    fs.write_durable(URL, bytes(20 * FRAME_BYTES))
    asked: list[int] = []
    preadv = os.preadv

    def counted(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        asked.append(sum(len(buffer) for buffer in buffers))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    with fs.open(URL) as file:
        for _ in range(100):
            file.seek(5 * FRAME_BYTES + 17)
            file.read(1000)
    assert sum(asked) < 3 * SEALED_BYTES


def test_small_reads_in_order_become_few_requests_to_a_remote_store(keys: MemoryKeys) -> None:
    asked: list[int] = []

    class Counted(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        cachable = False

        def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
            asked.append((end or 0) - (start or 0))
            whole: bytes = super().cat_file(path, start, end)
            return whole

    fs = EncryptedFileSystem(Counted(global_store=False), "/root", keys)
    data = os.urandom(64 * FRAME_BYTES)
    fs.write_durable(URL, data)
    with fs.open(URL) as file:
        pieces = []
        while piece := file.read(10_000):
            pieces.append(piece)
    assert b"".join(pieces) == data
    assert len(asked) < 16
    assert max(asked) <= RemoteSource.batch_frames * SEALED_BYTES


def test_duckdb_reads_concurrently_what_pyarrow_wrote(fs: EncryptedFileSystem) -> None:
    for number in range(4):
        with fs.open(f"{FOLDER}/{number}.parquet", "wb") as file:
            pq.write_table(plays(60_000, number * 60_000), file, row_group_size=20_000, compression="zstd")
    with duckdb.connect(config={"threads": 4}) as connection:
        connection.register_filesystem(fs)
        query = f"SELECT count(*), sum(id), count(DISTINCT song), max(text) FROM '{FOLDER}/*.parquet'"
        expected = (240_000, sum(range(240_000)), 1000, "play 99999 of song 89")

        def ask(_: int) -> object:
            return connection.cursor().execute(query).fetchone()

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(ask, range(12))) == {expected}


def test_duckdb_writes_what_it_reads(fs: EncryptedFileSystem) -> None:
    fs.makedirs(FOLDER)
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        connection.execute(f"COPY (SELECT range AS n FROM range(500000)) TO '{URL}' (FORMAT parquet)")
        assert connection.execute(f"SELECT count(*), sum(n) FROM '{URL}'").fetchone() == (500_000, 124_999_750_000)


def test_duckdb_fails_on_a_damaged_file_and_names_it(fs: EncryptedFileSystem, stored: Callable[[str], Path]) -> None:
    with fs.open(URL, "wb") as file:
        pq.write_table(plays(200_000), file)
    damaged = bytearray(stored(URL).read_bytes())
    damaged[2 * SEALED_BYTES] ^= 1
    stored(URL).write_bytes(damaged)
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        with pytest.raises(Exception, match=rf"IntegrityError: {URL} cannot be trusted"):
            connection.execute(f"SELECT max(text), sum(seconds), sum(id) FROM '{URL}'").fetchall()


def test_pyarrow_writes_and_reads_through_its_own_interface(either: EncryptedFileSystem) -> None:
    arrow = PyFileSystem(FSSpecHandler(either))
    table = plays(50_000)
    arrow.create_dir("tenant_001/plays/segments")
    pq.write_table(table, "tenant_001/plays/segments/1.parquet", filesystem=arrow, row_group_size=10_000)
    assert pq.read_table("tenant_001/plays/segments/1.parquet", filesystem=arrow) == table
    assert pq.read_table(URL, filesystem=arrow, columns=["song"]) == table.select(["song"])


def test_pyarrow_datasets_are_written_found_and_filtered(either: EncryptedFileSystem) -> None:
    arrow = PyFileSystem(FSSpecHandler(either))
    table = plays(30_000)
    ds.write_dataset(
        table,
        "tenant_001/plays/segments",
        filesystem=arrow,
        format="parquet",
        max_rows_per_file=10_000,
        max_rows_per_group=10_000,
    )
    found = ds.dataset("tenant_001/plays/segments", filesystem=arrow, format="parquet")
    assert len(found.files) == 3
    assert found.to_table().sort_by("id") == table
    assert found.to_table(filter=ds.field("id") >= 29_000).num_rows == 1000


def test_pyarrow_gets_the_error_of_ours(fs: EncryptedFileSystem, stored: Callable[[str], Path]) -> None:
    with fs.open(URL, "wb") as file:
        pq.write_table(plays(200_000), file)
    damaged = bytearray(stored(URL).read_bytes())
    damaged[SEALED_BYTES] ^= 1
    stored(URL).write_bytes(damaged)
    with pytest.raises(IntegrityError, match=URL):
        pq.read_table(URL, filesystem=PyFileSystem(FSSpecHandler(fs)))


def test_a_parquet_writer_that_fails_leaves_nothing(fs: EncryptedFileSystem) -> None:
    def write() -> None:
        with fs.open(URL, "wb") as file, pq.ParquetWriter(file, pa.schema([("n", pa.int64())])) as writer:
            writer.write_table(pa.table({"n": [1, 2, 3]}))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write()
    assert not fs.exists(URL)
