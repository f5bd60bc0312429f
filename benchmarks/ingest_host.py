"""How fast one host collects: NDJSON batches of 1,000 events, validated, encrypted, synced, acknowledged.

The peer is chdb (ClickHouse in the process): `INSERT … FORMAT JSONEachRow` into a MergeTree of the same columns,
the same body, the same run, rounds taking turns. chdb neither encrypts nor, by default, syncs what it acknowledges.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from typing import Any

from chdb import session

from benchmarks.engines import an_engine
from benchmarks.report import Measurement, Report, at_least, median, percentile
from benchmarks.workload import ndjson
from tenancy.analytics.collection import Payload
from tenancy.analytics.engine import AnalyticsEngine

BATCH = 1_000
BATCHES = 200
ROUNDS = 7
CALLERS = 8
BODY = ndjson(BATCH)
COLUMNS = (
    "user_id String, action String, song_id String, timestamp DateTime64(6), duration Int64, "
    "country String, device String, completed Bool"
)


async def collect(engine: AnalyticsEngine, keys: Any, latencies: list[float]) -> float:
    """Events a second of one round."""
    payload = Payload.from_http(BODY, "application/x-ndjson")
    left = iter(range(BATCHES))

    async def caller() -> None:
        for _ in left:
            started = time.perf_counter()
            receipts = await engine.collect("user_interactions", payload, idempotency_key=f"key-{next(keys)}")
            latencies.append(time.perf_counter() - started)
            assert receipts.counts()["accepted"] == BATCH

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return BATCH * BATCHES / (time.perf_counter() - started)


def insert(peer: session.Session, table: str) -> float:
    """The peer's events a second of one round."""
    statement = f"INSERT INTO {table} SETTINGS date_time_input_format='best_effort' FORMAT JSONEachRow\n{BODY.decode()}"
    started = time.perf_counter()
    for _ in range(BATCHES):
        peer.query(statement)
    return BATCH * BATCHES / (time.perf_counter() - started)


async def measure() -> Report:
    with an_engine() as engine, tempfile.TemporaryDirectory(prefix="chdb-") as folder:
        peer = session.Session(folder)
        peer.query("CREATE DATABASE d ENGINE = Atomic")
        for table, settings in (
            ("plain", ""),
            ("synced", " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"),
        ):
            peer.query(f"CREATE TABLE d.{table} ({COLUMNS}) ENGINE = MergeTree ORDER BY timestamp{settings}")
        keys = itertools.count()
        latencies: list[float] = []
        await collect(engine, keys, [])
        insert(peer, "d.plain")
        ours, plain, synced = [], [], []
        for _ in range(ROUNDS):
            ours.append(await collect(engine, keys, latencies))
            plain.append(insert(peer, "d.plain"))
            synced.append(insert(peer, "d.synced"))
        peer.close()
        rate = median(ours)
        await engine.close()
    return Report(
        "ingest_host",
        (
            at_least("collect, 8 callers", rate, "events/s", 200_000),
            Measurement("collect, 8 callers, p50 of a batch", 1e3 * median(latencies), "ms"),
            Measurement("collect, 8 callers, p99 of a batch", 1e3 * percentile(latencies, 0.99), "ms"),
            Measurement("chdb insert", median(plain), "events/s"),
            Measurement("chdb insert, synced", median(synced), "events/s"),
            at_least("against chdb", rate / median(plain), "×", 1.5),
            Measurement("against chdb, synced", rate / median(synced), "×"),
        ),
    )


if __name__ == "__main__":
    asyncio.run(measure()).save()
