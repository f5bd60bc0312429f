from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.config import AnalyticsConfig, StorageConfig
from tenancy.analytics.engine.memory import Budget, leaning
from tenancy.analytics.engine.memory.budget import MEBIBYTE, OWN, machine_bytes
from tenancy.analytics.errors import ConfigurationError
from tenancy.analytics.storage.store import UNFLUSHED_LIMIT

GIGABYTE = 1024 * MEBIBYTE


def config(**performance: int) -> AnalyticsConfig:
    return AnalyticsConfig.load({"performance": performance, "placement": {"shared_hosts": 4}}, {})


def test_a_host_gets_its_part_of_60_percent_of_the_machine() -> None:
    assert Budget.of(config(), machine=64 * GIGABYTE).total == int(64 * GIGABYTE * 0.6) // 4


def test_a_given_budget_counts_whatever_the_machine_has() -> None:
    assert Budget.of(config(host_memory_mb=700), machine=64 * GIGABYTE).total == 700 * MEBIBYTE


def test_the_query_engine_has_its_own_limit_where_that_is_below_its_share() -> None:
    assert Budget.of(config(host_memory_mb=8192, memory_limit_mb=512)).query == 512 * MEBIBYTE
    assert Budget.of(config(host_memory_mb=1024, memory_limit_mb=4096)).query < 512 * MEBIBYTE


@given(st.integers(384, 1_000_000))
def test_the_host_itself_and_all_shares_together_are_within_the_budget(megabytes: int) -> None:
    budget = Budget.of_total(megabytes * MEBIBYTE, 10**15)
    shares = budget.query + budget.bodies + budget.buffers + budget.caches
    assert OWN + shares <= budget.total + 40 * MEBIBYTE  # below 500 MB DuckDB gets what it cannot do without
    assert megabytes < 512 or OWN + shares <= budget.total


@given(st.integers(384, 100_000), st.integers(1024, 10**10))
def test_one_dataset_that_cannot_be_flushed_takes_half_of_the_buffers_at_the_most(megabytes: int, flush: int) -> None:
    budget = Budget.of_total(megabytes * MEBIBYTE, 10**15)
    storage = leaning(StorageConfig(flush_bytes=flush), budget)
    assert storage.flush_bytes <= flush
    assert UNFLUSHED_LIMIT * storage.flush_bytes <= budget.buffers / 2


def test_a_large_host_flushes_and_merges_as_configured() -> None:
    storage = StorageConfig()
    assert leaning(storage, Budget.of_total(8 * GIGABYTE, 10**12)) == storage


def test_what_the_machine_has_is_known() -> None:
    assert 64 * MEBIBYTE < machine_bytes() < 2**50


def test_a_host_of_less_memory_than_it_needs_itself_is_not_configured() -> None:
    with pytest.raises(ConfigurationError, match="greater than or equal to 384"):
        config(host_memory_mb=100)
