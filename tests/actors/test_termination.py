"""A host that is told to end (SIGTERM) hands its tenants over while they are called, and then ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from actors.directory_handle import DirectoryHandle
from actors.tenant_handle import TenantHandle
from actors.termination import Termination
from cluster.processes import started_at
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig

TENANTS = tuple(f"tenant_{number}" for number in range(6))
COUNT = {"type": "aggregation", "metrics": ["count"]}
EVENTS = Payload.of([{"n": n, "timestamp": "2025-07-15T10:00:00Z"} for n in range(20)])


async def test_a_host_told_to_end_writes_its_tenants_out_and_no_call_fails_meanwhile(
    config: AnalyticsConfig, directory: DirectoryHandle, tmp_path: Path
) -> None:
    for name in TENANTS:
        await directory.register(name)
    handles = [TenantHandle(name, config, directory) for name in TENANTS]
    over = asyncio.Event()

    async def calls(handle: TenantHandle) -> int:
        made = 0
        while not over.is_set():
            assert (await handle.collect("user_interactions", EVENTS)).counts()["accepted"] == 20
            made += 1
        return made

    callers = [asyncio.create_task(calls(handle)) for handle in handles]
    before = [await handle.status() for handle in handles]
    assert {status.host for status in before} == {"shared-0"}
    os.kill(before[0].pid, signal.SIGTERM)
    async with asyncio.timeout(40):
        while started_at(before[0].pid) is not None:
            await asyncio.sleep(0.05)
    after = [await handle.status() for handle in handles]
    over.set()
    made = [await caller for caller in callers]

    assert before[0].pid not in {status.pid for status in after}
    assert [(await handle.query(COUNT)).to_arrow()["count"].to_pylist() for handle in handles] == [
        [20 * each] for each in made
    ]
    # Written out by the host that left, not replayed by the one that came.
    assert not [path for path in tmp_path.rglob("*.wal") if path.name.startswith("0000000001-")]


async def test_what_lets_go_too_slowly_is_not_waited_for_and_a_second_request_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(ended.set))
    try:
        begun = asyncio.Event()

        async def forever() -> None:
            begun.set()
            await asyncio.sleep(3600)

        Termination(patience_s=0.01).on_request(forever)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await begun.wait()
            await ended.wait()

        ended.clear()
        Termination(patience_s=3600).on_request(forever)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await ended.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
