from __future__ import annotations

from datetime import timedelta

import pytest

from tenancy.analytics.config import LimitsConfig
from tenancy.analytics.engine.limits import Gate, Standing, TenantLimits
from tenancy.analytics.errors import LimitExceededError
from tenancy.analytics.testing import ManualClock


class Stored:
    bytes = 0


class Tenant:
    """A gate, and what passes through it."""

    def __init__(self, **limits: int) -> None:
        self.clock = ManualClock()
        self.stored = Stored()
        self.gate = Gate("tenant_001", TenantLimits(**limits), 1, self.clock, lambda: self.stored.bytes)

    def collect(self, rows: int = 1, size: int = 10, at_most: int | None = None) -> None:
        with self.gate.collecting(lambda: rows if at_most is None else at_most, size) as ticket:
            ticket.rows = rows

    def ask(self, scanned: int = 0) -> None:
        with self.gate.querying():
            self.gate.scanned(scanned)

    def later(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


def test_without_limits_everything_passes() -> None:
    tenant = Tenant()
    for _ in range(1000):
        tenant.collect(10**6, 10**9)
        tenant.ask(10**12)
    assert tenant.gate.standings() == ()


def test_over_the_rate_the_limit_is_named_with_what_is_used_and_a_wait_that_is_true() -> None:
    tenant = Tenant(events_per_second=100)
    tenant.collect(130)
    with pytest.raises(LimitExceededError) as refused:
        tenant.collect()
    error = refused.value
    assert (error.tenant, error.limit, error.allowed, error.used) == ("tenant_001", "events_per_second", 100, 130)
    assert error.wait_s is not None
    tenant.later(error.wait_s - 0.003)
    with pytest.raises(LimitExceededError):
        tenant.collect()
    tenant.later(0.003)
    tenant.collect()


def test_of_several_limits_the_wait_is_the_one_that_is_enough_for_all() -> None:
    tenant = Tenant(events_per_second=100, bytes_per_second=100)
    tenant.collect(rows=150, size=1000)
    with pytest.raises(LimitExceededError) as refused:
        tenant.collect()
    assert refused.value.limit == "bytes_per_second"
    tenant.later(refused.value.wait_s or 0.0)
    tenant.collect()


def test_what_was_taken_for_more_rows_than_there_were_is_given_back() -> None:
    tenant = Tenant(events_per_second=100)
    tenant.collect(rows=10, at_most=90)
    assert tenant.gate.standings() == (Standing("events_per_second", 100, 10),)


def test_calls_that_are_under_way_count_as_much_as_they_may_be() -> None:
    tenant = Tenant(events_per_second=100)
    with tenant.gate.collecting(lambda: 100, 10), pytest.raises(LimitExceededError):
        tenant.collect()
    tenant.collect()


def test_bodies_that_always_have_less_rows_than_they_may_soon_count_as_what_they_have() -> None:
    tenant = Tenant(events_per_second=1000)
    for _ in range(40):
        tenant.collect(rows=10, at_most=100)
        tenant.later(1)
    with tenant.gate.collecting(lambda: 100, 10):
        (standing,) = tenant.gate.standings()
    assert 10 <= standing.used <= 12


def test_a_call_that_fails_costs_no_events() -> None:
    tenant = Tenant(events_per_second=100)
    with pytest.raises(ZeroDivisionError), tenant.gate.collecting(lambda: 100, 10):
        raise ZeroDivisionError
    tenant.collect()


def test_a_refused_call_takes_nothing_of_the_other_limits() -> None:
    tenant = Tenant(events_per_second=10, bytes_per_second=1000)
    tenant.collect(rows=10, size=10)
    for _ in range(10):
        with pytest.raises(LimitExceededError):
            tenant.collect(size=500)
    assert tenant.gate.standings()[1] == Standing("bytes_per_second", 1000, 10)


def test_a_query_beyond_the_bytes_of_the_hour_is_finished_and_the_next_is_refused() -> None:
    tenant = Tenant(scanned_bytes_per_hour=3600)
    tenant.ask(scanned=7200)
    with pytest.raises(LimitExceededError, match="scanned_bytes_per_hour") as refused:
        tenant.ask()
    assert refused.value.wait_s == pytest.approx(3601, abs=0.01)
    tenant.later(refused.value.wait_s or 0.0)
    tenant.ask()


def test_queries_at_once_are_bounded_and_each_that_ends_makes_room() -> None:
    tenant = Tenant(concurrent_queries=2)
    with tenant.gate.querying():
        with tenant.gate.querying(), pytest.raises(LimitExceededError, match="concurrent_queries=2"):
            tenant.ask()
        tenant.ask()


def test_a_full_store_refuses_events_without_a_time_to_come_back_and_answers_queries() -> None:
    tenant = Tenant(stored_bytes=100)
    tenant.stored.bytes = 100
    with pytest.raises(LimitExceededError) as refused:
        tenant.collect()
    assert refused.value.retry_after_s is None
    tenant.ask()
    tenant.stored.bytes = 99
    tenant.later(1)
    tenant.collect()


def test_other_limits_count_at_once_and_debts_stay() -> None:
    tenant = Tenant(events_per_second=10)
    tenant.collect(100)
    tenant.gate.change(TenantLimits(events_per_second=200, queries_per_second=1))
    assert tenant.gate.standings()[0] == Standing("events_per_second", 200, 100)
    tenant.collect()
    tenant.gate.change(TenantLimits(events_per_second=10))
    with pytest.raises(LimitExceededError):
        tenant.collect()
    tenant.gate.change(TenantLimits())
    tenant.collect(10**6)


def test_a_tenant_without_limits_of_its_own_has_those_of_the_settings() -> None:
    defaults = LimitsConfig(events_per_second=5, stored_bytes=7, weight=2.0)
    assert TenantLimits().over(defaults) == TenantLimits(events_per_second=5, stored_bytes=7, weight=2.0)
    own = TenantLimits(stored_bytes=None, weight=1.0)
    assert own.over(defaults) == TenantLimits(events_per_second=5)
    assert TenantLimits.load(own.given()).over(defaults) == own.over(defaults), "also after it was stored"
