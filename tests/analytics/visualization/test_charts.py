"""What every kind of chart draws of the same rows."""

from __future__ import annotations

import json
import pickle
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import plotly.graph_objects as go
import pytest

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.visualization import Chart, ChartType, VisualizationEngine

Rows = list[dict[str, Any]]

CONFIGS: dict[ChartType, dict[str, Any]] = {
    ChartType.LINE: {"x_axis": "date", "y_axis": "play_count", "group_by": "genre"},
    ChartType.AREA: {"x_axis": "date", "y_axis": "play_count", "group_by": "genre"},
    ChartType.BAR: {"x_axis": "genre", "y_axis": "play_count"},
    ChartType.STACKED_BAR: {"x_axis": "date", "y_axis": "play_count", "group_by": "genre"},
    ChartType.SCATTER: {"x_axis": "avg_duration", "y_axis": "play_count", "color": "genre"},
    ChartType.PIE: {"x_axis": "genre", "y_axis": "play_count"},
    ChartType.HEATMAP: {"x_axis": "date", "y_axis": "play_count", "group_by": "genre"},
    ChartType.TABLE: {},
}


def draw(kind: str, rows: object, **config: Any) -> Chart:
    return VisualizationEngine().create({"type": kind, **config}, rows)


def total(rows: Rows, **where: object) -> int:
    return sum(row["play_count"] for row in rows if all(row[k] == v for k, v in where.items()))


@pytest.mark.parametrize("kind", ChartType)
def test_every_kind_is_a_figure_that_survives_its_own_json(kind: ChartType, plays: Rows) -> None:
    chart = draw(kind, plays, title="Plays", **CONFIGS[kind])
    assert isinstance(chart, go.Figure)
    assert len(chart.data) >= 1
    again = go.Figure(json.loads(chart.to_json()))
    assert again.to_dict() == chart.to_dict()
    assert isinstance(pickle.loads(pickle.dumps(chart)), Chart)


@pytest.mark.parametrize("kind", ChartType)
def test_no_rows_are_a_chart_that_says_so(kind: ChartType) -> None:
    chart = draw(kind, [], **CONFIGS[kind])
    assert [note.text for note in chart.layout.annotations] == ["No data"]
    assert chart.data == ()


def test_rows_without_a_single_value_are_a_chart_that_says_so() -> None:
    chart = draw("bar", [{"genre": "rock", "play_count": None}], x_axis="genre", y_axis="play_count")
    assert chart.layout.annotations[0].text == "No data"


@pytest.mark.parametrize("kind", ChartType)
def test_no_chart_offers_to_send_its_data_away(kind: ChartType, plays: Rows) -> None:
    assert "sendChartToCloud" in draw(kind, plays, **CONFIGS[kind]).layout.modebar.remove


def test_a_line_a_group_with_the_greatest_first_and_a_gap_where_nothing_was(plays: Rows) -> None:
    chart = draw("line", plays, **CONFIGS[ChartType.LINE])
    assert [trace.name for trace in chart.data] == ["jazz", "pop", "rock"]
    jazz, pop, _ = chart.data
    assert jazz.x == pop.x
    assert jazz.y[3:8] == (606, None, None, None, 614)
    assert jazz.connectgaps is False
    assert sum(pop.y) == total(plays, genre="pop")
    assert chart.notes == ("Play count: summed over artist.",)
    assert chart.layout.title.subtitle.text == "Play count: summed over artist."
    assert chart.layout.hovermode == "x unified"


def test_a_day_nobody_has_is_a_gap_too() -> None:
    rows = [{"date": date(2025, 7, day), "count": day} for day in (1, 2, 3, 6, 7)]
    (line,) = draw("line", rows, x_axis="date", y_axis="count").data
    assert line.y == (1, 2, 3, None, None, 6, 7)
    assert line.x[3] == "2025-07-04T00:00:00"


def test_months_of_unequal_length_are_steps_of_a_month() -> None:
    rows = [{"month": date(2025, month, 1), "count": month} for month in (1, 2, 3, 6)]
    assert draw("line", rows, x_axis="month", y_axis="count").data[0].y == (1, 2, 3, None, None, 6)
    quarters = [{"quarter": date(2025, month, 1), "count": month} for month in (1, 4, 10)]
    assert draw("line", quarters, x_axis="quarter", y_axis="count").data[0].y == (1, 4, None, 10)


def test_days_with_a_clock_change_between_them_are_still_days() -> None:
    zone = ZoneInfo("America/New_York")
    rows = [{"time": datetime(2025, 3, day, tzinfo=zone), "count": day} for day in (8, 9, 10, 11)]
    (line,) = draw("line", rows, x_axis="time", y_axis="count").data
    assert line.y == (8, 9, 10, 11)


