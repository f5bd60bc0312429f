"""How much encryption, catalog and semantic layer cost a large scan: 20 million events in 20 encrypted segments.

The peer is bare DuckDB, the same version with the same threads and memory, on the same rows in plain Parquet of the
same layout, and the SQL that one would write by hand. Runs take turns.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.engines import an_engine
from benchmarks.report import Measurement, Report, at_most, median
from benchmarks.workload import plays, songs
from tenancy.analytics.collection import Payload
from tenancy.analytics.engine import AnalyticsEngine
from tenancy.analytics.storage.snapshot import Segment

SEGMENTS = 20
ROWS = 1_000_000
RUNS = 9
TENANT_SETTINGS = {
    "datasets": [{"name": "user_interactions"}, {"name": "songs", "kind": "dimension", "key": "song_id"}]
}
SETTINGS = {
    "storage": {
        "flush_rows": 100_000_000,
        "flush_bytes": 2**33,
        "flush_age_seconds": 1e6,
        "segment_target_bytes": 1024,
    },
    "analytics_engine": {"batch_size": 1_000_000},
    "data_collection": {"buffer_size": 2_000_000, "max_in_flight_bytes": 2**32, "anomaly_detection_enabled": False},
}
QUESTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "join and group by": (
        {
            "type": "aggregation",
            "metrics": ["play_count", "avg_duration"],
            "dimensions": ["genre", "country"],
            "limit": 1000,
        },
        """SELECT s.genre, e.country, count(*) FILTER (e.action = 'play' OR starts_with(e.action, 'play_')),
        avg(e.duration) FROM events e LEFT JOIN songs s USING (song_id) GROUP BY ALL ORDER BY 3 DESC LIMIT 1000""",
    ),
    "group by": (
        {"type": "aggregation", "metrics": ["count", "sum_duration"], "dimensions": ["country", "device"]},
        "SELECT country, device, count(*), sum(duration) FROM events GROUP BY ALL",
    ),
    "one day of twenty": (
        {
            "type": "aggregation",
            "metrics": ["count", "avg_duration"],
            "dimensions": ["genre"],
            "time_range": {"start": "2025-07-10", "end": "2025-07-11"},
        },
        """SELECT s.genre, count(*), avg(e.duration) FROM events e LEFT JOIN songs s USING (song_id)
        WHERE event_time >= '2025-07-10' AND event_time < '2025-07-11' GROUP BY ALL""",
    ),
}


async def fill(engine: AnalyticsEngine, plain: Path) -> None:
    """Collect the rows through the engine, one segment a day, and write each segment's rows as plain Parquet too."""
    await engine.collect("songs", Payload.of(songs()))
    pq.write_table(songs(), plain / "songs.parquet")
    for day in range(SEGMENTS):
        await engine.collect("user_interactions", Payload.of(plays(ROWS, day)))
        await engine.flush()
    with engine._store.snapshot("user_interactions") as snapshot:
        for segment in snapshot.segments:
            copy_plain(engine, segment, plain)


def copy_plain(engine: AnalyticsEngine, segment: Segment, plain: Path) -> None:
    """The very bytes of the segment's Parquet file, without the encryption."""
    with engine._resources.backing.filesystem.open(segment.url, "rb") as source:
        (plain / f"events-{segment.id}.parquet").write_bytes(source.read())


async def measure() -> Report:
    with an_engine(SETTINGS, TENANT_SETTINGS) as engine, tempfile.TemporaryDirectory(prefix="plain-") as folder:
        started = time.perf_counter()
        await fill(engine, Path(folder))
        filled = SEGMENTS * ROWS / (time.perf_counter() - started)
        performance = engine._resources.config.performance
        bare = duckdb.connect(
            config={
                "threads": min(performance.cpu_limit_cores, os.cpu_count() or 1),
                "memory_limit": f"{performance.memory_limit_mb}MB",
            }
        )
        bare.execute("SET TimeZone = 'UTC'")
        bare.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{folder}/events-*.parquet')")
        bare.execute(f"CREATE VIEW songs AS SELECT * FROM read_parquet('{folder}/songs.parquet')")
        found = [Measurement("load of tables of 1,000,000 rows, and flush", filled, "events/s")]
        for name, (request, sql) in QUESTIONS.items():
            ours, peer = [], []
            for run in range(RUNS):
                started = time.perf_counter()
                answer = (await engine.query(request)).to_arrow()
                ours.append(time.perf_counter() - started)
                started = time.perf_counter()
                expected: pa.Table = bare.sql(sql).to_arrow_table()
                peer.append(time.perf_counter() - started)
                assert answer.num_rows == expected.num_rows, (run, answer.num_rows, expected.num_rows)
            found += [
                Measurement(f"{name}: here", 1e3 * median(ours), "ms"),
                Measurement(f"{name}: bare DuckDB on plain Parquet", 1e3 * median(peer), "ms"),
                at_most(f"{name}: ratio", median(ours) / median(peer), "×", 1.25),
            ]
        await engine.close()
    return Report("scan", tuple(found))


if __name__ == "__main__":
    asyncio.run(measure()).save()
