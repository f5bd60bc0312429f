"""One contract, on the plain engine and through the actor; then what only the actor can do."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pytest

from actors.directory_handle import DirectoryHandle
from actors.tenant_handle import TenantHandle
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.errors import IdempotencyMismatchError, InvalidRequestError, UnknownNameError
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.types import DataSourceType

Tenant: TypeAlias = AnalyticsEngine | TenantHandle

PLAYS = [
    {"user_id": f"u{n % 3}", "action": "play_song", "duration": n, "timestamp": f"2025-07-15T10:{n:02d}:00Z"}
    for n in range(30)
]
COUNT = {"type": "aggregation", "metrics": ["count"]}


@pytest.fixture(params=["engine", "actor"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tenant]:
    if request.param == "actor":
        config = request.getfixturevalue("config")
        await DirectoryHandle(config).register("tenant_001")
        yield TenantHandle("tenant_001", config)
        return
    resources = HostResources.open(AnalyticsConfig.load({"storage": {"root": str(tmp_path)}}, {}))
    resources.backing.register("tenant_001", {})
    engine = await asyncio.to_thread(AnalyticsEngine.open, "tenant_001", resources)
    yield engine
    await engine.close()
    resources.close()


async def count(tenant: Tenant, dataset: str = "user_interactions") -> int:
    (row,) = (await tenant.query({**COUNT, "dataset": dataset})).data
    found: int = row["count"]
    return found


async def test_a_tenant_without_configuration_answers_before_and_after_its_first_event(served: Tenant) -> None:
    assert await count(served) == 0

    receipts = await served.collect("user_interactions", Payload.of(PLAYS))

    assert receipts.counts()["accepted"] == 30
    asked = {"type": "aggregation", "metrics": ["play_count", "avg_duration"], "dimensions": ["user_id"]}
    assert (await served.query(asked)).data == [
        {"user_id": f"u{user}", "play_count": 10, "avg_duration": 13.5 + user} for user in range(3)
    ]


async def test_a_call_repeated_with_its_key_is_counted_once(served: Tenant) -> None:
    first = await served.collect("user_interactions", Payload.of(PLAYS), idempotency_key="k")
    again = await served.collect("user_interactions", Payload.of(PLAYS), idempotency_key="k")

    assert [receipt.event_id for receipt in again] == [receipt.event_id for receipt in first]
    assert await count(served) == 30
    with pytest.raises(IdempotencyMismatchError):
        await served.collect("user_interactions", Payload.of(PLAYS[:1]), idempotency_key="k")


async def test_a_table_larger_than_a_batch_gets_a_receipt_and_an_id_for_every_row(served: Tenant) -> None:
    table = pa.table({"n": pa.array(range(25_000)), "timestamp": pa.array(["2025-07-15T10:00:00Z"] * 25_000)})

    receipts = await served.collect(
        "user_interactions", Payload.of(table), source=DataSourceType.FILES, idempotency_key="load"
    )
    again = await served.collect(
        "user_interactions", Payload.of(table), source=DataSourceType.FILES, idempotency_key="load"
    )

    ids = [receipt.event_id for receipt in receipts]
    assert len(set(ids)) == 25_000
    assert [receipt.event_id for receipt in again] == ids
    assert await count(served) == 25_000


async def test_an_unknown_dataset_names_the_nearest(served: Tenant) -> None:
    with pytest.raises(UnknownNameError) as caught:
        await served.collect("user_interaction", Payload.of(PLAYS))
    assert caught.value.suggestions == ("user_interactions",)
    with pytest.raises(UnknownNameError) as caught:
        await served.query({**COUNT, "dataset": "user_interaction"})
    assert caught.value.suggestions == ("user_interactions",)


async def test_what_is_refused_is_shown_and_collected_again_after_a_fix(served: Tenant) -> None:
    strict = DatasetSchema(name="plays", fields={"level": FieldSpec(type=FieldType.STRING, enum=("a", "b"))})
    await served.declare(strict)
    receipts = await served.collect("plays", Payload.of([{"level": "a"}, {"level": "c"}, {"level": "d"}]))
    assert receipts.counts()["quarantined"] == 2
    refused = (await served.quarantine("plays")).data
    assert sorted(row["error_value"] for row in refused) == ["c", "d"]

    wider = strict.fields["level"].model_copy(update={"enum": ("a", "b", "c")})
    await served.declare(strict.model_copy(update={"fields": {"level": wider}}))
    replayed = await served.replay_quarantine("plays")

    assert replayed.counts() == {"accepted": 1, "duplicate": 0, "quarantined": 1, "late": 0}
    assert await count(served, "plays") == 2
    assert [row["error_value"] for row in (await served.quarantine("plays")).data] == ["d"]
    assert (await served.replay_quarantine("plays")).counts()["quarantined"] == 1


async def test_a_model_counts_from_the_next_query_on(served: Tenant) -> None:
    await served.collect("user_interactions", Payload.of(PLAYS))
    asked = {"type": "aggregation", "metrics": ["longest"]}
    with pytest.raises(UnknownNameError):
        await served.query(asked)

    await served.set_model("datasets: {user_interactions: {measures: {longest: {type: max, column: duration}}}}")

    assert (await served.query(asked)).data == [{"longest": 29}]
    assert "longest" in await served.model()
    with pytest.raises(InvalidRequestError, match="did you mean 'measures'"):
        await served.set_model("datasets: {user_interactions: {measure: {}}}")


async def test_datasets_are_told_with_rows_fields_and_newest_event(served: Tenant) -> None:
    await served.collect("user_interactions", Payload.of(PLAYS))
    await served.flush()
    await served.collect("user_interactions", Payload.of(PLAYS[:1]))

    (info,) = [info for info in await served.datasets() if info.name == "user_interactions"]

    assert (info.rows, info.quarantined) == (31, 0)
    assert info.fields == {"user_id": "string", "action": "string", "duration": "integer"}
    assert info.newest_event is not None
    assert info.newest_event.isoformat() == "2025-07-15T10:29:00+00:00"


async def test_a_plan_is_explained_in_text(served: Tenant) -> None:
    assert "user_interactions" in await served.explain(COUNT)


async def test_nothing_acknowledged_is_lost_when_the_host_is_killed(tenant: TenantHandle) -> None:
    await tenant.collect("user_interactions", Payload.of(PLAYS), idempotency_key="k")
    before = await tenant.status()

    os.kill(before.pid, signal.SIGKILL)

    assert await count(tenant) == 30
    after = await tenant.status()
    assert after.sight.epoch == before.sight.epoch + 1
    again = await tenant.collect("user_interactions", Payload.of(PLAYS), idempotency_key="k")
    assert again.rows == 30
    assert await count(tenant) == 30


async def test_the_host_outlives_the_directory(tenant: TenantHandle, directory: DirectoryHandle) -> None:
    await tenant.collect("user_interactions", Payload.of(PLAYS))
    host = await tenant.status()

    os.kill(await directory.process_id(), signal.SIGKILL)
    found = await directory.locate("tenant_001")

    assert found.epoch == host.sight.epoch
    assert await count(tenant) == 30


async def test_a_tenant_that_went_cold_wakes_with_the_next_call(
    tenant: TenantHandle, directory: DirectoryHandle
) -> None:
    await tenant.collect("user_interactions", Payload.of(PLAYS))
    before = await tenant.status()

    assert await directory.retire("tenant_001")

    assert [seen.tenants for seen in await directory.hosts()] == [()]
    assert await count(tenant) == 30
    assert (await tenant.status()).sight.epoch == before.sight.epoch + 1


async def test_a_tenant_without_calls_goes_cold_by_itself(config: AnalyticsConfig) -> None:
    hasty = config.placement.model_copy(update={"idle_seconds": 0.2})
    directory = DirectoryHandle(config.model_copy(update={"placement": hasty}))
    await directory.register("tenant_001")
    tenant = TenantHandle("tenant_001", config, directory)
    await tenant.collect("user_interactions", Payload.of(PLAYS))

    async with asyncio.timeout(30):
        while any(seen.tenants for seen in await directory.hosts()):
            await asyncio.sleep(0.05)

    assert await count(tenant) == 30


async def test_an_owner_that_was_replaced_neither_takes_events_nor_gives_old_answers(
    tenant: TenantHandle, config: AnalyticsConfig
) -> None:
    await tenant.collect("user_interactions", Payload.of(PLAYS))
    placed = await tenant.status()

    resources = HostResources.open(config)
    usurper = await asyncio.to_thread(AnalyticsEngine.open, "tenant_001", resources)
    await usurper.collect("user_interactions", Payload.of(PLAYS))
    assert await count(usurper) == 60

    # The handle meets the fenced host, doubts it, and is given a newer one that has everything.
    assert await count(tenant) == 60
    now = await tenant.status()
    assert now.sight.epoch == placed.sight.epoch + 2
    resources.close()


async def test_an_unknown_tenant_names_the_nearest(tenant: TenantHandle, config: AnalyticsConfig) -> None:
    with pytest.raises(UnknownNameError) as caught:
        await TenantHandle("tenant_01", config).query(COUNT)
    assert caught.value.suggestions == ("tenant_001",)


async def test_a_tenant_moves_while_it_is_called_and_every_call_counts_once(
    tenant: TenantHandle, directory: DirectoryHandle
) -> None:
    done = asyncio.Event()

    async def calls() -> int:
        made = 0
        while not done.is_set():
            receipts = await tenant.collect("user_interactions", Payload.of(PLAYS))
            assert receipts.counts()["accepted"] == 30
            made += 1
        return made

    callers = [asyncio.create_task(calls()) for _ in range(4)]
    for number in range(4):
        placed = await directory.move("tenant_001", f"shared-{(number + 1) % 2}")
        assert (await tenant.status()).host == placed.name
    done.set()

    assert await count(tenant) == 30 * sum([await caller for caller in callers])


async def test_a_frozen_host_is_replaced_and_commits_nothing_when_it_thaws(
    tenant: TenantHandle, directory: DirectoryHandle, config: AnalyticsConfig
) -> None:
    await tenant.collect("user_interactions", Payload.of(PLAYS))
    frozen = await tenant.status()
    os.kill(frozen.pid, signal.SIGSTOP)

    # The handle does not wait for the frozen host until its patience ends.
    async with asyncio.timeout(30):
        assert (await tenant.collect("user_interactions", Payload.of(PLAYS))).counts()["accepted"] == 30

    assert (await tenant.status()).sight.epoch > frozen.sight.epoch
    assert await count(tenant) == 60
