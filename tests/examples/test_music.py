"""The generated plays hold exactly what they say was planted."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import orjson
import pandas as pd
import pytest

from examples import music
from examples.music import Music
from tenancy.analytics.clock import SystemClock
from tenancy.analytics.engine import TenantConfig


@pytest.fixture(scope="module")
def generated() -> Music:
    return music.generate(rows=60_000, seed=3)


@pytest.fixture(scope="module")
def good(generated: Music) -> pd.DataFrame:
    """Every row that is right, once."""
    found: dict[str, dict[str, Any]] = {}
    for line in generated.lines:
        row = _row(line)
        if row is not None:
            found[row["event_id"]] = row
    frame = pd.DataFrame(found.values())
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True)
    songs = pd.DataFrame(generated.songs)
    return frame.merge(songs, on="song_id", how="left", validate="many_to_one")


def _row(line: bytes) -> dict[str, Any] | None:
    """The row, if nothing is wrong with it by rules written down here once more."""
    try:
        row: dict[str, Any] = orjson.loads(line)
        time = datetime.fromisoformat(row["timestamp"])
    except (orjson.JSONDecodeError, ValueError):
        return None
    duration = row.get("duration", 0)
    right = "user_id" in row and row["action"] in music.ACTIONS and time < SystemClock().now()
    return row if right and isinstance(duration, int) and duration >= 0 else None


def test_the_same_seed_gives_the_same_bytes(generated: Music) -> None:
    assert music.generate(rows=2_000, seed=5) == music.generate(rows=2_000, seed=5)
    assert music.generate(rows=2_000, seed=5).lines != music.generate(rows=2_000, seed=6).lines


def test_rows_are_counted_exactly(generated: Music, good: pd.DataFrame) -> None:
    planted = generated.planted
    assert planted.rows == len(generated.lines) == 60_000
    assert planted.duplicates == 600
    assert sum(planted.dirty.values()) == 1_200
    assert min(planted.dirty.values()) > 0
    assert planted.accepted == len(good) == 60_000 - 600 - 1_200
    repeated = Counter(generated.lines)
    assert sum(count - 1 for count in repeated.values()) == planted.duplicates


def test_every_wrong_row_is_wrong(generated: Music) -> None:
    assert sum(_row(line) is None for line in generated.lines) == sum(generated.planted.dirty.values())


def test_plays_are_of_thirty_days_in_order(good: pd.DataFrame) -> None:
    days = good["timestamp"].dt.date
    assert days.min() == datetime(2025, 7, 1).date()
    assert days.max() == datetime(2025, 7, 30).date()
    assert days.nunique() == music.DAYS
    assert good["timestamp"].is_monotonic_increasing


def test_a_few_songs_are_most_of_the_plays(good: pd.DataFrame) -> None:
    plays = good["song_id"].value_counts(normalize=True)
    assert plays.head(music.SONGS // 10).sum() > 0.5
    assert good["genre"].notna().all()


def test_evenings_and_weekends_are_busy(good: pd.DataFrame) -> None:
    a_day = good["timestamp"].dt.date.value_counts().sort_index()
    weekend = pd.Series([day.isoweekday() >= 5 for day in a_day.index], index=a_day.index)
    assert a_day[weekend].mean() > 1.15 * a_day[~weekend].mean()
    germans = good[good["country"] == "DE"]["timestamp"].dt.tz_convert("Europe/Berlin").dt.hour.value_counts()
    assert germans[20] > 5 * germans[4]


def test_the_growing_genre_grows(generated: Music, good: pd.DataFrame) -> None:
    share = (good["genre"] == generated.planted.trend.genre).groupby(good["timestamp"].dt.date).mean()
    assert share.tail(5).mean() > 2 * share.head(5).mean()


def test_plays_break_off_where_and_when_the_incident_says(generated: Music, good: pd.DataFrame) -> None:
    incident = generated.planted.incident
    there = (good["country"] == incident.country) & (good["device"] == incident.device)
    then = (good["timestamp"] >= incident.start) & (good["timestamp"] < incident.end)
    plays = good["action"] == "play_song"
    broken = good[there & then & plays]
    assert len(broken) == incident.plays > 0
    assert broken["duration"].max() < 3_000
    assert good[~(there & then) & plays]["duration"].median() > 100_000


def test_batches_are_all_lines_in_order(generated: Music) -> None:
    batches = list(generated.batches(7_000))
    assert [batch.count(b"\n") for batch in batches] == [7_000] * 8 + [4_000]
    assert b"".join(batches).splitlines() == list(generated.lines)


def test_the_tenant_is_one() -> None:
    config = TenantConfig.load(music.tenant())
    assert [schema.name for schema in config.datasets] == ["user_interactions", "songs"]
    assert config.semantic_model() is not None
