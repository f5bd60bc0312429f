"""What the scenarios with a fault share: a day of load, in the middle of which something happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.report import Measurement
from benchmarks.tenantbench.adapter import Fault, Injury
from benchmarks.tenantbench.stage import Stage, latencies, own_cost, patience_of
from benchmarks.tenantbench.workload import Kind

_SLOW_S = 0.25
"""A request that takes longer, and twice as long as the slowest hundredth before, was harmed."""


async def hurt(stage: Stage, fault: Fault, least_s: float = 0.0) -> list[Measurement]:
    """Inflict `fault` after a third of the run, which is at least `least_s` long."""
    return await while_working(stage, lambda: stage.system.inflict(fault), least_s)


async def while_working(
    stage: Stage, happen: Callable[[], Awaitable[Injury]], least_s: float = 0.0
) -> list[Measurement]:
    """Let something happen after a third of the run, and say what those who were at work saw of it."""
    seconds = max(stage.settings.seconds, least_s)
    began = time.perf_counter()
    load = asyncio.create_task(stage.load(seconds))
    try:
        await asyncio.sleep(seconds / 3)
        at_s = time.perf_counter() - began
        injury = await happen()
        until_s = time.perf_counter() - began
    finally:
        samples = await load
    print(f"    at {at_s:.1f} s: {injury.what}")
    before = samples.between(0.0, at_s)
    slow_s = max(_SLOW_S, 2e-3 * max(before.of(kind).ms(0.99) for kind in Kind))
    return [
        *latencies("before", before),
        *latencies("from then on", samples.between(at_s, seconds)),
        Measurement("time to recover", samples.recovered_s(at_s, slow_s, until_s), "s"),
        *([Measurement("time it took itself", injury.seconds, "s")] if injury.seconds else []),
        *patience_of(samples),
        *own_cost(samples),
        *await stage.accounts(),
    ]
