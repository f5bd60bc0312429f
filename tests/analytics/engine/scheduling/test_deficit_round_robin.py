from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenancy.analytics.engine.scheduling import DeficitRoundRobin, Turn

QUANTUM = 1.0
MOST = 6.0
"""The dearest job, in quanta."""

tenants = st.sampled_from(["ann", "bob", "cid", "dee"])
kinds = st.sampled_from(["asking", "storing"])
costs = st.integers(0, int(8 * MOST)).map(lambda eighths: eighths / 8)  # sums of them are exact
some_cost = costs.filter(bool)
weights = st.sampled_from([0.5, 1.0, 2.0, 4.0])
pairs = st.tuples(costs, some_cost)
"""What a job is guessed to cost, and what it does cost."""
floods = st.lists(pairs, min_size=1, max_size=6).map(lambda few: (few * 40)[:40])


@dataclass(frozen=True, slots=True)
class Job:
    number: int
    actual: float


@dataclass
class Bench:
    """A queue with jobs that know what they will cost, and what was done of whose."""

    queue: DeficitRoundRobin[str, Job]
    done: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    made: int = 0

    @classmethod
    def of(cls, weight_of: dict[str, float], most_each: int = 99) -> Bench:
        bench = cls(DeficitRoundRobin[str, Job](QUANTUM, {"asking": most_each, "storing": most_each}))
        for tenant, weight in weight_of.items():
            bench.queue.open(tenant, weight)
        return bench

    def push(self, tenant: str, guessed: float, actual: float, kind: str = "asking") -> Job:
        self.made += 1
        job = Job(self.made, actual)
        self.queue.push(tenant, kind, guessed, job)
        return job

    def flood(self, tenant: str, jobs: list[tuple[float, float]], kind: str = "asking") -> None:
        for guessed, actual in jobs:
            self.push(tenant, guessed, actual, kind)

    def serve(self, kind: str = "asking") -> Turn[str, Job] | None:
        """One job, from turn to end."""
        turn = self.queue.pop(kind)
        if turn is not None:
            self.queue.settle(turn, turn.job.actual)
            self.done[turn.tenant] += turn.job.actual
        return turn

    def serve_while_all_wait(self, kind: str = "asking") -> list[dict[str, float]]:
        """What was done of whose after each job, as long as every tenant had another one."""
        states: list[dict[str, float]] = []
        while all(self.queue.waiting(tenant) for tenant in self.done) and self.serve(kind) is not None:
            states.append(dict(self.done))
        return states


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), tenants, kinds, pairs),
            st.tuples(st.just("pop"), kinds),
            st.tuples(st.just("settle"), st.integers(0, 9)),
        ),
        max_size=60,
    ),
    st.fixed_dictionaries(dict.fromkeys(("ann", "bob", "cid", "dee"), weights)),
    st.integers(1, 3),
)
def test_no_job_is_lost_or_overtaken_by_its_own_tenants_and_none_waits_while_it_could_run(
    steps: list[tuple[object, ...]], weight_of: dict[str, float], most_each: int
) -> None:
    bench = Bench.of(weight_of, most_each)
    waiting: dict[tuple[str, str], deque[Job]] = defaultdict(deque)
    running: list[Turn[str, Job]] = []
    held: Counter[tuple[str, str]] = Counter()

    def pop(kind: str) -> None:
        able = {tenant for (tenant, of), jobs in waiting.items() if of == kind and jobs} & {
            tenant for tenant in weight_of if held[tenant, kind] < most_each
        }
        turn = bench.queue.pop(kind)
        assert (turn is not None) == bool(able)
        if turn is not None:
            assert turn.tenant in able
            assert turn.job is waiting[turn.tenant, kind].popleft()
            running.append(turn)
            held[turn.tenant, kind] += 1

    def settle(index: int) -> None:
        turn = running.pop(index)
        held[turn.tenant, turn.kind] -= 1
        bench.queue.settle(turn, turn.job.actual)

    for step in steps:
        match step:
            case ("push", str(tenant), str(kind), (float(guessed), float(actual))):
                waiting[tenant, kind].append(bench.push(tenant, guessed, actual, kind))
            case ("pop", str(kind)):
                pop(kind)
            case ("settle", int(index)) if running:
                settle(index % len(running))
        assert len(bench.queue) == sum(map(len, waiting.values()))
    while running or any(waiting.values()):
        for kind in ("asking", "storing"):
            pop(kind)
        if running:
            settle(0)
    assert len(bench.queue) == 0


@given(st.dictionaries(tenants, st.tuples(weights, floods), min_size=2))
def test_tenants_that_all_want_more_get_what_their_weights_say_of_the_time(
    given: dict[str, tuple[float, list[tuple[float, float]]]],
) -> None:
    bench = Bench.of({tenant: weight for tenant, (weight, _) in given.items()})
    for tenant, (_, jobs) in given.items():
        bench.flood(tenant, jobs)
        bench.done[tenant] = 0.0
    for done in bench.serve_while_all_wait():
        shares = {tenant: (done[tenant] / weight, MOST / weight) for tenant, (weight, _) in given.items()}
        for mine, my_most in shares.values():
            for other, their_most in shares.values():
                # Visits differ by one at most, and each began and ended less than a job in debt.
                assert mine - other <= QUANTUM + my_most + their_most


