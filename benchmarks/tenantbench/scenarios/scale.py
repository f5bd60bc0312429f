"""Many tenants are registered and few work, all at once: everybody is answered, and the rest cost next to nothing."""

from __future__ import annotations

import asyncio

from benchmarks.report import Measurement, at_most, percentile
from benchmarks.tenantbench.adapter import NotSupportedError, Usage
from benchmarks.tenantbench.client import Outcome, Told, persist
from benchmarks.tenantbench.drive import drive
from benchmarks.tenantbench.stage import Stage
from benchmarks.tenantbench.workload import Intent, Kind, Question, tenant_names

REGISTERED = 10_000
ACTIVE = 500
_SETTLE_S = 2.0


async def run(stage: Stage) -> list[Measurement]:
    names = tenant_names(REGISTERED, prefix="many")
    active = names[:: REGISTERED // ACTIVE]
    before = await _usage(stage)
    await stage.system.register(names)
    registered = await _usage(stage)
    for name in active:
        await stage.system.issue(name)
    caller = stage.system.door().open(stage.settings.connections)
    held, stage.caller = stage.caller, caller
    await held.close()

    async def act(intent: Intent) -> Told:
        if intent.kind is Kind.INGEST:
            return await stage.send(stage.batch(intent.tenant, stage.settings.rows))
        return await persist(lambda: caller.ask(intent.tenant, Question.BY_ACTION))

    def at_once(kind: Kind) -> list[Intent]:
        return [Intent(0.0, tenant, kind, index) for index, tenant in enumerate(active)]

    idle = await _usage(stage)
    sent = await drive(at_once(Kind.INGEST), act)
    asked = await drive(at_once(Kind.QUERY), act)
    working = await _usage(stage)
    answered = sum(s.told.answer.outcome is Outcome.OK for s in asked.samples)
    stored = sum(s.told.answer.outcome is Outcome.OK for s in sent.samples)
    found = [
        Measurement("tenants registered", len(names), "tenants"),
        Measurement("active at once: first batches stored", stored, "tenants", f"{ACTIVE}", stored == ACTIVE),
        Measurement("active at once: questions answered", answered, "tenants", f"{ACTIVE}", answered == ACTIVE),
        Measurement("all cold at once: last first batch", percentile([s.latency_s for s in sent.samples], 1.0), "s"),
        Measurement("all warm at once: last answer", percentile([s.latency_s for s in asked.samples], 1.0), "s"),
    ]
    if before is not None and registered is not None and idle is not None and working is not None:
        per_idle = max(0, registered.memory_bytes - before.memory_bytes) / len(names) / 1024
        per_active = max(0, working.memory_bytes - idle.memory_bytes) / len(active) / 2**20
        found += [
            at_most("memory per registered idle tenant", per_idle, "KiB", 50),
            at_most("memory per active light tenant", per_active, "MiB", 5),
            Measurement("memory of everything, all active", working.memory_bytes / 2**20, "MiB"),
        ]
    return [*found, *await stage.accounts()]


async def _usage(stage: Stage) -> Usage | None:
    await asyncio.sleep(_SETTLE_S)
    try:
        return await asyncio.to_thread(stage.system.usage)
    except NotSupportedError:
        return None
