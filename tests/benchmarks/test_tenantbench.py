"""A short run of TenantBench against real systems: what it reports is what happened."""

import signal
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.report import Measurement
from benchmarks.tenantbench.__main__ import medians
from benchmarks.tenantbench.adapter import Fault, NotSupportedError, System
from benchmarks.tenantbench.client import Outcome
from benchmarks.tenantbench.our_http import OurSystem
from benchmarks.tenantbench.peer_http import PeerSystem
from benchmarks.tenantbench.scenarios import erase, kill_host, kill_node, one_key_flood, quiet
from benchmarks.tenantbench.stage import Settings, Stage, staged
from benchmarks.tenantbench.workload import Batch, Question, marker_of

SMALL = Settings(
    tenants=4, active=3, seconds=1.5, rate=20, rows=5, connections=8, flood_rate=60, flood_rows=20, heavy_rows=500
)
CLEAN = ("events lost", "events duplicated", "events leaked", "events torn", "tenants that could not be asked")


def by_name(found: Sequence[Measurement]) -> dict[str, float]:
    return {measured.what: measured.value for measured in found}


def assert_clean(values: dict[str, float]) -> None:
    assert {what: values[what] for what in CLEAN} == dict.fromkeys(CLEAN, 0)
    assert values["keys that reached another tenant"] == 0


async def test_a_flood_of_this_system_is_measured_and_accounted_for(service: Any) -> None:
    system: System = OurSystem(url=service.url, key=service.admin_key)
    async with system, staged(system, SMALL) as stage:  # type: ignore[attr-defined]
        values = by_name(await one_key_flood.run(stage))
        assert_clean(values)
        assert values["patient clients: failed in the end"] == 0
        # The flood's own events are in the ledger too.
        assert values["events acknowledged"] > 20 * SMALL.flood_rows
        with pytest.raises(NotSupportedError):
            await system.inflict(Fault.KILL_HOST)


async def test_the_peer_survives_a_killed_process_and_an_erasure() -> None:
    async with PeerSystem() as system, staged(system, SMALL) as stage:
        hurt = by_name(await kill_host.run(stage))
        assert_clean(hurt)
        assert hurt["time to recover"] > 0
        gone = by_name(await erase.run(stage))
        assert_clean(gone)
        assert gone["events that its successor finds"] == 0
        with pytest.raises(NotSupportedError):
            await kill_node.run(stage)


async def test_a_system_that_loses_and_leaks_is_found_out() -> None:
    async with PeerSystem() as system, staged(system, SMALL) as stage:
        await _lose_and_leak(stage)
        values = by_name(await quiet.run(stage))
        assert values["events lost"] == 7
        assert values["events leaked"] == 3


async def _lose_and_leak(stage: Stage) -> None:
    one, other = stage.quiet[:2]
    # Acknowledged by nobody but the ledger.
    stage.ledger.acknowledge(Batch(one, "never-sent", 7, marker_of(one, stage.settings.seed)))
    stray = Batch(one, "stray", 3, marker_of(other, stage.settings.seed))
    assert (await stage.caller.send(stray)).outcome is Outcome.OK


async def test_a_lost_connection_leaves_open_what_happened() -> None:
    async with PeerSystem() as system:
        await system.register(["a"])
        await system.issue("a")
        caller = system.door().open(1)
        await system._end(signal.SIGKILL)
        assert (await caller.ask("a", Question.COUNT)).outcome is Outcome.UNKNOWN
        await caller.close()


def test_a_lost_event_in_one_run_is_not_hidden_by_the_median() -> None:
    runs = [[Measurement("events lost", lost, "events", "0", lost == 0)] for lost in (0, 3, 0)]
    assert medians(runs) == (Measurement("events lost", 3, "events", "0", False),)
    times = [[Measurement("p99", value, "ms", "≤ 5 ms", value <= 5)] for value in (9, 4, 5)]
    assert medians(times) == (Measurement("p99", 5, "ms", "≤ 5 ms", True),)