def test_times_far_apart_do_not_become_millions_of_gaps() -> None:
    start = datetime(2025, 7, 1)
    rows = [{"time": start + timedelta(seconds=s), "count": 1} for s in (0, 1, 2_000_000)]
    assert len(draw("line", rows, x_axis="time", y_axis="count").data[0].x) == 3


def test_small_series_become_one(plays: Rows) -> None:
    rows = [{"date": row["date"], "genre": f"g{i}", "play_count": 100 - i} for row in plays[:2] for i in range(20)]
    chart = draw("line", rows, **CONFIGS[ChartType.LINE])
    assert len(chart.data) == 13
    assert chart.data[-1].name == "other (8)"
    assert sum(sum(trace.y) for trace in chart.data) == total(rows)


def test_averages_are_never_added_up() -> None:
    rows = [{"day": 1, "genre": f"g{i}", "avg_duration": float(i)} for i in range(20)]
    chart = draw("line", rows, x_axis="day", y_axis="avg_duration", group_by="genre")
    assert [trace.name for trace in chart.data][:2] == ["g19", "g18"]
    assert len(chart.data) == 12
    assert chart.notes == ("The 12 greatest of 20 series are shown.",)
    with pytest.raises(InvalidRequestError, match=r"avg_duration.*adds its parts up"):
        draw("stacked_bar", rows, x_axis="day", y_axis="avg_duration", group_by="genre")


def test_stacked_areas_add_up_and_a_single_one_keeps_its_gap(plays: Rows) -> None:
    chart = draw("area", plays, **CONFIGS[ChartType.AREA])
    assert {trace.stackgroup for trace in chart.data} == {"whole"}
    assert sum(sum(trace.y) for trace in chart.data) == total(plays)
    jazz = draw("area", [r for r in plays if r["genre"] == "jazz"], x_axis="date", y_axis="play_count")
    assert [len(run.x) for run in jazz.data] == [4, 7]
    assert [run.fill for run in jazz.data] == ["tozeroy"] * 2


def test_bars_go_down_from_the_greatest(plays: Rows) -> None:
    (bars,) = draw("bar", plays, **CONFIGS[ChartType.BAR]).data
    genres = sorted(("rock", "pop", "jazz"), key=lambda genre: -total(plays, genre=genre))
    assert list(bars.x) == genres
    assert list(bars.y) == [total(plays, genre=genre) for genre in genres]
    by_label = draw("bar", plays, sort="label", **CONFIGS[ChartType.BAR])
    assert list(by_label.data[0].x) == ["jazz", "pop", "rock"]


def test_many_categories_lie_and_the_rest_is_told() -> None:
    rows = [{"song": f"song {i:02}", "play_count": 100 - i} for i in range(40)]
    chart = draw("bar", rows, x_axis="song", y_axis="play_count", limit=20)
    (bars,) = chart.data
    assert bars.orientation == "h"
    assert list(bars.y) == [f"song {i:02}" for i in range(20)]
    assert chart.layout.yaxis.autorange == "reversed"
    assert chart.notes == ("The 20 greatest of 40 are shown; the others are 1,410 together.",)


def test_a_small_rest_is_a_grey_bar() -> None:
    rows = [{"song": f"song {i:02}", "play_count": 2 ** (20 - i)} for i in range(15)]
    (bars,) = draw("bar", rows, x_axis="song", y_axis="play_count", limit=5).data
    assert bars.x[-1] == "other (10)"
    assert bars.y[-1] == sum(row["play_count"] for row in rows[5:])
    assert bars.marker.color[-1] != bars.marker.color[0]


def test_stacked_bars_stack(plays: Rows) -> None:
    chart = draw("stacked_bar", plays, **CONFIGS[ChartType.STACKED_BAR])
    assert chart.layout.barmode == "stack"
    assert [trace.name for trace in chart.data] == ["jazz", "pop", "rock"]


def test_scatter_samples_large_data_the_same_way_each_time_and_keeps_the_ends() -> None:
    random = np.random.default_rng(7)
    rows = [{"x": float(x), "y": float(y)} for x, y in random.normal(size=(20_000, 2))]
    first, second = (draw("scatter", rows, x_axis="x", y_axis="y") for _ in range(2))
    (points,) = first.data
    assert len(points.x) == 5_000
    assert max(points.x) == max(row["x"] for row in rows)
    assert min(points.y) == min(row["y"] for row in rows)
    assert points.x == second.data[0].x
    assert first.notes == ("5,000 of 20,000 points, drawn at random; the outermost are kept.",)


def test_scatter_shows_size_as_area_and_a_number_as_shade() -> None:
    rows = [{"x": i, "y": i, "seats": 10 * i, "delay": -i} for i in range(1, 5)]
    (points,) = draw("scatter", rows, x_axis="x", y_axis="y", size="seats", color="delay").data
    assert points.marker.sizemode == "area"
    assert points.marker.size == (40, 30, 20, 10)
    assert points.marker.color == (-4, -3, -2, -1)
    assert points.marker.colorbar.title.text == "Delay"


