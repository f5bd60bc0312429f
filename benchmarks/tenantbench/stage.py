"""What every scenario stands on: a system with tenants in it, a client, a ledger, and the load of a quiet day."""

from __future__ import annotations

import asyncio
import itertools
import resource
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from benchmarks.report import Measurement, percentile
from benchmarks.tenantbench.adapter import Caller, System
from benchmarks.tenantbench.client import PATIENT, Outcome, Patience, Told, persist
from benchmarks.tenantbench.drive import Samples, drive
from benchmarks.tenantbench.ledger import Ledger, Tally, Verdict
from benchmarks.tenantbench.workload import (
    Batch,
    Intent,
    Kind,
    Question,
    marker_of,
    schedule,
    tenant_names,
    zipf_shares,
)

_WARM_S = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One run. Two runs with the same settings send the same requests at the same moments."""

    tenants: int = 100
    """Tenants registered."""
    active: int = 50
    """Tenants that the quiet load comes from: the first ones, so the largest."""
    seconds: float = 20.0
    """How long each measured phase is."""
    rate: float = 60.0
    """Requests a second of all quiet tenants together."""
    ingest_share: float = 0.4
    rows: int = 20
    """Events of a quiet batch."""
    connections: int = 32
    flood_rate: float = 400.0
    flood_rows: int = 500
    flood_connections: int = 64
    heavy_rate: float = 50.0
    heavy_rows: int = 500_000
    seed: int = 1
    zipf: float = 1.1


@dataclass(slots=True)
class Stage:
    """A running system, and who talks to it."""

    system: System
    settings: Settings
    caller: Caller
    loud: str
    """The tenant that will flood; it is not among the quiet ones."""
    ledger: Ledger = field(default_factory=Ledger)
    _serials: Iterable[int] = field(default_factory=itertools.count)

    @property
    def quiet(self) -> tuple[str, ...]:
        """Tenants whose requests are measured."""
        return tenant_names(self.settings.active)

    def intents(self, seconds: float, seed: int) -> tuple[Intent, ...]:
        """The quiet load."""
        chosen, tenants = self.settings, self.quiet
        return schedule(
            tenants,
            zipf_shares(len(tenants), chosen.zipf),
            rate=chosen.rate,
            seconds=seconds,
            ingest_share=chosen.ingest_share,
            seed=1_000_003 * chosen.seed + seed,
        )

    async def load(self, seconds: float, seed: int = 0, patience: Patience = PATIENT) -> Samples:
        """Let the quiet tenants work for so long."""

        async def act(intent: Intent) -> Told:
            if intent.kind is Kind.INGEST:
                return await self.send(self.batch(intent.tenant, self.settings.rows), patience)
            return await persist(lambda: self.caller.ask(intent.tenant, Question.BY_ACTION), patience)

        return await drive(self.intents(seconds, seed), act)

    def batch(self, tenant: str, rows: int) -> Batch:
        """A batch that was never sent before."""
        return Batch(tenant, f"b{next(iter(self._serials))}", rows, marker_of(tenant, self.settings.seed))

    async def send(self, batch: Batch, patience: Patience = PATIENT) -> Told:
        """Send it as a client does, and note the outcome."""
        told = await persist(lambda: self.caller.send(batch), patience)
        if told.answer.outcome is Outcome.OK:
            self.ledger.acknowledge(batch)
        elif told.answer.outcome is Outcome.UNKNOWN or told.tries > 1:
            self.ledger.doubt(batch)
        else:
            self.ledger.refuse(batch)
        return told

    async def everybody(self, tenants: Sequence[str], rows: int, at_once: int = 16) -> list[Told]:
        """One batch for each of them; how each went, in their order."""
        told: dict[str, Told] = {}
        waiting = iter(tenants)

        async def worker() -> None:
            for tenant in waiting:
                told[tenant] = await self.send(self.batch(tenant, rows))

        await asyncio.gather(*(worker() for _ in range(at_once)))
        return [told[tenant] for tenant in tenants]

    async def fill(self, tenant: str, rows: int, at_a_time: int = 10_000) -> None:
        """Give a tenant a body of events."""
        for _ in range(-(-rows // at_a_time)):
            await self.send(self.batch(tenant, min(rows, at_a_time)))

    async def verdict(self, tenants: Sequence[str] | None = None) -> Verdict:
        """Ask everybody who was sent something, and compare."""
        asked = self.ledger.tenants if tenants is None else tenants
        answers: dict[str, Tally | None] = {}
        waiting = iter(asked)

        async def worker() -> None:
            for tenant in waiting:
                for pause in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0):
                    await asyncio.sleep(pause)
                    answers[tenant] = await self.caller.tally(tenant)
                    if answers[tenant] is not None:
                        break

        await asyncio.gather(*(worker() for _ in range(4)))
        return self.ledger.audit(answers)

    async def trespasses(self, pairs: int = 20) -> int:
        """How many of `pairs` tenants got something with their own key out of their neighbour. None may."""
        names = self.quiet[: pairs + 1]
        tried = [await self.caller.trespass(a, b) for a, b in itertools.pairwise(names)]
        return sum(tried)

    async def accounts(self) -> list[Measurement]:
        """Lost, duplicated, leaked: the last words of every scenario."""
        verdict, trespasses = await self.verdict(), await self.trespasses()
        for line in verdict.details:
            print("   ", line)
        return [
            Measurement("events acknowledged", verdict.acknowledged, "events"),
            *(
                Measurement(f"events {word}", count, "events", "0", count == 0)
                for word, count in (
                    ("lost", verdict.lost),
                    ("duplicated", verdict.duplicated),
                    ("leaked", verdict.leaked),
                    ("torn", verdict.torn),
                )
            ),
            Measurement("events nobody can tell of", verdict.unknown, "events"),
            Measurement("tenants that could not be asked", verdict.unasked, "tenants", "0", verdict.unasked == 0),
            Measurement("keys that reached another tenant", trespasses, "keys", "0", trespasses == 0),
        ]


@asynccontextmanager
async def staged(system: System, settings: Settings) -> AsyncIterator[Stage]:
    """Register the tenants, give the active ones keys and some events, and warm what the load will touch."""
    names = tenant_names(settings.tenants)
    loud = "loud"
    await system.register([*names, loud])
    for name in names[: settings.active]:
        await system.issue(name)
    await system.issue(loud, 100)
    caller = system.door().open(settings.connections)
    stage = Stage(system, settings, caller, loud)
    try:
        await stage.everybody(stage.quiet, settings.rows)
        for name in stage.quiet:
            await persist(partial(caller.ask, name, Question.BY_ACTION))
        await stage.load(_WARM_S, seed=-1)
        yield stage
    finally:
        await caller.close()


def latencies(label: str, samples: Samples) -> list[Measurement]:
    """p50 and p99 of questions and of batches."""
    found = []
    for kind, word in ((Kind.QUERY, "query"), (Kind.INGEST, "batch")):
        part = samples.of(kind)
        found += [Measurement(f"{label}: {word} p{int(100 * s)}", part.ms(s), "ms") for s in (0.5, 0.99)]
    return found


def patience_of(samples: Samples, label: str = "patient clients") -> list[Measurement]:
    """What clients that honour `Retry-After` saw."""
    count, share, added = samples.failed, 100 * samples.at_once, samples.added_s(0.99)
    return [
        Measurement(f"{label}: requests", len(samples.samples), "requests"),
        Measurement(f"{label}: failed in the end", count, "requests", "0", count == 0),
        Measurement(f"{label}: succeeded at the first try", share, "%", "≥ 99.9 %", share >= 99.9),
        Measurement(f"{label}: delay added by retries, p99", added, "s", "≤ 3 s", added <= 3.0),
    ]


def own_cost(samples: Samples) -> list[Measurement]:
    """What the load generator itself used, and how late it was."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [
        Measurement("load generator: CPU", usage.ru_utime + usage.ru_stime, "s"),
        Measurement("load generator: lateness p99", 1e3 * percentile(list(samples.late_s) or [0.0], 0.99), "ms"),
    ]
