from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.query import SemanticModel
from tenancy.analytics.types import DatasetKind

MODEL = """
default: flights
datasets:
  flights:
    joins:
      - {dataset: airports, on: origin, name: from}
      - {dataset: airports, on: dest, name: to}
    measures:
      departures: {type: count}
      long_ones: {type: count, where: {and: [{field: distance, op: ge, value: 100}, {field: to.city, value: B}]}}
      typical: {type: p50, column: distance}
    dimensions:
      arrives: {column: to.city}
      weekday: {part: day_of_week}
"""


def test_declared_measures_dimensions_and_two_joins_of_one_table(data: Any, ask: Any) -> None:
    data.put("other", pa.table({"n": [1]}))
    data.put("flights", pa.table({"origin": ["a", "a", "b"], "dest": ["b", "c", "a"], "distance": [50, 150, 250]}))
    airports = pa.table({"code": ["a", "b"], "city": ["A", "B"]})
    data.put("airports", airports, kind=DatasetKind.DIMENSION, key="code")
    query = {
        "type": "aggregation",
        "metrics": ["departures", "typical", "long_ones"],
        "dimensions": ["from.city", "arrives", "weekday"],
    }
    assert ask(query, model=MODEL).data == [
        {"from.city": "A", "arrives": "B", "weekday": 2, "departures": 1, "typical": 50.0, "long_ones": 0},
        {"from.city": "A", "arrives": None, "weekday": 2, "departures": 1, "typical": 150.0, "long_ones": 0},
        {"from.city": "B", "arrives": "A", "weekday": 2, "departures": 1, "typical": 250.0, "long_ones": 0},
    ]


def test_the_text_of_a_model_reads_back_as_the_model() -> None:
    model = SemanticModel.from_yaml(MODEL)
    assert SemanticModel.from_yaml(model.to_yaml()) == model
    assert SemanticModel.from_yaml("") == SemanticModel()


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("datasets: [", "model line 1", "valid YAML"),
        ("- a", "model", "mapping"),
        ("default: &a plays\ndatasets: {plays: *a}", "model line 2", "valid YAML"),
        ("[" * 100_000, "model", "valid YAML"),
        ("dataset: {}", "model.dataset", "'datasets'"),
        ("datasets: {a: {measure: {}}}", "model.datasets.a.measure", "'measures'"),
        ("datasets: {a: {measures: {m: {type: median, column: n}}}}", "model.datasets.a.measures.m.type", "'"),
        ("datasets: {a: {measures: {m: {type: avg}}}}", "model.datasets.a.measures.m", "names its column"),
        ("datasets: {a: {measures: {m: {type: count, colum: n}}}}", "model.datasets.a.measures.m.colum", "'column'"),
        ("datasets: {a: {dimensions: {d: {}}}}", "model.datasets.a.dimensions.d", "a column, a grain or a part"),
        ("datasets: {a: {joins: [{on: x}]}}", "model.datasets.a.joins.0.dataset", "must be given"),
        ("datasets: {a: {joins: [{dataset: b, on: x}, {dataset: b, on: y}]}}", "model.datasets.a", "another name"),
    ],
)
def test_a_model_declared_wrongly_is_an_error_that_names_the_place(text: str, place: str, remedy: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        SemanticModel.from_yaml(text)
    assert caught.value.place.startswith(place)
    assert remedy in caught.value.remedy
