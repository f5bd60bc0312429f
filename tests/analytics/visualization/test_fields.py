"""Columns that are there, columns that are not, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from tenancy.analytics.errors import InvalidRequestError, UnknownNameError
from tenancy.analytics.visualization import VisualizationEngine

Rows = list[dict[str, Any]]

TRENDS = {
    "type": "line",
    "title": "Song Popularity Trends",
    "x_axis": "date",
    "y_axis": "play_count",
    "group_by": "genre",
}


@pytest.fixture
def aggregated() -> Rows:
    return [
        {"genre": "pop", "artist": "a", "play_count": 10, "avg_duration": 1.0},
        {"genre": "rock", "artist": "b", "play_count": 30, "avg_duration": 2.0},
        {"genre": "pop", "artist": "c", "play_count": 5, "avg_duration": 4.0},
    ]


def test_an_aggregation_without_dates_is_shown_by_its_group(aggregated: Rows) -> None:
    chart = VisualizationEngine().create(TRENDS, aggregated)
    (trace,) = chart.data
    assert (trace.type, trace.x, trace.y) == ("scatter", ("rock", "pop"), (30, 15))
    assert trace.mode == "markers"
    assert chart.notes == (
        "The rows have no 'date', so they are shown by genre; query a time series for the course over time.",
        "Play count: summed over artist.",
    )
    assert "The rows have no 'date'" in chart.layout.title.subtitle.text
    assert chart.layout.meta["notes"] == list(chart.notes)
    assert chart.layout.xaxis.title.text == "Genre"


def test_an_average_is_not_summed_when_groups_stand_in(aggregated: Rows) -> None:
    chart = VisualizationEngine().create({**TRENDS, "y_axis": "avg_duration"}, aggregated)
    assert dict(zip(chart.data[0].x, chart.data[0].y, strict=True)) == {"rock": 2, "pop": 2.5}
    assert "Avg duration: plain mean over artist." in chart.notes


@pytest.mark.parametrize(
    ("change", "name", "near"),
    [
        ({"x_axis": "gendre"}, "gendre", "genre"),
        ({"y_axis": "play_counts"}, "play_counts", "play_count"),
        ({"x_axis": "genre", "group_by": "artists"}, "artists", "artist"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(
    aggregated: Rows, change: dict[str, str], name: str, near: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        VisualizationEngine().create({**TRENDS, **change}, aggregated)
    assert (caught.value.kind, caught.value.name) == ("chart field", name)
    assert near in caught.value.suggestions
    assert "the data have 'genre', 'artist', 'play_count', 'avg_duration'" in str(caught.value)


def test_a_missing_time_without_a_group_is_an_error(aggregated: Rows) -> None:
    with pytest.raises(UnknownNameError, match="unknown chart field 'date'"):
        VisualizationEngine().create({"type": "line", "x_axis": "date", "y_axis": "play_count"}, aggregated)


def test_a_measure_must_be_numbers(aggregated: Rows) -> None:
    with pytest.raises(InvalidRequestError, match=r"chart_config\.y_axis: 'artist' is not valid; its values are texts"):
        VisualizationEngine().create({"type": "bar", "x_axis": "genre", "y_axis": "artist"}, aggregated)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "lines"}, r"chart_config.type: 'lines' is not valid; did you mean 'line'\?"),
        ({"type": "zzz"}, "give one of 'line', 'area'"),
        ({}, "chart_config.type: None is not valid; give one of"),
        ({"type": "line", "xaxis": "date"}, r"chart_config.xaxis: 'date' is not valid; did you mean 'x_axis'"),
        ({"type": "line", "y_axis": "n"}, "chart_config.x_axis: None is not valid; name a column of the data"),
        ({"type": "line", "x_axis": "genre"}, "name a column of numbers: 'play_count', 'avg_duration'"),
        ({"type": "line", "limit": 0}, "chart_config.limit: 0"),
        ({"type": "line", "number_format": "}<b>"}, "chart_config.number_format"),
        ("line", "give a mapping"),
    ],
)
def test_a_bad_configuration_is_an_error_with_a_remedy(config: Any, message: str, aggregated: Rows) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        VisualizationEngine().create(config, aggregated)


@pytest.mark.parametrize("data", [None, 7, "rows", [1, 2], {"a": 1}])
def test_what_is_no_rows_is_refused(data: object) -> None:
    with pytest.raises(InvalidRequestError, match="give a list of dictionaries"):
        VisualizationEngine().create(TRENDS, data)
