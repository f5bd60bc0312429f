"""Event times: ISO 8601 with or without zone, and epoch numbers by their magnitude."""

from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.collection.times import TimeColumn, epoch_stamp, epoch_stamps, read_times
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import Receipts

AT = datetime(2025, 7, 15, 10, 30, tzinfo=UTC)
Collect = Callable[..., Receipts]


@pytest.mark.parametrize(
    "given_time",
    [
        "2025-07-15T10:30:00Z",
        "2025-07-15T10:30:00.000Z",
        "2025-07-15T10:30:00.000000123Z",
        "2025-07-15T12:30:00+02:00",
        "2025-07-15T12:30:00+0200",
        "2025-07-15T06:30-04",
        "2025-07-15T10:30:00",
        "2025-07-15 10:30:00",
        "2025-07-15 10:30",
        "2025-07-15t10:30:00z",
        " 2025-07-15T10:30:00Z ",
        1752575400,
        1752575400.0,
        1752575400000,
        1752575400000000,
        1752575400000000000,
    ],
)
@pytest.mark.parametrize("neighbour", [{}, {"timestamp": "2025-07-15"}, {"timestamp": 1}, {"user": 1}])
def test_a_time_is_read_in_every_form_beside_any_other(
    collect: Collect, sink: MemorySink, given_time: object, neighbour: dict[str, object]
) -> None:
    collect([{"timestamp": given_time}, neighbour])
    assert sink.table()["event_time"][0].as_py() == AT


def test_a_row_without_time_has_the_time_it_came(collect: Collect, sink: MemorySink, clock: ManualClock) -> None:
    collect([{"user": "ada"}, {"user": "eve", "timestamp": None}])
    assert sink.table()["event_time"].to_pylist() == [clock.now(), clock.now()]


def test_event_time_is_read_where_the_declared_field_is_absent(collect: Collect, sink: MemorySink) -> None:
    collect([{"event_time": "2025-07-15T10:30:00Z"}] * 2)
    assert sink.table()["event_time"].to_pylist() == [AT, AT]
    assert sink.table()["overflow"].to_pylist() == [None, None]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_a_column_of_whole_numbers_is_read_as_each_of_them(values: list[int | None]) -> None:
    expected = [None if value is None else epoch_stamp(value) for value in values]
    assert epoch_stamps(pa.array(values, pa.int64())).cast(pa.int64()).to_pylist() == expected


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), max_size=20))
def test_a_column_of_floats_is_read_as_each_of_them(values: list[float | None]) -> None:
    expected = [None if value is None else epoch_stamp(value) for value in values]
    assert epoch_stamps(pa.array(values, pa.float64())).cast(pa.int64()).to_pylist() == expected


times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
forms = st.sampled_from(["{}", "{}Z", "{}+00:00"])
readable = st.tuples(times, forms).map(lambda drawn: (drawn[0], drawn[1].format(drawn[0].isoformat())))
texts = st.one_of(st.none(), readable, st.text(max_size=8).map(lambda text: (None, text)))


@given(st.lists(texts, max_size=12))
def test_a_few_bad_texts_in_a_column_cost_no_other(drawn: list[tuple[datetime | None, str] | None]) -> None:
    column = pa.array([None if one is None else one[1] for one in drawn], pa.string())
    read = read_times(TimeColumn(column, None, lambda _: None))
    bad = {*read.unreadable, *read.beyond}
    for row, (one, stamp) in enumerate(zip(drawn, read.stamps.to_pylist(), strict=True)):
        if one is not None and one[0] is not None:
            assert stamp == one[0].replace(tzinfo=UTC)
        assert (row in bad) == (one is not None and stamp is None)
