"""Requests are sent when they are due, whether or not earlier ones were answered."""

import asyncio

import pytest

from benchmarks.tenantbench.client import Answer, Outcome, Told
from benchmarks.tenantbench.drive import Sample, Samples, drive
from benchmarks.tenantbench.workload import Intent, Kind

OK = Told(Answer(Outcome.OK, 200), 1, 0.0)
REPEATED = Told(Answer(Outcome.OK, 200), 2, 1.5)
FAILED = Told(Answer(Outcome.UNKNOWN), 5, 30.0)


def sample(at_s: float, latency_s: float = 0.01, told: Told = OK, kind: Kind = Kind.QUERY) -> Sample:
    return Sample(Intent(at_s, "a", kind, int(at_s * 1000)), latency_s, told)


async def test_a_stalled_system_is_sent_every_request_when_it_is_due() -> None:
    stalled, sent = asyncio.Event(), 0

    async def act(_: Intent) -> Told:
        nonlocal sent
        sent += 1
        if sent == 20:
            stalled.set()
        await stalled.wait()
        return OK

    # Nothing is answered before the last one was sent: a closed loop would wait for ever.
    async with asyncio.timeout(10):
        samples = await drive([Intent(index / 1000, "a", Kind.QUERY, index) for index in range(20)], act)
    assert len(samples.samples) == 20
    # The stall is in the latency of all that were due in it.
    first, last = samples.samples[0], samples.samples[-1]
    assert first.latency_s > last.latency_s
    assert first.ended_s == pytest.approx(last.ended_s, abs=0.01)


def test_recovery_is_the_end_of_the_last_harmed_request() -> None:
    samples = Samples([sample(1.0), sample(5.0, 2.0), sample(5.5, 1.6, REPEATED), sample(7.5)])
    assert samples.recovered_s(5.0, slow_s=0.25) == pytest.approx(2.1)


def test_nothing_harmed_is_recovered_at_once() -> None:
    assert Samples([sample(1.0), sample(5.0)]).recovered_s(4.0, slow_s=0.25) == 0.0


def test_a_slow_request_long_after_calm_returned_is_not_part_of_the_harm() -> None:
    samples = Samples([sample(5.0, 1.0), sample(9.0, 0.5)])
    assert samples.recovered_s(5.0, slow_s=0.25) == pytest.approx(1.0)


def test_a_request_under_way_when_harm_came_counts() -> None:
    assert Samples([sample(4.9, 1.1)]).recovered_s(5.0, slow_s=0.25) == pytest.approx(1.0)


def test_failures_and_first_successes_are_counted() -> None:
    samples = Samples([sample(float(n)) for n in range(8)] + [sample(8, 2.0, REPEATED), sample(9, 30.0, FAILED)])
    assert samples.failed == 1
    assert samples.at_once == pytest.approx(0.8)
    assert samples.added_s(0.85) == 1.5
    assert samples.of(Kind.INGEST).samples == []


def test_harm_may_begin_late_in_what_takes_long() -> None:
    samples = Samples([sample(20.0, 1.0), sample(30.0, 1.0)])
    assert samples.recovered_s(5.0, slow_s=0.25, until_s=21.0) == pytest.approx(16.0)
