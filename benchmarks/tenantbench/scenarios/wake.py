"""Tenants that are only in storage are asked something: how long the first answer takes."""

from __future__ import annotations

import time

from benchmarks.report import Measurement, at_most, percentile
from benchmarks.tenantbench.adapter import Fault
from benchmarks.tenantbench.client import Outcome, persist
from benchmarks.tenantbench.stage import Stage
from benchmarks.tenantbench.workload import Question

MOST = 200


async def run(stage: Stage) -> list[Measurement]:
    tenants = stage.quiet[:MOST]
    await stage.system.inflict(Fault.COOL)
    taken, failed = [], 0
    for tenant in tenants:
        began = time.perf_counter()
        told = await persist(lambda tenant=tenant: stage.caller.ask(tenant, Question.BY_ACTION))  # type: ignore[misc]
        taken.append(1e3 * (time.perf_counter() - began))
        failed += told.answer.outcome is not Outcome.OK
    first, *others = taken
    again = []
    for tenant in tenants:
        began = time.perf_counter()
        await stage.caller.ask(tenant, Question.BY_ACTION)
        again.append(1e3 * (time.perf_counter() - began))
    return [
        Measurement("first tenant after everything was cold, its host included", first, "ms"),
        Measurement("cold tenant to first answer, p50", percentile(others, 0.5), "ms"),
        at_most("cold tenant to first answer, p95", percentile(others, 0.95), "ms", 500),
        Measurement("the same tenant asked again, p50", percentile(again, 0.5), "ms"),
        Measurement("questions that failed", failed, "questions", "0", failed == 0),
        *await stage.accounts(),
    ]
