"""A tenant that floods: a process of its own, an open loop far above what the system can take, no regard for refusals.

What bounds it is said here, so that a result can be judged. Requests are due at an even pace, whatever the answers. One
that is due while all connections wait for answers is not sent, and counted as such: a real client has a bounded number
of connections too. Bodies are prepared once and sent again, so that the flood costs the machine little besides what the
system does with it; its own CPU seconds are reported.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from benchmarks.tenantbench.adapter import Caller, Door
from benchmarks.tenantbench.client import Answer, Outcome
from benchmarks.tenantbench.ledger import Ledger
from benchmarks.tenantbench.workload import Batch, Kind, Question, due_times


@dataclass(frozen=True, slots=True)
class Flood:
    """What is sent, `rate` requests a second for `seconds`, over `connections`, with `keys` keys in turn."""

    tenant: str
    kind: Kind
    rate: float
    seconds: float
    connections: int = 64
    keys: int = 1
    rows: int = 500
    marker: str = ""
    question: Question = Question.HEAVY
    nice: int = 5


@dataclass(slots=True)
class FloodTold:
    """How it went."""

    due: int = 0
    unsent: int = 0
    """Due while no connection was free."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Answers by outcome."""
    seconds: float = 0.0
    cpu_s: float = 0.0
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def answered(self) -> int:
        return sum(self.outcomes.values())


@contextmanager
def flooding(flood: Flood, door: Door) -> Iterator[FloodTold]:
    """The flood runs meanwhile; what it tells is filled in at the end. Leaving early ends it early."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_process, args=(flood, door, theirs), daemon=True)
    process.start()
    told = FloodTold()
    try:
        ours.recv()  # it is connected
        yield told
    finally:
        ours.send("stop")
        if ours.poll(60.0):
            found = ours.recv()
            assert isinstance(found, FloodTold)
            for name in FloodTold.__slots__:
                setattr(told, name, getattr(found, name))
        process.join(10.0)
        if process.is_alive():
            process.kill()


def _process(flood: Flood, door: Door, pipe: Connection) -> None:
    os.nice(flood.nice)
    pipe.send(asyncio.run(_flood(flood, door, pipe)))


async def _flood(flood: Flood, door: Door, pipe: Connection) -> FloodTold:
    told, caller = FloodTold(), door.open(flood.connections)
    batch = Batch(flood.tenant, f"flood-{os.getpid()}", flood.rows, flood.marker)
    running: set[asyncio.Task[None]] = set()
    pipe.send("ready")
    began = time.perf_counter()

    async def one(key: int) -> None:
        answer = await _request(flood, caller, batch, key)
        told.outcomes[answer.outcome.value] += 1
        if flood.kind is Kind.INGEST:
            _note(told.ledger, batch, answer)

    for index, at in enumerate(due_times(flood.rate, flood.seconds)):
        wait = began + at - time.perf_counter()
        # A tick of at least a millisecond: to sleep for every request would cost more than the request.
        if wait > 0.001:
            await asyncio.sleep(wait)
        elif index % 50 == 0:
            await asyncio.sleep(0)
        if index % 50 == 0 and pipe.poll():
            break
        told.due += 1
        if len(running) >= flood.connections:
            told.unsent += 1
            continue
        task = asyncio.create_task(one(index % flood.keys))
        running.add(task)
        task.add_done_callback(running.discard)
    told.seconds = time.perf_counter() - began
    if running:
        await asyncio.wait(running)
    await caller.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    told.cpu_s = usage.ru_utime + usage.ru_stime
    return told


async def _request(flood: Flood, caller: Caller, batch: Batch, key: int) -> Answer:
    if flood.kind is Kind.INGEST:
        return await caller.send(batch, key=key, keyed=False)
    return await caller.ask(flood.tenant, flood.question, key=key)


def _note(ledger: Ledger, batch: Batch, answer: Answer) -> None:
    if answer.outcome is Outcome.OK:
        ledger.acknowledge(batch)
    elif answer.outcome is Outcome.UNKNOWN:
        ledger.doubt(batch)
    else:
        ledger.refuse(batch)
