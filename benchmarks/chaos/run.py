"""One run of chaos: load, blows, and the accounts at the end."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.chaos.plan import KILLS, Blow, Harm, plan
from benchmarks.chaos.victim import Victim
from benchmarks.report import Measurement, median
from benchmarks.tenantbench.client import Outcome
from benchmarks.tenantbench.drive import Sample, Samples
from benchmarks.tenantbench.stage import Settings, patience_of, staged
from benchmarks.tenantbench.workload import Kind


@dataclass(frozen=True, slots=True)
class Struck:
    """A blow, when it fell on the clock of the load, and what it did."""

    at_s: float
    harm: Harm
    what: str


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of a run."""

    struck: tuple[Struck, ...]
    samples: Samples
    accounts: tuple[Measurement, ...]

    @property
    def kills(self) -> int:
        return sum(each.harm in KILLS and each.what != "there was none" for each in self.struck)

    def measurements(self) -> tuple[Measurement, ...]:
        """All numbers, those with a target first."""
        rows = [Measurement("blows", len(self.struck), "blows"), Measurement("of them kills", self.kills, "kills")]
        rows += self.accounts
        rows += patience_of(self.samples)
        rows += [
            Measurement(f"batch or query p{int(100 * share)}, repetitions included", self.samples.ms(share), "ms")
            for share in (0.5, 0.99)
        ]
        for harm, times in sorted(recoveries(self.struck, self.samples.samples).items()):
            rows.append(Measurement(f"time to recover, {harm.value}, median of {len(times)}", median(times), "s"))
            rows.append(Measurement(f"time to recover, {harm.value}, longest", max(times), "s"))
        return tuple(rows)


def recoveries(struck: Sequence[Struck], samples: Sequence[Sample]) -> dict[Harm, list[float]]:
    """By harm: from each blow until the last request was answered that needed another try and was due before the next.

    0 where no request noticed. What a blow before left behind counts for it, not for the one after.
    """
    found: dict[Harm, list[float]] = {}
    ends = [each.at_s for each in struck[1:]] + [float("inf")]
    hurt = [sample for sample in samples if not sample.told.at_once]
    for blow, end in zip(struck, ends, strict=True):
        mine = [sample.ended_s for sample in hurt if sample.intent.at_s < end and sample.ended_s > blow.at_s]
        last = max((moment for moment in mine), default=blow.at_s)
        found.setdefault(blow.harm, []).append(last - blow.at_s)
    return found


async def chaos(
    victim: Victim, settings: Settings, every_s: float, harms: Sequence[Harm] | None = None, say: bool = True
) -> Outcomes:
    """`settings.seconds` of load with blows about `every_s` apart, on a system that runs."""
    blows = plan(settings.seed, settings.seconds, every_s, harms or victim.harms())
    struck: list[Struck] = []
    async with staged(victim, settings) as stage:
        began = time.perf_counter()
        load = asyncio.create_task(stage.load(settings.seconds))

        async def strike(blow: Blow) -> None:
            await asyncio.sleep(max(0.0, began + blow.at_s - time.perf_counter()))
            at_s = time.perf_counter() - began
            what = await victim.suffer(blow, stage.quiet)
            struck.append(Struck(at_s, blow.harm, what))
            if say:
                print(f"{at_s:7.1f} s  {blow.harm.value}: {what}", flush=True)

        for blow in blows:
            if load.done():
                break
            await strike(blow)
        samples = await load
        await victim.settle()
        for sample in itertools.islice((s for s in samples.samples if s.told.answer.outcome is not Outcome.OK), 20):
            intent, told = sample.intent, sample.told
            word = "batch" if intent.kind is Kind.INGEST else "query"
            print(f"  failed: {word} of {intent.tenant} at {intent.at_s:.1f} s, {told.tries} tries: {told.answer}")
        return Outcomes(tuple(struck), samples, tuple(await stage.accounts()))
