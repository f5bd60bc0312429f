"""Bodies that wait for a thread are in flight: bounded from the moment they are in the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.engine.scheduling import Lane, Work, slots
from tenancy.analytics.errors import BackpressureError, PayloadTooLargeError, UnknownNameError
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import Receipts

BODY = Payload.of({"text": "x" * 400})


class Held:
    """An engine of 1,024 bytes in flight, and its threads for collection, kept busy until `let_go`."""

    def __init__(self, engine: AnalyticsEngine, crew: Lane, threads: int) -> None:
        self.engine = engine
        self._crew, self._threads = crew, threads
        self._free = threading.Event()

    def keep_busy(self) -> None:
        for _ in range(self._threads):
            self._crew.submit(self._free.wait, 10)

    def let_go(self) -> None:
        self._free.set()

    async def call(self, payload: Payload = BODY) -> asyncio.Task[Receipts]:
        """A call that got as far as it gets without a thread."""
        task = asyncio.create_task(self.engine.collect("user_interactions", payload))
        await asyncio.sleep(0)
        return task


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    sections = {
        "storage": {"root": str(tmp_path)},
        "data_collection": {"max_in_flight_bytes": 1024, "max_body_bytes": 4096},
    }
    resources = HostResources.open(AnalyticsConfig.load(sections, {}), ManualClock())
    resources.backing.register("tenant_001", {})
    # Another tenant's work is what keeps the threads busy.
    crew = resources.scheduler.lanes("other").collecting
    held = Held(AnalyticsEngine.open("tenant_001", resources), crew, slots(16)[Work.COLLECTING].most)
    yield held
    held.let_go()
    await asyncio.to_thread(resources.close)


async def test_bodies_beyond_the_bound_are_refused_before_a_thread_is_free(held: Held) -> None:
    held.keep_busy()
    waiting = [await held.call() for _ in range(2)]

    with pytest.raises(BackpressureError, match="max_in_flight_bytes=1,024") as refused:
        await held.engine.collect("user_interactions", BODY)

    assert refused.value.retry_after_s > 0
    held.let_go()
    assert [receipts.rows for receipts in await asyncio.gather(*waiting)] == [1, 1]
    assert (await held.engine.collect("user_interactions", BODY)).rows == 1


async def test_a_body_larger_than_the_bound_passes_when_nothing_else_waits(held: Held) -> None:
    held.keep_busy()
    large = await held.call(Payload.of({"text": "x" * 2000}))
    with pytest.raises(BackpressureError):
        await held.engine.collect("user_interactions", BODY)
    held.let_go()
    assert (await large).rows == 1


async def test_a_call_cancelled_in_the_queue_gives_its_room_back(held: Held) -> None:
    held.keep_busy()
    calls = [await held.call() for _ in range(2)]
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)

    following = [await held.call() for _ in range(2)]
    held.let_go()
    assert [receipts.rows for receipts in await asyncio.gather(*following)] == [1, 1]


async def test_a_call_that_fails_gives_its_room_back(held: Held) -> None:
    for _ in range(5):
        with pytest.raises(UnknownNameError):
            await held.engine.collect("nowhere", BODY)
    assert (await held.engine.collect("user_interactions", BODY)).rows == 1


async def test_a_body_that_may_never_pass_is_not_told_to_wait(held: Held) -> None:
    held.keep_busy()
    waiting = await held.call()
    with pytest.raises(PayloadTooLargeError):
        await held.engine.collect("user_interactions", Payload.of({"text": "x" * 5000}))
    held.let_go()
    assert (await waiting).rows == 1
