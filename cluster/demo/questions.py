"""What the demo asks each tenant, and how the answers are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from examples.flights import TIME_ZONE
from examples.music import Incident


@dataclass(frozen=True, slots=True)
class Question:
    """One query of a tenant, and the chart of its answer."""

    name: str
    """Of the page, without its ending."""
    query: Mapping[str, Any]
    chart: Mapping[str, Any]


DESIGN_QUERY: Mapping[str, Any] = {
    "type": "aggregation",
    "metrics": ["play_count", "avg_duration"],
    "dimensions": ["genre", "artist"],
    "time_range": {"start": "2025-07-01", "end": "2025-07-15"},
}
DESIGN_CHART: Mapping[str, Any] = {
    "type": "line",
    "title": "Song Popularity Trends",
    "x_axis": "date",
    "y_axis": "play_count",
    "group_by": "genre",
}
"""The query and the chart of the public API, as its first page gives them."""


def music(incident: Incident) -> tuple[Question, ...]:
    """About plays of music, the planted incident among them."""
    there = [{"field": "country", "value": incident.country}, {"field": "device", "value": incident.device}]
    around = {
        "start": (incident.start - timedelta(days=2)).isoformat(),
        "end": (incident.end + timedelta(days=2)).isoformat(),
    }
    return (
        Question(
            "music-days",
            {"type": "timeseries", "metrics": ["play_count"], "grain": "day", "group_by": ["genre"]},
            {**DESIGN_CHART, "title": "Plays a day, by genre"},
        ),
        Question(
            "music-artists",
            {"type": "topk", "metric": "play_count", "dimension": "artist", "k": 15, "filters": there},
            {
                "type": "bar",
                "title": f"Most played artists on {incident.device} in {incident.country}",
                "x_axis": "artist",
                "y_axis": "play_count",
            },
        ),
        Question(
            "music-incident",
            {
                "type": "timeseries",
                "metrics": ["median_play"],
                "grain": "hour",
                "time_range": around,
                "filters": there,
                "fill": "null",
            },
            {
                "type": "line",
                "title": f"How long a play lasts on {incident.device} in {incident.country}",
                "x_axis": "time",
                "y_axis": "median_play",
                "labels": {"median_play": "Median play (ms)", "time": "Time (UTC)"},
            },
        ),
        Question(
            "music-hours",
            {"type": "aggregation", "metrics": ["listeners"], "dimensions": ["hour_of_day", "day_of_week"]},
            {
                "type": "heatmap",
                "title": "When people listen",
                "x_axis": "hour_of_day",
                "y_axis": "listeners",
                "group_by": "day_of_week",
                "labels": {"day_of_week": "Day of the week, from Monday", "hour_of_day": "Hour of the day (UTC)"},
            },
        ),
        Question(
            "music-countries",
            {"type": "aggregation", "metrics": ["play_count"], "dimensions": ["country"]},
            {"type": "pie", "title": "Plays by country", "x_axis": "country", "y_axis": "play_count"},
        ),
    )


def flights() -> tuple[Question, ...]:
    """About departures from New York."""
    local = {"time_zone": TIME_ZONE}
    return (
        Question(
            "flights-airlines",
            {
                "type": "aggregation",
                "metrics": ["count", "avg_dep_delay", "p95_dep_delay", "cancelled"],
                "dimensions": ["airline"],
                "order": ["-avg_dep_delay"],
            },
            {
                "type": "bar",
                "title": "Mean delay at departure, by airline",
                "x_axis": "airline",
                "y_axis": "avg_dep_delay",
                "labels": {"avg_dep_delay": "Mean delay (minutes)"},
            },
        ),
        Question(
            "flights-days",
            {"type": "timeseries", "metrics": ["cancelled"], "grain": "day", "group_by": ["origin"], **local},
            {
                "type": "line",
                "title": "Cancelled departures a day, by airport",
                "x_axis": "date",
                "y_axis": "cancelled",
                "group_by": "origin",
            },
        ),
        Question(
            "flights-late",
            {
                "type": "topk",
                "metric": "count",
                "dimension": "destination_name",
                "k": 12,
                "time_range": {"start": "2013-06-01", "end": "2013-07-01"},
                "filters": [{"field": "origin", "value": "JFK"}, {"field": "arr_delay", "op": "gt", "value": 60}],
                **local,
            },
            {
                "type": "bar",
                "title": "From JFK in June, more than an hour late",
                "x_axis": "destination_name",
                "y_axis": "count",
                "labels": {"count": "Arrivals"},
            },
        ),
        Question(
            "flights-hours",
            {
                "type": "aggregation",
                "metrics": ["avg_dep_delay"],
                "dimensions": ["hour_of_day", "day_of_week"],
                **local,
            },
            {
                "type": "heatmap",
                "title": "Delays grow through the day",
                "x_axis": "hour_of_day",
                "y_axis": "avg_dep_delay",
                "group_by": "day_of_week",
                "labels": {
                    "avg_dep_delay": "Mean delay (min)",
                    "day_of_week": "Day of the week, from Monday",
                    "hour_of_day": "Hour of scheduled departure (New York)",
                },
            },
        ),
        Question(
            "flights-months",
            {"type": "timeseries", "metrics": ["count"], "grain": "month", "group_by": ["origin"], **local},
            {
                "type": "stacked_bar",
                "title": "Departures a month, by airport",
                "x_axis": "date",
                "y_axis": "count",
                "group_by": "origin",
                "labels": {"count": "Departures", "date": "Month"},
            },
        ),
        Question(
            "flights-distance",
            {
                "type": "aggregation",
                "metrics": ["avg_air_time", "avg_distance", "count"],
                "dimensions": ["destination_name", "origin"],
                "having": [{"field": "count", "op": "ge", "value": 50}],
            },
            {
                "type": "scatter",
                "title": "Time in the air by distance",
                "x_axis": "avg_distance",
                "y_axis": "avg_air_time",
                "color": "origin",
                "size": "count",
                "labels": {"avg_distance": "Distance (miles)", "avg_air_time": "Mean time in the air (min)"},
            },
        ),
    )
