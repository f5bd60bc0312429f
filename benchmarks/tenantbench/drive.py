"""Sends requests when they are due, and notes how each went: the open loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.report import percentile
from benchmarks.tenantbench.client import Outcome, Told
from benchmarks.tenantbench.workload import Intent, Kind

Act = Callable[[Intent], Awaitable[Told]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: `latency_s` is from when it was due until it was answered, its waits and repetitions included."""

    intent: Intent
    latency_s: float
    told: Told

    @property
    def ended_s(self) -> float:
        """On the clock of the run."""
        return self.intent.at_s + self.latency_s


@dataclass(frozen=True, slots=True)
class Samples:
    """All requests of one run."""

    samples: Sequence[Sample]
    late_s: Sequence[float] = field(default=())
    """How late the generator itself was with each request; when this is not small, the generator was the bottleneck."""

    def of(self, kind: Kind, tenants: Iterable[str] | None = None) -> Samples:
        """Those of one kind, and of these tenants."""
        wanted = None if tenants is None else frozenset(tenants)
        return Samples(
            [s for s in self.samples if s.intent.kind is kind and (wanted is None or s.intent.tenant in wanted)]
        )

    def between(self, start_s: float, end_s: float) -> Samples:
        """Those that were due in this part of the run."""
        return Samples([s for s in self.samples if start_s <= s.intent.at_s < end_s])

    def ms(self, share: float) -> float:
        """The latency in milliseconds that `share` of the requests do not exceed; failed ones count as they ended."""
        return 1e3 * percentile([s.latency_s for s in self.samples], share) if self.samples else float("nan")

    @property
    def failed(self) -> int:
        """Requests that did not succeed in the end."""
        return sum(s.told.answer.outcome is not Outcome.OK for s in self.samples)

    @property
    def at_once(self) -> float:
        """Share of the requests that succeeded at the first try."""
        return sum(s.told.at_once for s in self.samples) / len(self.samples) if self.samples else float("nan")

    def added_s(self, share: float) -> float:
        """What failing first cost, over all requests: most have 0."""
        return percentile([s.told.added_s for s in self.samples], share) if self.samples else float("nan")

    def recovered_s(self, since_s: float, slow_s: float, until_s: float = 0.0, calm_s: float = 2.0) -> float:
        """From `since_s` until the harm was over: 0 where there was none.

        A request that was due since and failed, was repeated, or took longer than `slow_s` was harmed. The harm is
        over with the last of them before `calm_s` without any pass; not before `until_s`, when what did it ended.
        """
        harmed = [
            (s.intent.at_s, s.ended_s)
            for s in self.samples
            if s.ended_s > since_s and (s.latency_s > slow_s or not s.told.at_once)
        ]
        over = since_s
        for at_s, ended_s in sorted(harmed):
            if at_s > max(over, until_s) + calm_s:
                break
            over = max(over, ended_s)
        return over - since_s


async def drive(intents: Sequence[Intent], act: Act) -> Samples:
    """Send every request when it is due, however many are still unanswered; returns when all are."""
    running: set[asyncio.Task[Sample]] = set()
    done: list[Sample] = []
    late: list[float] = []
    began = time.perf_counter()

    async def one(intent: Intent) -> Sample:
        told = await act(intent)
        return Sample(intent, time.perf_counter() - began - intent.at_s, told)

    def finished(task: asyncio.Task[Sample]) -> None:
        running.discard(task)
        done.append(task.result())

    for intent in intents:
        wait = began + intent.at_s - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        late.append(max(0.0, time.perf_counter() - began - intent.at_s))
        task = asyncio.create_task(one(intent))
        running.add(task)
        task.add_done_callback(finished)
    while running:
        await asyncio.wait(set(running))
    return Samples(sorted(done, key=lambda s: s.intent.serial), late)
