"""What was used adds up exactly: each addition once, whoever repeats it, and nothing from an owner that is over."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import ConflictError, StaleOwnerError
from tenancy.analytics.storage.catalog import Catalog, Change, TenantCatalog, UsageAddition, UsageRow
from tenancy.analytics.testing import ManualClock
from tests.analytics.storage.catalog.conftest import NOON

_numbers = itertools.count()
DAY = timedelta(days=1)
STORED = "stored_bytes"


def used(rows: TenantCatalog) -> dict[tuple[datetime, str], int]:
    found = rows.usage(NOON - DAY, NOON + DAY)
    return {(row.hour, row.what): row.amount for row in found if row.what != STORED}


def test_amounts_of_an_hour_add_up_and_hours_are_kept_apart(rows: TenantCatalog) -> None:
    hour = timedelta(hours=1)
    rows.add_usage(UsageAddition("a", 1, {(NOON, "events"): 3, (NOON, "queries"): 2**40}))
    rows.add_usage(UsageAddition("a", 2, {(NOON, "events"): 4, (NOON + hour, "events"): 5}))
    assert rows.usage(NOON, NOON + hour) == [
        UsageRow(NOON, "events", 7),
        UsageRow(NOON, "queries", 2**40),
        UsageRow(NOON, STORED, 0),
    ]
    assert rows.usage(NOON + hour, NOON + 2 * hour) == [UsageRow(NOON + hour, "events", 5)]


def test_an_addition_that_is_repeated_counts_once(rows: TenantCatalog) -> None:
    addition = UsageAddition("a", 1, {(NOON, "events"): 3})
    for _ in range(3):
        rows.add_usage(addition)
    assert used(rows) == {(NOON, "events"): 3}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.booleans()), max_size=12))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_repeated_every_source_counts_whole(catalog: Catalog, history: list[tuple[str, int, bool]]) -> None:
    tenant = f"t{next(_numbers)}"
    catalog.create_tenant(tenant)
    rows, numbers, total = catalog.tenant(tenant), {"a": 0, "b": 0}, 0
    for source, amount, again in history:
        numbers[source] += 1
        addition = UsageAddition(source, numbers[source], {(NOON, "events"): amount})
        rows.add_usage(addition)
        if again:
            rows.add_usage(addition)
        total += amount
    assert sum(used(rows).values()) == total


def test_an_owner_that_is_over_adds_nothing(rows: TenantCatalog) -> None:
    old = rows.raise_epoch()
    rows.raise_epoch()
    with pytest.raises(StaleOwnerError):
        rows.add_usage(UsageAddition("a", 1, {(NOON, "events"): 3}), old)
    assert used(rows) == {}


def test_stored_bytes_are_those_of_the_live_segments(rows: TenantCatalog, segment: object) -> None:
    assert callable(segment)
    epoch = rows.raise_epoch()
    rows.commit(Change("plays", add={"plays": (segment("1"), segment("2"))}), epoch)
    rows.add_usage(UsageAddition("a", 1, {}), epoch)
    rows.commit(Change("plays", remove={"plays": ("1",)}), epoch)
    assert rows.stored_bytes() == 1000
    assert rows.usage(NOON, NOON + DAY) == [UsageRow(NOON, STORED, 2000)]
    rows.add_usage(UsageAddition("a", 2, {}), epoch)
    assert rows.usage(NOON, NOON + DAY) == [UsageRow(NOON, STORED, 1000)]


def test_what_is_more_than_a_year_old_is_forgotten(rows: TenantCatalog, clock: ManualClock) -> None:
    rows.add_usage(UsageAddition("a", 1, {(NOON, "events"): 1}))
    clock.advance(timedelta(days=401))
    rows.add_usage(UsageAddition("b", 1, {(clock.now(), "events"): 2}))
    assert used(rows) == {}
    assert [row.amount for row in rows.usage(clock.now(), clock.now() + DAY) if row.what == "events"] == [2]


def test_limits_that_were_changed_are_kept_and_registering_goes_on_as_before(catalog: Catalog) -> None:
    catalog.create_tenant("limited", {"limits": {"events_per_second": 5}})
    assert catalog.tenant("limited").record().limits is None
    catalog.tenant("limited").set_limits({"events_per_second": 7})
    again = catalog.create_tenant("limited", {"limits": {"events_per_second": 5}})
    assert again.limits == {"events_per_second": 7}
    with pytest.raises(ConflictError):
        catalog.create_tenant("limited", {"limits": {"events_per_second": 7}})