@given(
    st.dictionaries(tenants, st.tuples(weights, floods), min_size=1),
    st.integers(0, 25),
    st.lists(kinds, max_size=30),
)
def test_a_quiet_tenant_waits_for_no_more_than_one_turn_of_each_other(
    loud: dict[str, tuple[float, list[tuple[float, float]]]], before: int, meanwhile: list[str]
) -> None:
    bench = Bench.of({tenant: weight for tenant, (weight, _) in loud.items()} | {"quiet": 1.0})
    for tenant, (_, jobs) in loud.items():
        bench.flood(tenant, jobs)
        bench.flood(tenant, jobs, "storing")
    for _ in range(before):
        bench.serve()
        bench.serve("storing")
    bench.push("quiet", 0.5, 0.5)
    waited: dict[str, float] = defaultdict(float)
    for kind in [*meanwhile * 4, *["asking"] * 200]:
        turn = bench.serve(kind)
        assert turn is not None or kind == "storing"
        if turn is not None and kind == "asking":
            if turn.tenant == "quiet":
                break
            waited[turn.tenant] += turn.job.actual
    else:
        pytest.fail("the quiet tenant was not served")
    for tenant, seconds in waited.items():
        assert seconds <= QUANTUM * loud[tenant][0] + MOST


@given(st.lists(costs, min_size=20, max_size=60), st.integers(1, 4))
def test_jobs_that_run_at_once_count_before_anybody_knows_what_they_cost(guesses: list[float], slots: int) -> None:
    bench = Bench.of({"loud": 1.0, "quiet": 1.0})
    bench.flood("loud", [(guessed, MOST) for guessed in guesses])
    running: deque[Turn[str, Job]] = deque()
    bench.push("quiet", 0.5, 0.5)
    waited = 0
    while True:
        while len(running) == slots:
            done = running.popleft()
            bench.queue.settle(done, done.job.actual)
        turn = bench.queue.pop("asking")
        assert turn is not None
        if turn.tenant == "quiet":
            break
        running.append(turn)
        waited += 1
        # While it is not known that its guesses are wrong a tenant may fill the slots, and a quantum by its guesses.
        assert waited <= slots + QUANTUM / min(filter(None, guesses), default=1.0) + guesses.count(0.0)


@given(st.lists(some_cost, min_size=10, max_size=30), weights, weights)
def test_who_wanted_nothing_for_long_gets_no_more_than_its_share_when_it_comes_back(
    idle_for: list[float], early_weight: float, late_weight: float
) -> None:
    bench = Bench.of({"early": early_weight, "late": late_weight})
    bench.flood("early", [(cost, cost) for cost in idle_for])
    for _ in idle_for:
        bench.serve()
    bench.flood("early", [(1.0, 1.0)] * 100)
    bench.flood("late", [(1.0, 1.0)] * 100)
    bench.done = {"early": 0.0, "late": 0.0}
    for done in bench.serve_while_all_wait():
        lead = done["late"] / late_weight - done["early"] / early_weight
        assert lead <= QUANTUM + MOST / early_weight + 1.0 / late_weight + QUANTUM


def test_who_is_underestimated_waits_the_longer_for_its_next_turn() -> None:
    bench = Bench.of({"sly": 1.0, "plain": 1.0})
    bench.flood("sly", [(0.125, 5.0)] * 20)
    bench.flood("plain", [(1.0, 1.0)] * 100)
    turns = [turn.tenant for _ in range(60) if (turn := bench.serve()) is not None]
    assert turns.count("sly") == pytest.approx(10, abs=1)
    assert all(turns[at + 1] == "plain" for at, tenant in enumerate(turns) if tenant == "sly")


def test_what_a_tenant_took_in_one_kind_counts_in_the_others() -> None:
    bench = Bench.of({"both": 1.0, "one": 1.0})
    bench.flood("both", [(1.0, 1.0)] * 50)
    bench.flood("one", [(1.0, 1.0)] * 50)
    bench.push("both", 5.0, 5.0, "storing")
    bench.push("one", 0.125, 0.125, "storing")
    assert {turn.tenant for turn in (bench.serve("storing"), bench.serve("storing")) if turn} == {"both", "one"}
    bench.done.clear()
    for _ in range(20):
        bench.serve()
    assert bench.done["one"] - bench.done["both"] == pytest.approx(5.0, abs=1.0)


def test_a_debt_is_paid_off_by_the_turns_that_its_tenant_did_not_take() -> None:
    bench = Bench.of({"quiet": 1.0, "loud": 1.0})
    bench.push("quiet", 0.5, MOST)
    bench.serve()  # a single dear query, long ago
    bench.flood("loud", [(1.0, 1.0)] * 100)
    for _ in range(50):
        bench.serve()
    bench.push("quiet", 0.5, 0.5)
    turns = [turn.tenant for _ in range(3) if (turn := bench.serve()) is not None]
    assert "quiet" in turns


def test_a_tenant_that_closes_is_served_what_it_had_queued_and_then_forgotten() -> None:
    bench = Bench.of({"leaving": 1.0, "staying": 1.0})
    bench.flood("leaving", [(1.0, 1.0)] * 3)
    bench.queue.close("leaving")
    assert [turn.tenant for _ in range(3) if (turn := bench.serve()) is not None] == ["leaving"] * 3
    with pytest.raises(KeyError):
        bench.push("leaving", 1.0, 1.0)


@settings(max_examples=20)
@given(st.integers(2, 300), some_cost)
def test_a_long_ring_of_debtors_is_served_without_going_round_for_every_quantum(size: int, cost: float) -> None:
    bench = Bench.of({f"tenant {index}": 1.0 for index in range(size)})
    for index in range(size):
        bench.flood(f"tenant {index}", [(50 * cost, 50 * cost)] * 2)
    served = [turn.tenant for _ in range(2 * size) if (turn := bench.serve()) is not None]
    assert Counter(served) == dict.fromkeys((f"tenant {index}" for index in range(size)), 2)
    assert set(served[:size]) == {f"tenant {index}" for index in range(size)}
