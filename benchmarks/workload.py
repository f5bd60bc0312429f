"""The events that benchmarks send: music plays of eight fields, always the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pyarrow as pa

START = datetime(2025, 7, 1, tzinfo=UTC)
COUNTRIES = ("DE", "US", "BR", "JP", "FR", "IN", "GB", "SE")
DEVICES = ("phone", "desktop", "tablet", "speaker")
SONGS = 50_000
GENRES = 25
ARTISTS = 5_000


def ndjson(rows: int, seed: int = 0) -> bytes:
    """`rows` plays as NDJSON, about 180 bytes each."""
    rng = np.random.default_rng(seed)
    users, songs = rng.integers(0, 100_000, rows), rng.zipf(1.3, rows) % SONGS
    durations, seconds = rng.integers(1_000, 400_000, rows), np.sort(rng.integers(0, 86_400, rows))
    return b"\n".join(
        orjson.dumps(
            {
                "user_id": f"user_{users[i]}",
                "action": "play_song",
                "song_id": f"song_{songs[i]}",
                "timestamp": (START + timedelta(seconds=int(seconds[i]))).isoformat(),
                "duration": int(durations[i]),
                "country": COUNTRIES[i % 8],
                "device": DEVICES[i % 4],
                "completed": bool(durations[i] > 30_000),
            }
        )
        for i in range(rows)
    )


def plays(rows: int, day: int) -> pa.Table:
    """`rows` plays of one day as a table, in the columns that `ndjson` becomes."""
    rng = np.random.default_rng(day)
    start = int((START + timedelta(days=day)).timestamp() * 1e6)
    at = np.sort(rng.integers(0, 86_400_000_000, rows)) + start
    durations = rng.integers(1_000, 400_000, rows)
    songs = pa.array([f"song_{i}" for i in range(SONGS)])
    users = pa.array([f"user_{i}" for i in range(100_000)])
    return pa.table(
        {
            "user_id": users.take(pa.array(rng.integers(0, 100_000, rows))),
            "action": pa.array(["play_song"]).take(pa.array(np.zeros(rows, dtype=np.int64))),
            "song_id": songs.take(pa.array(rng.zipf(1.3, rows) % SONGS)),
            "timestamp": pa.array(at, pa.timestamp("us", tz="UTC")),
            "duration": durations,
            "country": pa.array(COUNTRIES).take(pa.array(rng.integers(0, 8, rows))),
            "device": pa.array(DEVICES).take(pa.array(rng.integers(0, 4, rows))),
            "completed": durations > 30_000,
        }
    )


def songs() -> pa.Table:
    """The dimension table of the songs that are played."""
    index = np.arange(SONGS)
    return pa.table(
        {
            "song_id": [f"song_{i}" for i in index],
            "genre": [f"genre_{i % GENRES}" for i in index],
            "artist": [f"artist_{i % ARTISTS}" for i in index],
        }
    )
