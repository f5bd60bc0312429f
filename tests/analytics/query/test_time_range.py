from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.errors import InvalidRequestError, UnknownNameError
from tenancy.analytics.query.time_range import UNITS, TimeRange, floor, following, resolve, zone_of

NOW = datetime(2025, 3, 31, 10, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "America/Sao_Paulo", "Australia/Lord_Howe"]


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ("today", "2025-03-31T00:00+02:00", "2025-04-01T00:00+02:00"),
        ("yesterday", "2025-03-30T00:00+01:00", "2025-03-31T00:00+02:00"),
        ("this_week", "2025-03-31T00:00+02:00", "2025-04-07T00:00+02:00"),
        ("last_week", "2025-03-24T00:00+01:00", "2025-03-31T00:00+02:00"),
        ("this_month", "2025-03-01T00:00+01:00", "2025-04-01T00:00+02:00"),
        ("last_month", "2025-02-01T00:00+01:00", "2025-03-01T00:00+01:00"),
        ("this_quarter", "2025-01-01T00:00+01:00", "2025-04-01T00:00+02:00"),
        ("last_year", "2024-01-01T00:00+01:00", "2025-01-01T00:00+01:00"),
        ("last_hour", "2025-03-31T11:00+02:00", "2025-03-31T12:00+02:00"),
        ("last_24_hours", "2025-03-30T10:30+00:00", "2025-03-31T10:30+00:00"),
        ("last_7_days", "2025-03-24T12:30+01:00", "2025-03-31T12:30+02:00"),
        ("last_1_months", "2025-02-28T12:30+01:00", "2025-03-31T12:30+02:00"),
        ("last_13_months", "2024-02-29T12:30+01:00", "2025-03-31T12:30+02:00"),
        (TimeRange(start="2025-03-30", end="2025-03-31"), "2025-03-30T00:00+01:00", "2025-03-31T00:00+02:00"),
        (TimeRange(start="2025-03-30T00:00Z", end="2025-03-31T05:00+05:00"), "2025-03-30", "2025-03-31"),
    ],
)
def test_a_range_means_instants_in_the_zone_of_the_query(given: TimeRange | str, start: str, end: str) -> None:
    found = resolve(given, BERLIN, NOW)
    expected = [datetime.fromisoformat(text) for text in (start, end)]
    assert [found.start, found.end] == [m if m.tzinfo else m.replace(tzinfo=UTC) for m in expected]


@pytest.mark.parametrize(
    "given",
    [
        TimeRange(start="2025-07-02", end="2025-07-01"),
        TimeRange(start="2025-07-01", end="2025-07-01"),
        TimeRange(start="yesterday-ish"),
        TimeRange(end="2025-13-01"),
        "last_0_days",
        "last_7_dys",
        "last_999999_years",
        "",
    ],
)
def test_an_empty_reversed_or_unknown_range_is_an_error(given: TimeRange | str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        resolve(given, BERLIN, NOW)
    assert caught.value.place.startswith("time_range")


def test_the_error_of_an_unknown_range_or_zone_names_near_ones() -> None:
    with pytest.raises(InvalidRequestError, match="'last_7_days'"):
        resolve("last_7_dys", BERLIN, NOW)
    with pytest.raises(UnknownNameError, match="Europe/Berlin"):
        zone_of("Europe/Berlim")
    for hostile in ("../../etc/passwd", "/etc/localtime", "", "\0"):
        with pytest.raises(UnknownNameError):
            zone_of(hostile)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)).map(lambda m: m.replace(tzinfo=UTC)),
    st.sampled_from(UNITS),
    st.sampled_from(ZONES),
)
def test_units_cover_time_without_gap_or_overlap(moment: datetime, unit: str, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    start = floor(moment, unit, zone)
    end = following(start, unit, zone)
    assert start <= moment < end
    assert floor(start, unit, zone) == start
    assert floor(end, unit, zone) == end
    assert floor(end - timedelta(microseconds=1), unit, zone) == start
