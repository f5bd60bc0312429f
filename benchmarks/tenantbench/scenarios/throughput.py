"""All that the system can take, from one tenant and from many: what it costs that they are many.

A closed loop on purpose: so many connections that always have a request under way measure capacity, not latency.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

from benchmarks.report import Measurement, at_least, median
from benchmarks.tenantbench.client import Outcome, persist
from benchmarks.tenantbench.stage import Stage
from benchmarks.tenantbench.workload import Batch, Question, marker_of, tenant_names

MANY = 500
ROWS = 200
QUERY_EVERY = 5
"""One request of so many is a question."""
WORKERS = 16
ROUNDS = 3


async def run(stage: Stage) -> list[Measurement]:
    many = tenant_names(MANY, prefix="busy")
    await stage.system.register(many)
    for tenant in many:
        await stage.system.issue(tenant)
    await stage.caller.close()
    stage.caller = stage.system.door().open(WORKERS)
    await stage.everybody(many, ROWS)  # nobody is cold any more
    one, all_of_them = [], []
    for _ in range(ROUNDS):
        one.append(await _round(stage, many[:1]))
        all_of_them.append(await _round(stage, many))
    ratio = median([b / a for a, b in zip(one, all_of_them, strict=True)])
    return [
        Measurement("1 tenant", median(one), "requests/s"),
        Measurement(f"{MANY} tenants", median(all_of_them), "requests/s"),
        at_least(f"{MANY} tenants against 1", ratio, "×", 0.7),
        *await stage.accounts(),
    ]


async def _round(stage: Stage, tenants: Sequence[str]) -> float:
    """Successful requests a second."""
    turns, done = itertools.count(), 0
    seconds = stage.settings.seconds / 2
    began = time.perf_counter()

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            turn = next(turns)
            tenant = tenants[turn % len(tenants)]
            if turn % QUERY_EVERY:
                # One body for each tenant, prepared once: the generator should not be what is measured.
                batch = Batch(tenant, "round", ROWS, marker_of(tenant, stage.settings.seed))
                answer = await stage.caller.send(batch, keyed=False)
                {Outcome.OK: stage.ledger.acknowledge, Outcome.UNKNOWN: stage.ledger.doubt}.get(
                    answer.outcome, stage.ledger.refuse
                )(batch)
            else:
                answer = (await persist(lambda: stage.caller.ask(tenant, Question.COUNT))).answer  # noqa: B023
            done += answer.outcome is Outcome.OK

    await asyncio.gather(*(worker() for _ in range(WORKERS)))
    return done / (time.perf_counter() - began)
