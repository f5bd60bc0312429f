"""The load is the same for every system, and looks as it is said to."""

import itertools

import orjson
import pytest

from benchmarks.tenantbench.workload import (
    Batch,
    Kind,
    due_times,
    marker_of,
    ndjson,
    schedule,
    tenant_names,
    zipf_shares,
)

NAMES = tenant_names(50)


def test_shares_follow_zipf_and_are_a_whole() -> None:
    shares = zipf_shares(1_000, exponent=1.1)
    assert sum(shares) == pytest.approx(1.0)
    assert shares[0] / shares[9] == pytest.approx(10**1.1)


def test_the_same_seed_gives_the_same_requests() -> None:
    def made(seed: int) -> object:
        return schedule(NAMES, zipf_shares(50), rate=100, seconds=10, ingest_share=0.3, seed=seed)

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_requests_come_at_the_rate_the_shares_and_the_mix_asked_for() -> None:
    intents = schedule(NAMES, zipf_shares(50), rate=1_000, seconds=20, ingest_share=0.3, seed=1)
    assert len(intents) == pytest.approx(20_000, rel=0.03)
    assert sum(i.kind is Kind.INGEST for i in intents) / len(intents) == pytest.approx(0.3, abs=0.02)
    assert sum(i.tenant == NAMES[0] for i in intents) / len(intents) == pytest.approx(zipf_shares(50)[0], abs=0.02)
    assert [i.at_s for i in intents] == sorted(i.at_s for i in intents)
    # The gaps of a Poisson process vary as much as their mean; an even pace would have 0 here.
    gaps = [b.at_s - a.at_s for a, b in itertools.pairwise(intents)]
    mean = sum(gaps) / len(gaps)
    assert (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5 == pytest.approx(mean, rel=0.05)


def test_a_flood_is_due_at_an_even_pace() -> None:
    assert list(due_times(rate=4, seconds=1)) == [0.0, 0.25, 0.5, 0.75]


def test_every_event_carries_marker_batch_and_number() -> None:
    events = [orjson.loads(line) for line in ndjson(Batch("a", "b1", 3, "ma")).splitlines()]
    assert [(e["marker"], e["batch"], e["n"]) for e in events] == [("ma", "b1", 0), ("ma", "b1", 1), ("ma", "b1", 2)]


def test_a_marker_is_one_tenants_in_one_run() -> None:
    markers = {marker_of(tenant, seed) for tenant in NAMES for seed in (1, 2)}
    assert len(markers) == 100
    assert not any(tenant in marker_of(tenant, 1) for tenant in NAMES)
