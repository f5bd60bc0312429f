"""Rows in every form they come in, with everything that may be in them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.visualization import ChartType, VisualizationEngine

ROWS: list[dict[str, Any]] = [{"date": date(2025, 7, day), "genre": "rock", "count": day} for day in (1, 2, 3)]


class Result:
    """What a query's result looks like from here."""

    def to_arrow(self) -> pa.Table:
        return pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        tuple(ROWS),
        [{**row, "date": row["date"].isoformat()} for row in ROWS],
        pa.Table.from_pylist(ROWS),
        pa.Table.from_pylist(ROWS).to_batches()[0],
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS, index=[7, 7, 7]),
        Result(),
    ],
    ids=["list", "tuple", "iso texts", "arrow", "batch", "pandas", "pandas with an index", "result"],
)
def test_every_form_of_rows_draws_the_same(data: object) -> None:
    config = {"type": "line", "x_axis": "date", "y_axis": "count", "group_by": "genre"}
    expected = VisualizationEngine().create(config, ROWS).to_json()
    assert VisualizationEngine().create(config, data).to_json() == expected


def values_of(column: list[Any]) -> tuple[Any, ...]:
    rows = [{"x": index, "y": value} for index, value in enumerate(column)]
    y: tuple[Any, ...] = VisualizationEngine().create({"type": "line", "x_axis": "x", "y_axis": "y"}, rows).data[0].y
    return y


def test_what_is_no_number_is_a_gap() -> None:
    assert values_of([1, None, math.nan, math.inf, -math.inf, 2.5]) == (1, None, None, None, None, 2.5)


def test_numbers_of_every_kind_are_numbers() -> None:
    assert values_of([Decimal("1.5"), 2, 10**400, timedelta(seconds=3).total_seconds()]) == (1.5, 2, None, 3)
    assert values_of([timedelta(milliseconds=1500), None]) == (1.5, None)


def test_a_missing_category_has_a_name() -> None:
    rows = [{"genre": None, "n": 1}, {"genre": "rock", "n": 2}, {"n": 3}]
    (bars,) = VisualizationEngine().create({"type": "bar", "x_axis": "genre", "y_axis": "n"}, rows).data
    assert (bars.x, bars.y) == (("(no value)", "rock"), (4, 2))


def test_rows_without_a_time_are_left_out_and_counted() -> None:
    rows = [{"date": date(2025, 7, 1), "n": 1}, {"date": None, "n": 5}]
    chart = VisualizationEngine().create({"type": "line", "x_axis": "date", "y_axis": "n"}, rows)
    assert chart.data[0].y == (1,)
    assert chart.notes == ("1 row without 'date' left out.",)


def test_an_axis_says_which_zone_its_clock_is_in() -> None:
    times = pa.array([datetime(2025, 7, 1, 12, tzinfo=UTC)], pa.timestamp("us", tz="America/New_York"))
    chart = VisualizationEngine().create(
        {"type": "line", "x_axis": "time", "y_axis": "n"}, pa.table({"time": times, "n": [1]})
    )
    assert chart.data[0].x == ("2025-07-01T08:00:00",)
    assert chart.layout.xaxis.title.text == "Time (America/New_York)"


def test_texts_that_only_look_like_times_stay_texts() -> None:
    rows = [{"code": "2025-13-45", "n": 1}]
    chart = VisualizationEngine().create({"type": "bar", "x_axis": "code", "y_axis": "n"}, rows)
    assert chart.layout.xaxis.type == "category"


def test_the_rows_are_not_changed() -> None:
    frame = pd.DataFrame(ROWS)
    before = frame.copy()
    VisualizationEngine().create({"type": "bar", "x_axis": "genre", "y_axis": "count"}, frame)
    pd.testing.assert_frame_equal(frame, before)


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes()
numbers = st.none() | st.integers() | st.floats()


@given(
    kind=st.sampled_from(ChartType),
    rows=st.lists(st.fixed_dictionaries({"x": anything, "g": anything, "n": numbers}), max_size=20),
)
def test_no_rows_break_a_chart(kind: ChartType, rows: list[dict[str, Any]]) -> None:
    config = {"type": kind, "x_axis": "x", "y_axis": "n", "group_by": "g", "additive": True}
    rows = [{**row, "n": abs(row["n"]) if row["n"] is not None else None} for row in rows]
    chart = VisualizationEngine().create(config, rows)
    chart.to_json()
    assert "<script>" not in chart.to_json()
