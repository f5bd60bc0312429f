"""The public interface, as its page says it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from tenancy.analytics import core
from tenancy.analytics.core import CoreAnalyticsManager, DataSourceType
from tenancy.analytics.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    UnavailableError,
    UnknownNameError,
)

COUNT = {"type": "aggregation", "metrics": ["count"]}


@pytest.fixture
def settings(tmp_path: Path, namespace: str) -> dict[str, Any]:
    return {"storage": {"root": str(tmp_path)}, "placement": {"namespace": namespace, "call_timeout_seconds": 60}}


@pytest.fixture
async def manager(settings: dict[str, Any]) -> AsyncIterator[CoreAnalyticsManager]:
    async with CoreAnalyticsManager(settings) as opened:
        await opened.register_tenant("tenant_001")
        yield opened


async def test_collect_ask_and_draw_as_the_public_interface_says(manager: CoreAnalyticsManager) -> None:
    await manager.register_tenant(
        "tenant_002",
        {
            "datasets": [{"name": "songs", "kind": "dimension", "key": "song_id"}],
            "model": {
                "default": "user_interactions",
                "datasets": {"user_interactions": {"joins": [{"dataset": "songs", "on": "song_id"}]}},
            },
        },
    )
    songs = pd.DataFrame({"song_id": ["song_456"], "genre": ["jazz"], "artist": ["A"]})
    await manager.collect_data("tenant_002", songs, DataSourceType.DATABASE, dataset="songs")

    receipts = await manager.collect_data(
        tenant_id="tenant_002",
        data={
            "user_id": "user_123",
            "action": "play_song",
            "song_id": "song_456",
            "timestamp": "2025-07-14T10:30:00Z",
            "duration": 180000,
        },
        source_type=DataSourceType.API,
    )
    result = await manager.execute_query(
        tenant_id="tenant_002",
        query={
            "type": "aggregation",
            "metrics": ["play_count", "avg_duration"],
            "dimensions": ["genre", "artist"],
            "time_range": {"start": "2025-07-01", "end": "2025-07-15"},
        },
    )
    daily = await manager.execute_query(
        "tenant_002", {"type": "timeseries", "metrics": ["play_count"], "group_by": ["genre"], "grain": "day"}
    )
    chart = await manager.create_visualization(
        tenant_id="tenant_002",
        chart_config={
            "type": "line",
            "title": "Song Popularity Trends",
            "x_axis": "date",
            "y_axis": "play_count",
            "group_by": "genre",
        },
        data=daily.data,
    )

    assert receipts.counts()["accepted"] == 1
    assert result.data == [{"genre": "jazz", "artist": "A", "play_count": 1, "avg_duration": 180000.0}]
    assert "Song Popularity Trends" in chart.to_html()


async def test_registering_again_is_harmless_unless_the_configuration_differs(manager: CoreAnalyticsManager) -> None:
    await manager.register_tenant("tenant_001")
    await manager.register_tenant("tenant_001", {"datasets": []})
    with pytest.raises(ConflictError):
        await manager.register_tenant("tenant_001", {"datasets": [{"name": "plays"}]})
    with pytest.raises(ConfigurationError, match="did you mean 'datasets'"):
        await manager.register_tenant("tenant_003", {"datasetz": []})


@pytest.mark.parametrize("name", ["../tenant_001", "tenant'001", "ténant", "", "x" * 64, 7])
async def test_a_name_that_no_tenant_may_have_is_refused_everywhere(manager: CoreAnalyticsManager, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        await manager.register_tenant(name)
    with pytest.raises(InvalidRequestError):
        await manager.collect_data(name, {"n": 1})
    with pytest.raises(InvalidRequestError):
        await manager.execute_query(name, COUNT)
    with pytest.raises(InvalidRequestError):
        await manager.create_visualization(name, {"type": "table"}, [{"n": 1}])


async def test_one_tenant_never_sees_what_another_wrote(manager: CoreAnalyticsManager) -> None:
    await manager.register_tenant("tenant_002")
    await manager.collect_data("tenant_001", [{"n": 1}, {"n": 2}])

    assert (await manager.execute_query("tenant_002", COUNT)).data == [{"count": 0}]
    assert (await manager.execute_query("tenant_001", COUNT)).data == [{"count": 2}]


async def test_an_unknown_source_type_names_the_known_ones(manager: CoreAnalyticsManager) -> None:
    with pytest.raises(InvalidRequestError, match="'stream'"):
        await manager.collect_data("tenant_001", {"n": 1}, source_type="steam")


async def test_a_deleted_tenant_is_gone_with_its_files(manager: CoreAnalyticsManager, tmp_path: Path) -> None:
    await manager.collect_data("tenant_001", {"n": 1})
    written = [path for path in tmp_path.rglob("*") if "tenant_001" in path.parts and path.is_file()]
    assert written

    await manager.delete_tenant("tenant_001")

    assert [path for path in written if path.exists()] == []
    with pytest.raises(UnknownNameError):
        await manager.execute_query("tenant_001", COUNT)
    assert await manager.tenants() == []


async def test_a_tenant_made_anew_after_its_deletion_is_empty(manager: CoreAnalyticsManager) -> None:
    await manager.collect_data("tenant_001", {"n": 1})
    await manager.delete_tenant("tenant_001")

    await manager.register_tenant("tenant_001")

    assert (await manager.execute_query("tenant_001", COUNT)).data == [{"count": 0}]


async def test_a_second_manager_joins_the_directory_and_must_have_its_settings(
    manager: CoreAnalyticsManager, settings: dict[str, Any], tmp_path: Path
) -> None:
    await manager.collect_data("tenant_001", {"n": 1})
    async with CoreAnalyticsManager(settings) as second:
        assert (await second.execute_query("tenant_001", COUNT)).data == [{"count": 1}]
    with pytest.raises(ConflictError, match="other settings"):
        await CoreAnalyticsManager({**settings, "storage": {"root": str(tmp_path / "other")}}).initialize()


async def test_before_it_is_initialized_and_after_it_is_closed_the_manager_says_so(settings: dict[str, Any]) -> None:
    manager = CoreAnalyticsManager(settings)
    with pytest.raises(UnavailableError, match="initialize"):
        await manager.execute_query("tenant_001", COUNT)
    await manager.initialize()
    await manager.close()
    await manager.close()
    with pytest.raises(UnavailableError, match="initialize"):
        await manager.register_tenant("tenant_001")


async def test_a_ray_that_was_there_goes_on_after_close(manager: CoreAnalyticsManager) -> None:
    import ray

    await manager.close()

    assert ray.is_initialized()


def test_a_ray_that_the_manager_started_ends_with_it(tmp_path: Path) -> None:
    program = f"""
import asyncio, ray
from tenancy.analytics.core import CoreAnalyticsManager

async def count(collect):
    async with CoreAnalyticsManager({{"storage": {{"root": {str(tmp_path)!r}}}}}) as manager:
        await manager.register_tenant("tenant_001")
        if collect:
            await manager.collect_data("tenant_001", [{{"n": 1}}, {{"n": 2}}])
        assert ray.is_initialized()
        answer = await manager.execute_query("tenant_001", {COUNT!r})
    assert not ray.is_initialized()
    return answer.data

first, second = asyncio.run(count(True)), asyncio.run(count(False))
assert first == second == [{{"count": 2}}], (first, second)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr


def test_every_name_the_door_exports_is_there() -> None:
    assert sorted(core.__all__) == core.__all__
    assert {cast("type", getattr(core, name)).__name__ for name in core.__all__} == set(core.__all__)
