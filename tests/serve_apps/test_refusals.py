from __future__ import annotations

from datetime import timedelta

import pytest

from serve_apps.edge import Edge
from serve_apps.refusals import Kind, Refusals, Slots
from tenancy.analytics.config import LimitsConfig
from tenancy.analytics.errors import LimitExceededError, UnavailableError
from tenancy.analytics.storage.catalog import UsageAddition
from tenancy.analytics.testing import ManualClock


def refusal(wait_s: float | None, limit: str = "events_per_second", tenant: str = "t") -> LimitExceededError:
    return LimitExceededError(tenant, limit, 10, 20, wait_s)


def test_a_refusal_is_repeated_until_the_time_it_gave_with_what_is_left_of_it() -> None:
    refusals = Refusals(remembered_s=60.0)
    refusals.remember(Kind.COLLECTING, refusal(2.0), now=100.0)
    repeated = refusals.repeated("t", Kind.COLLECTING, now=101.5)
    assert repeated is not None
    assert (repeated.wait_s, repeated.limit, repeated.used) == (0.5, "events_per_second", 20)
    assert refusals.repeated("t", Kind.COLLECTING, now=102.0) is None


def test_other_tenants_and_other_calls_are_not_refused_by_it() -> None:
    refusals = Refusals(remembered_s=60.0)
    refusals.remember(Kind.COLLECTING, refusal(2.0), now=0.0)
    assert refusals.repeated("u", Kind.COLLECTING, now=0.0) is None
    assert refusals.repeated("t", Kind.QUERYING, now=0.0) is None


def test_the_host_is_asked_again_after_a_while_for_the_limit_may_have_been_raised() -> None:
    refusals = Refusals(remembered_s=5.0)
    refusals.remember(Kind.QUERYING, refusal(3000.0, "scanned_bytes_per_hour"), now=0.0)
    repeated = refusals.repeated("t", Kind.QUERYING, now=4.0)
    assert repeated is not None
    assert repeated.wait_s == 2996.0
    assert refusals.repeated("t", Kind.QUERYING, now=5.0) is None


def test_what_no_waiting_mends_and_what_was_changed_is_not_repeated() -> None:
    refusals = Refusals(remembered_s=5.0)
    refusals.remember(Kind.COLLECTING, refusal(None, "stored_bytes"), now=0.0)
    assert refusals.repeated("t", Kind.COLLECTING, now=0.0) is None
    refusals.remember(Kind.COLLECTING, refusal(2.0), now=0.0)
    refusals.forget("t")
    assert refusals.repeated("t", Kind.COLLECTING, now=0.0) is None


def test_a_tenant_has_its_slots_and_no_more_and_a_failed_request_gives_its_own_back() -> None:
    slots = Slots(most=2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slots.taken("t"):
            raise ZeroDivisionError
    with slots.taken("t"), slots.taken("t"):
        with pytest.raises(LimitExceededError, match="concurrent_requests=2"), slots.taken("t"):
            pass
        with slots.taken("u"):
            pass


class Accounts:
    def __init__(self) -> None:
        self.added: list[tuple[str, UsageAddition]] = []
        self.reachable = True

    def add(self, tenant: str, addition: UsageAddition) -> None:
        if not self.reachable:
            raise UnavailableError("catalog", "away")
        self.added.append((tenant, addition))

    def refused(self, tenant: str, limit: str) -> int:
        return sum(
            amount
            for name, addition in self.added
            for (_, what), amount in addition.amounts.items()
            if name == tenant and what == f"refused.{limit}"
        )


def test_a_flood_of_refused_calls_reaches_the_host_once_and_is_accounted_for_whole() -> None:
    clock, accounts = ManualClock(), Accounts()
    edge = Edge(LimitsConfig(usage_seconds=10), accounts.add, clock)
    asked = []

    def ask() -> None:
        with edge.minding("t", Kind.COLLECTING):
            asked.append(True)
            raise refusal(2.0)

    for _ in range(1000):
        with pytest.raises(LimitExceededError):
            ask()
    assert len(asked) == 1
    accounts.reachable = False
    clock.advance(timedelta(seconds=10))
    edge.settle()
    accounts.reachable = True
    clock.advance(timedelta(seconds=10))
    edge.settle()
    assert accounts.refused("t", "events_per_second") == 999, "the first is in the accounts of its host"


def test_requests_beyond_the_slots_are_accounted_for_when_the_replica_ends() -> None:
    clock, accounts = ManualClock(), Accounts()
    edge = Edge(LimitsConfig(concurrent_requests=1, usage_seconds=10), accounts.add, clock)
    with edge.at_work("t"), pytest.raises(LimitExceededError), edge.at_work("t"):
        pass
    with edge.at_work("t"):
        pass
    edge.close()
    assert accounts.refused("t", "concurrent_requests") == 1
