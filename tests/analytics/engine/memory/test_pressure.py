from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.engine.memory import Budget, Demand, Holding, Level, level_of, refusal, relief

BUDGET = Budget(total=1000, query=300, bodies=240, buffers=200, caches=60)
CALM = Demand(wanted=8, resident=300, in_flight=0, query_room=0)

sizes = st.integers(0, 2000)
holdings = st.lists(st.tuples(sizes, sizes), max_size=12).map(
    lambda pairs: [Holding(f"t{index:02}", buffers, caches) for index, (buffers, caches) in enumerate(pairs)]
)


@given(sizes, sizes, st.sampled_from(Level), sizes)
def test_more_memory_in_use_never_lowers_the_level(resident: int, buffers: int, before: Level, more: int) -> None:
    level = level_of(BUDGET, resident, buffers, before)
    assert level_of(BUDGET, resident + more, buffers, before) >= level
    assert level_of(BUDGET, resident, buffers + more, before) >= level


@given(sizes, sizes, st.sampled_from(Level))
def test_a_level_that_was_reached_does_not_flutter(resident: int, buffers: int, before: Level) -> None:
    level = level_of(BUDGET, resident, buffers, before)
    assert level_of(BUDGET, resident, buffers, level) == level


def test_a_level_goes_only_well_below_where_it_came() -> None:
    assert level_of(BUDGET, resident=950, buffers=0) is Level.REFUSE
    assert level_of(BUDGET, resident=900, buffers=0, before=Level.REFUSE) is Level.REFUSE
    assert level_of(BUDGET, resident=870, buffers=0, before=Level.REFUSE) is Level.EVICT


def test_buffers_that_fill_their_share_are_pressure_though_the_process_is_small() -> None:
    assert level_of(BUDGET, resident=100, buffers=160) is Level.FLUSH
    assert level_of(BUDGET, resident=100, buffers=199) is Level.REFUSE


def test_the_largest_buffers_are_flushed_first_and_no_more_than_is_needed() -> None:
    held = [Holding("small", 10), Holding("large", 100), Holding("middle", 60)]
    assert relief(BUDGET, Level.FLUSH, 300, held).flush == ("large",)
    assert relief(BUDGET, Level.FLUSH, 740, held).flush == ("large", "middle")


def test_caches_are_given_up_after_buffers_and_the_largest_first() -> None:
    held = [Holding("a", 0, 20), Holding("b", 0, 30)]
    assert relief(BUDGET, Level.FLUSH, 800, held).evict == ()
    assert relief(BUDGET, Level.EVICT, 860, held).evict == ("b", "a")
    assert relief(BUDGET, Level.EVICT, 615, held).evict == ("b",)


def test_caches_over_their_share_are_cut_back_at_any_level() -> None:
    assert relief(BUDGET, Level.NORMAL, 300, [Holding("a", 0, 70), Holding("b", 0, 10)]).evict == ("a",)


@given(sizes, holdings)
def test_nothing_is_done_while_there_is_room(resident: int, held: list[Holding]) -> None:
    todo = relief(BUDGET, Level.NORMAL, resident, [replace(each, caches=0) for each in held])
    assert not todo.flush
    assert not todo.evict
    assert not todo.release


@given(st.sampled_from(Level), sizes, holdings)
def test_who_is_spared_never_holds_more_than_who_is_flushed(level: Level, resident: int, held: list[Holding]) -> None:
    todo = relief(BUDGET, level, resident, held)
    flushed = [each.buffers for each in held if each.tenant in todo.flush]
    spared = [each.buffers for each in held if each.tenant not in todo.flush]
    assert not flushed or not spared or min(flushed) >= max(spared)


demands = st.builds(
    Demand,
    wanted=st.integers(1, 240),
    resident=sizes,
    in_flight=st.integers(0, 400),
    query_room=st.integers(0, 300),
    own_in_flight=st.integers(0, 240),
    in_flight_tenants=st.integers(1, 50),
    buffers=sizes,
    own_buffers=sizes,
    buffer_tenants=st.integers(1, 50),
    query=st.booleans(),
)


@given(st.sampled_from(Level), demands)
def test_what_is_let_in_fits_with_all_that_was_let_in_before(level: Level, demand: Demand) -> None:
    if refusal(BUDGET, level, demand) is None:
        assert demand.resident + demand.in_flight + demand.query_room + demand.wanted <= BUDGET.total
        assert demand.query or demand.in_flight + demand.wanted <= BUDGET.bodies
        assert demand.query or demand.buffers < BUDGET.buffers


@given(st.sampled_from(Level), demands, st.integers(0, 200))
def test_what_is_refused_is_refused_with_less_room_as_well(level: Level, demand: Demand, more: int) -> None:
    if refusal(BUDGET, level, demand) is not None:
        worse = replace(demand, resident=demand.resident + more, buffers=demand.buffers + more)
        assert refusal(BUDGET, level, worse) is not None


def test_memory_that_is_not_given_back_does_not_keep_an_idle_host_shut() -> None:
    stuck = replace(CALM, resident=1200)
    assert refusal(BUDGET, Level.REFUSE, stuck) == "resident"
    assert refusal(BUDGET, Level.REFUSE, replace(stuck, alone=True)) is None


def test_one_tenant_alone_may_use_all_that_is_there_for_bodies() -> None:
    assert refusal(BUDGET, Level.NORMAL, replace(CALM, in_flight=200, own_in_flight=200)) is None


def test_a_tenant_that_holds_most_is_refused_and_a_quiet_one_is_not() -> None:
    loud = replace(CALM, in_flight=200, own_in_flight=190, in_flight_tenants=4)
    assert refusal(BUDGET, Level.NORMAL, loud) == "bodies"
    assert refusal(BUDGET, Level.NORMAL, replace(loud, own_in_flight=10)) is None

    full = replace(CALM, buffers=140, own_buffers=120, buffer_tenants=3)
    assert refusal(BUDGET, Level.NORMAL, full) == "buffers"
    assert refusal(BUDGET, Level.NORMAL, replace(full, own_buffers=10)) is None


def test_bodies_leave_room_for_queries() -> None:
    last = replace(CALM, resident=960)
    assert refusal(BUDGET, Level.EVICT, last) == "resident"
    assert refusal(BUDGET, Level.EVICT, replace(last, query=True)) is None
