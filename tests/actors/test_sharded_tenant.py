"""A tenant on many shards, each served by an actor as any tenant is."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from actors.directory_handle import DirectoryHandle
from actors.shard_handle import ShardHandle
from actors.tenant_handle import TenantHandle
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import InvalidRequestError, UnknownNameError

COUNT = {"type": "aggregation", "metrics": ["count"]}
EVENTS = "user_interactions"


def plays(first: int, rows: int) -> Payload:
    return Payload.of([{"user_id": f"u{n}", "action": "play_song"} for n in range(first, first + rows)])


async def count(tenant: TenantHandle) -> int:
    (row,) = (await tenant.query(COUNT)).data
    found: int = row["count"]
    return found


async def test_calls_that_go_on_while_a_tenant_is_resharded_count_once(
    tenant: TenantHandle, directory: DirectoryHandle, config: AnalyticsConfig
) -> None:
    other = TenantHandle("tenant_001", config, directory)
    acknowledged: list[str | None] = []

    async def send(number: int) -> None:
        for batch in range(6):
            receipts = await (tenant if number % 2 else other).collect(EVENTS, plays(1_000 * number + 50 * batch, 50))
            acknowledged.extend(receipt.event_id for receipt in receipts)

    async def reshard() -> None:
        for shards in (3, 2):
            layout = await directory.reshard("tenant_001", shards)
            assert layout.shards == shards

    await asyncio.gather(reshard(), *(send(number) for number in range(4)))

    assert len(set(acknowledged)) == len(acknowledged) == 1_200
    assert await count(tenant) == await count(other) == 1_200
    assert [record.id for record in await directory.tenants()] == ["tenant_001"]


async def test_a_shard_whose_host_is_killed_is_served_by_the_next_one(
    tenant: TenantHandle, directory: DirectoryHandle, config: AnalyticsConfig
) -> None:
    await directory.reshard("tenant_001", 2)
    await tenant.collect(EVENTS, plays(0, 40), idempotency_key="k")
    await directory.move("tenant_001~1", "shared-1")
    status = await ShardHandle("tenant_001~1", config, directory).status()

    os.kill(status.pid, signal.SIGKILL)

    assert (await tenant.collect(EVENTS, plays(0, 40), idempotency_key="k")).replayed
    assert await count(tenant) == 40


async def test_a_tenant_that_is_deleted_takes_its_shards_along(
    tenant: TenantHandle, directory: DirectoryHandle, config: AnalyticsConfig
) -> None:
    await directory.reshard("tenant_001", 2)
    await tenant.collect(EVENTS, plays(0, 20))
    await directory.delete("tenant_001")
    for name in ("tenant_001", "tenant_001~1"):
        with pytest.raises(UnknownNameError):
            await ShardHandle(name, config, directory).query(COUNT)
    with pytest.raises(InvalidRequestError):
        await directory.register("tenant_001~1")