def test_a_pie_is_its_parts(plays: Rows) -> None:
    (pie,) = draw("pie", plays, **CONFIGS[ChartType.PIE]).data
    assert sum(pie.values) == total(plays)
    assert pie.values == tuple(sorted(pie.values, reverse=True))
    many = [{"song": f"s{i}", "play_count": 100 - i} for i in range(12)]
    (pie,) = draw("pie", many, x_axis="song", y_axis="play_count").data
    assert pie.labels[-1] == "other (4)"
    assert sum(pie.values) == total(many)


def test_a_part_below_zero_is_no_part() -> None:
    with pytest.raises(InvalidRequestError, match=r"data.profit: -1.0 is not valid; .* use type 'bar'"):
        draw("pie", [{"shop": "a", "profit": -1}], x_axis="shop", y_axis="profit")


def test_a_heatmap_has_no_shade_where_there_is_no_value(plays: Rows) -> None:
    (cells,) = draw("heatmap", plays, **CONFIGS[ChartType.HEATMAP]).data
    assert cells.y[0] == "jazz"
    assert list(cells.z[0][3:8]) == [606, None, None, None, 614]
    assert len(cells.x) == 14


def test_an_hour_nobody_has_is_an_empty_cell_and_not_a_wide_neighbour() -> None:
    rows = [{"hour_of_day": hour, "day": 1, "count": hour} for hour in (1, 5, 6)]
    (cells,) = draw("heatmap", rows, x_axis="hour_of_day", y_axis="count", group_by="day").data
    assert cells.x == (1, 2, 3, 4, 5, 6)
    assert list(cells.z[0]) == [1, None, None, None, 5, 6]


def test_an_axis_of_durations_has_no_room_below_zero() -> None:
    rows = [{"day": day, "avg_duration": duration} for day, duration in enumerate((5.0, 0.0, 9.0))]
    assert draw("line", rows, x_axis="day", y_axis="avg_duration").layout.yaxis.rangemode == "nonnegative"
    rows[1]["avg_duration"] = -1
    assert draw("line", rows, x_axis="day", y_axis="avg_duration").layout.yaxis.rangemode is None


def test_a_heatmap_may_name_its_shade(plays: Rows) -> None:
    grouped = draw("heatmap", plays, **CONFIGS[ChartType.HEATMAP])
    shaded = draw("heatmap", plays, x_axis="date", y_axis="genre", color="play_count")
    assert shaded.data[0].z == grouped.data[0].z
    with pytest.raises(InvalidRequestError, match=r"chart_config\.group_by"):
        draw("heatmap", plays, x_axis="date", y_axis="play_count")


def test_a_table_keeps_rows_as_they_come(plays: Rows) -> None:
    (table,) = draw("table", plays, limit=5).data
    assert len(table.cells.values[0]) == 5
    assert list(table.cells.values[1]) == [row["genre"] for row in plays[:5]]
    assert table.header.values[0] == "<b>Date</b>"
    chosen = draw("table", plays, x_axis="genre", y_axis=["play_count"]).data[0]
    assert list(chosen.header.values) == ["<b>Genre</b>", "<b>Play count</b>"]


def test_several_measures_are_several_series(plays: Rows) -> None:
    chart = draw("line", plays, x_axis="date", y_axis=["play_count", "avg_duration"], group_by="genre")
    assert len(chart.data) == 6
    assert {trace.name for trace in chart.data} >= {"rock · Play count", "rock · Avg duration"}


def test_numbers_are_written_as_the_locale_does(plays: Rows) -> None:
    chart = draw("bar", plays, locale="de", number_format=",.1f", **CONFIGS[ChartType.BAR])
    assert chart.layout.separators == ",."
    assert chart.layout.yaxis.tickformat == ",.1f"


def test_hours_are_every_hour_and_years_have_no_comma() -> None:
    hours = draw("bar", [{"hour_of_day": h, "count": h} for h in range(24)], x_axis="hour_of_day", y_axis="count")
    assert (hours.layout.xaxis.type, hours.layout.xaxis.dtick) == ("linear", 1)
    years = draw("bar", [{"year": y, "count": 1} for y in (1998, 2013)], x_axis="year", y_axis="count")
    assert years.layout.xaxis.tickformat == "d"


def test_texts_of_digits_stay_texts() -> None:
    rows = [{"room": "0101", "count": 1}, {"room": "2025", "count": 2}]
    chart = draw("bar", rows, x_axis="room", y_axis="count")
    assert (chart.layout.xaxis.type, chart.data[0].x) == ("category", ("2025", "0101"))
