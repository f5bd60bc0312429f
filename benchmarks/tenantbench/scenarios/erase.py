"""A tenant is erased while the others work: it is gone at once and wholly, and nobody else notices."""

from __future__ import annotations

import time

from benchmarks.report import Measurement
from benchmarks.tenantbench.adapter import Injury
from benchmarks.tenantbench.client import Outcome
from benchmarks.tenantbench.scenarios._hurt import while_working
from benchmarks.tenantbench.stage import Stage
from benchmarks.tenantbench.workload import Question


async def run(stage: Stage) -> list[Measurement]:
    tenant, system = stage.loud, stage.system
    await stage.fill(tenant, stage.settings.heavy_rows // 5)
    held = system.door().open(2)  # still has the keys of the tenant that goes
    afterwards: list[bool] = []

    async def erase() -> Injury:
        stage.ledger.forget(tenant)
        began = time.perf_counter()
        await system.erase(tenant)
        taken = time.perf_counter() - began
        afterwards.append(await held.tally(tenant) is None)
        return Injury(f"{tenant} erased, with {stage.settings.heavy_rows // 5:,} events", taken)

    try:
        found = await while_working(stage, erase)
        # Somebody else may be given the name: of the one before, nothing may be there.
        await system.register([tenant])
        await system.issue(tenant)
        anew = system.door().open(2)
        tally = await anew.tally(tenant)
        old_key_works = (await held.ask(tenant, Question.COUNT)).outcome is Outcome.OK
        await anew.close()
    finally:
        await held.close()
    left = -1 if tally is None else sum(count.rows for count in tally.values())
    return [
        *found,
        Measurement("its key is refused at once", float(afterwards[0]), "", "1", afterwards[0]),
        Measurement("its old key is refused by its successor", float(not old_key_works), "", "1", not old_key_works),
        Measurement("events that its successor finds", left, "events", "0", left == 0),
    ]
