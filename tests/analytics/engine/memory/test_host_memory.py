from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tenancy.analytics.engine.memory import Budget, Holding, HostMemory, Level
from tenancy.analytics.errors import MemoryPressureError, PayloadTooLargeError, StorageFullError
from tenancy.analytics.testing import ManualClock

BUDGET = Budget(total=1000, query=300, bodies=240, buffers=200, caches=60)


class Process:
    """Resident memory as a test says."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.resident = 300

    def measure(self) -> int:
        return self.resident

    def becomes(self, resident: int) -> None:
        self.resident = resident
        self.clock.advance(timedelta(seconds=1))


@dataclass
class Tenant:
    """Holds what a test says; a flush frees it in the process too."""

    tenant: str
    process: Process
    buffers: int = 0
    caches: int = 0
    failure: Exception | None = None
    done: list[str] = field(default_factory=list)

    def holding(self) -> Holding:
        return Holding(self.tenant, self.buffers, self.caches)

    def flush_largest(self) -> Future[None]:
        flushed: Future[None] = Future()
        if self.failure is not None:
            flushed.set_exception(self.failure)
            return flushed
        self.done.append("flush")
        self.process.becomes(self.process.resident - self.buffers)
        self.buffers = 0
        flushed.set_result(None)
        return flushed

    def evict(self) -> None:
        self.done.append("evict")
        self.process.becomes(self.process.resident - self.caches)
        self.caches = 0


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def memory(process: Process) -> Iterator[HostMemory]:
    memory = HostMemory(BUDGET, process.clock, resident=process.measure)
    yield memory
    memory.close()


def test_a_body_is_counted_until_it_is_stored_and_once(memory: HostMemory) -> None:
    room = memory.admit("a", 10)
    assert memory.reserved == 80
    room.done()
    room.done()
    assert memory.reserved == 0


def test_bodies_that_do_not_fit_together_are_refused_and_come_back_when_there_is_room(memory: HostMemory) -> None:
    first = memory.admit("a", 25)
    with pytest.raises(MemoryPressureError, match="bodies") as refused:
        memory.admit("b", 25)
    assert 0 < refused.value.retry_after_s <= 3
    first.done()
    memory.admit("b", 25).done()


def test_a_body_that_never_fits_is_not_told_to_come_back(memory: HostMemory) -> None:
    with pytest.raises(PayloadTooLargeError, match="host_memory_mb"):
        memory.admit("a", 31)


def test_a_query_that_runs_keeps_the_memory_that_it_may_take(process: Process) -> None:
    used = [0]
    memory = HostMemory(BUDGET, process.clock, lambda: used[0], process.measure)
    process.becomes(740)
    with memory.asking("a"):
        with pytest.raises(MemoryPressureError, match="resident"):
            memory.admit("b", 10)
        used[0] = 140  # it has taken most of it, so that is in what is resident already
        memory.admit("b", 10).done()
    used[0] = 0
    memory.admit("b", 10).done()
    memory.close()


def test_the_largest_is_flushed_until_there_is_room_again(memory: HostMemory, process: Process) -> None:
    tenants = [Tenant("a", process, buffers=20), Tenant("b", process, buffers=90), Tenant("c", process, buffers=50)]
    for each in tenants:
        memory.join(each)
    assert memory.relieve_now() is Level.FLUSH
    assert [each.done for each in tenants] == [[], ["flush"], []]
    assert memory.level is Level.NORMAL


def test_a_tenant_that_cannot_be_flushed_does_not_keep_the_others_from_it(memory: HostMemory, process: Process) -> None:
    broken = Tenant("a", process, buffers=120, failure=StorageFullError("disk"))
    works = Tenant("b", process, buffers=60)
    memory.join(broken)
    memory.join(works)
    process.becomes(960)
    assert memory.relieve_now() is Level.REFUSE
    assert works.done == ["flush"]


def test_caches_are_given_up_before_anything_is_refused(memory: HostMemory, process: Process) -> None:
    tenant = Tenant("a", process, caches=50)
    memory.join(tenant)
    process.becomes(860)
    assert memory.relieve_now() is Level.EVICT
    assert tenant.done == ["evict"]
    memory.admit("a", 1).done()


def test_what_nothing_helps_against_is_refused_until_it_is_over(memory: HostMemory, process: Process) -> None:
    with memory.asking("a"):  # so that the host is not idle
        process.becomes(970)
        assert memory.relieve_now() is Level.REFUSE
        with pytest.raises(MemoryPressureError), memory.asking("b"):
            pytest.fail("nothing may be let in")
        process.becomes(500)
        assert memory.relieve_now() is Level.NORMAL
        with memory.asking("b"):
            pass


def test_buffers_count_from_the_moment_a_body_is_stored(memory: HostMemory, process: Process) -> None:
    tenant = Tenant("a", process)
    memory.join(tenant)
    room = memory.admit("a", 10)
    tenant.buffers = 200
    room.done()
    with pytest.raises(MemoryPressureError, match="buffers"):
        memory.admit("b", 1)
    memory.leave(tenant)
    memory.admit("b", 1).done()


def test_segments_are_merged_only_where_there_is_room(memory: HostMemory, process: Process) -> None:
    with memory.merging() as first, memory.merging() as second:
        assert first
        assert second
    process.becomes(700)
    with memory.merging() as first, memory.merging() as second:
        assert first
        assert not second
    process.becomes(800)
    memory.relieve_now()
    with memory.merging() as one:
        assert not one
