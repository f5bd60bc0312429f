"""Laws of the bucket, over any history of calls and any passing of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.engine.limits import TokenBucket

_amounts = st.integers(1, 10**9)
_pauses = st.floats(0, 1e5, allow_nan=False)
_starts = st.floats(0, 1e6, allow_nan=False)
_periods = st.sampled_from([1, 3600])
_calls = st.lists(st.tuples(_pauses, st.integers(1, 2 * 10**9)), max_size=40)


@given(_amounts, _periods, _amounts, _starts, _calls)
def test_no_more_passes_than_the_rate_and_one_burst_allow(
    amount: int, period_s: int, burst: int, start: float, calls: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(amount, period_s, burst, start)
    now, taken = start, 0
    for pause, wanted in calls:
        now += pause
        wanted = min(wanted, burst)
        if bucket.take(wanted, now) == 0.0:
            taken += wanted
        elapsed_ns = round(now * 1e9) - round(start * 1e9)
        assert taken * period_s * 10**9 <= amount * elapsed_ns + burst * period_s * 10**9


@given(_amounts, _periods, _amounts, _starts, _calls)
def test_a_caller_who_waits_as_long_as_told_passes(
    amount: int, period_s: int, burst: int, start: float, calls: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(amount, period_s, burst, start)
    now = start
    for pause, wanted in calls:
        now += pause
        bucket.charge(wanted, now)
        wait = bucket.wait_s(now, wanted)
        if now + wait < 1e7:  # four months; beyond, floating point cannot tell milliseconds from one another
            now += wait
            assert bucket.wait_s(now, wanted) == 0.0


@given(_amounts, _amounts, _starts, st.integers(1, 10**12))
def test_what_is_owed_is_paid_by_waiting(amount: int, burst: int, start: float, owed: int) -> None:
    bucket = TokenBucket(amount, 1, burst, start)
    bucket.charge(burst + owed, start)
    assert bucket.level(start) == -owed
    assert bucket.wait_s(start) >= (owed + 1) / amount


@given(_amounts, _amounts, st.integers(1, 10**9))
def test_what_is_given_back_was_never_taken(amount: int, burst: int, taken: int) -> None:
    bucket = TokenBucket(amount, 1, burst, 0.0)
    bucket.charge(taken, 0.0)
    bucket.charge(-taken, 0.0)
    assert bucket.level(0.0) == burst


def test_no_more_than_a_burst_is_saved_up() -> None:
    bucket = TokenBucket(10, 1, 20, 0.0)
    assert (bucket.level(0.0), bucket.level(1000.0)) == (20, 20)


def test_an_amount_above_the_burst_waits_for_a_full_bucket_and_is_owed() -> None:
    bucket = TokenBucket(10, 1, 20, 0.0)
    assert bucket.take(1, 0.0) == 0.0
    assert bucket.take(50, 0.0) == pytest.approx(0.1, abs=0.002)
    assert bucket.take(50, 0.2) == 0.0
    assert bucket.level(0.2) == -30


def test_a_clock_that_goes_back_gives_nothing_twice() -> None:
    bucket = TokenBucket(10, 1, 10, 100.0)
    assert bucket.take(10, 100.0) == 0.0
    assert bucket.level(99.0) == 0
    assert bucket.level(100.5) == 5
