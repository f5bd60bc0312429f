"""The plan of a chaos run, and what is made of what was measured."""

from __future__ import annotations

from benchmarks.chaos.plan import Harm, plan
from benchmarks.chaos.run import Struck, recoveries
from benchmarks.tenantbench.client import Answer, Outcome, Told
from benchmarks.tenantbench.drive import Sample
from benchmarks.tenantbench.workload import Intent, Kind


def test_the_same_seed_does_the_same_things_at_the_same_moments() -> None:
    assert plan(3, 300, 5) == plan(3, 300, 5) != plan(4, 300, 5)


def test_every_kind_comes_once_before_any_comes_again() -> None:
    blows = plan(5, 600, 5)
    assert {blow.harm for blow in blows[: len(Harm)]} == set(Harm)
    assert 80 < len(blows) < 160


def test_nothing_happens_at_the_very_start_and_the_very_end() -> None:
    blows = plan(6, 60, 2, [Harm.KILL_HOST], quiet_s=7)
    assert all(7 <= blow.at_s < 53 for blow in blows)
    assert {blow.harm for blow in blows} == {Harm.KILL_HOST}


def sample(at_s: float, latency_s: float, tries: int) -> Sample:
    return Sample(Intent(at_s, "acme", Kind.QUERY, 0), latency_s, Told(Answer(Outcome.OK, 200), tries, 0.0))


def test_a_system_has_recovered_with_the_last_request_that_needed_another_try() -> None:
    struck = [Struck(10.0, Harm.KILL_HOST, ""), Struck(20.0, Harm.KILL_HOST, ""), Struck(30.0, Harm.KILL_NODE, "")]
    samples = [sample(9.9, 0.6, 2), sample(10.1, 1.4, 3), sample(11.0, 5.0, 1), sample(31.0, 2.0, 2)]
    found = recoveries(struck, samples)
    assert [round(each, 6) for each in found[Harm.KILL_HOST]] == [1.5, 0.0]
    assert [round(each, 6) for each in found[Harm.KILL_NODE]] == [3.0]
