"""Schemas grow from the data, and what fits no column is kept in the overflow map."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from tenancy.analytics.collection import DataCollector, Payload
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import DataSourceType, Receipts

Collect = Callable[..., Receipts]


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink(DatasetSchema(name="plays"))


def types(sink: MemorySink) -> dict[str, str]:
    return {name: spec.type.value for name, spec in sink.schema.fields.items()}


def test_new_fields_become_columns_of_their_types(collect: Collect, sink: MemorySink) -> None:
    collect({"s": "x", "i": 1, "f": 1.5, "b": True, "tags": ["a", "b"], "day": "2025-07-15", "nothing": None})
    assert types(sink) == {
        "s": "string", "i": "integer", "f": "float", "b": "boolean", "tags": "strings", "day": "string",
    }  # fmt: skip
    (row,) = sink.table().to_pylist()
    assert (row["s"], row["i"], row["f"], row["b"], row["tags"]) == ("x", 1, 1.5, True, ["a", "b"])


def test_a_schema_grows_once_and_later_batches_find_it_grown(collect: Collect, sink: MemorySink) -> None:
    for _ in range(3):
        assert collect([{"a": 1, "deep": {"b": "x", "c": {"d": 1.5}}}] * 3).counts()["accepted"] == 3
    assert sink.evolved == 1
    assert sink.table()["deep_c_d"].to_pylist() == [1.5] * 9


def test_nested_objects_flatten_and_the_shallower_of_two_has_the_column(collect: Collect, sink: MemorySink) -> None:
    collect([{"user": {"age": 7, "name": "ada"}, "user_age": 8}])
    (row,) = sink.table().to_pylist()
    assert (row["user_age"], row["user_name"]) == (8, "ada")
    assert row["overflow"] == [("user.age", "7")]


def test_numbers_with_and_without_a_fraction_in_one_batch_are_floats(collect: Collect, sink: MemorySink) -> None:
    collect([{"n": 1}, {"n": 2.5}, {"n": 3}])
    assert sink.table()["n"].to_pylist() == [1.0, 2.5, 3.0]


def test_a_whole_number_written_as_a_float_fits_an_integer_column(collect: Collect, sink: MemorySink) -> None:
    collect([{"n": 1}])
    assert collect([{"n": 5.0}, {"n": 6}]).counts()["accepted"] == 2
    assert sink.table()["n"].to_pylist() == [1, 5, 6]


def test_a_refused_row_brings_no_columns(collect: Collect, sink: MemorySink) -> None:
    collect([{"n": 1}, {"n": "x", "strange": 1}])
    assert types(sink) == {"n": "integer"}


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ({"a; drop table x": 1}, {"a; drop table x": "1"}),
        ({"": "x"}, {"": "x"}),
        ({"n" * 129: 1}, {"n" * 129: "1"}),
        ({"mixed": [1, "a"]}, {"mixed": '[1,"a"]'}),
        ({"objects": [{"a": 1}]}, {"objects": '[{"a":1}]'}),
        ({"empty": []}, {"empty": "[]"}),
        ({"ingest_time": "x", "overflow": True}, {"ingest_time": "x", "overflow": "true"}),
        ({"Event_Id": "x"}, {"Event_Id": "x"}),
        ({"timestamp": "2025-07-15", "event_time": "2025-07-14"}, {"event_time": "2025-07-14"}),
        ({"event_time": "2025-07-14", "timestamp": "2025-07-15"}, {"event_time": "2025-07-14"}),
        ({"event": {"time": 1}}, {"event.time": "1"}),
        ({"Song": "a", "song": "b"}, {"song": "b"}),
    ],
)
def test_what_fits_no_column_is_kept_in_the_overflow_map(
    collect: Collect, sink: MemorySink, row: dict[str, Any], kept: dict[str, str]
) -> None:
    for _ in range(2):
        assert collect(row).counts()["accepted"] == 1
    assert [dict(found) for found in sink.table()["overflow"].to_pylist()] == [kept, kept]


def test_names_of_any_script_become_columns(collect: Collect, sink: MemorySink) -> None:
    collect({"größe": 1, "曲名": "x", "play-count": 1, "a.b": 1, "two words": 1})
    assert list(sink.schema.fields) == ["größe", "曲名", "play-count", "a.b", "two words"]


def test_beyond_the_most_columns_fields_overflow(collect: Collect, sink: MemorySink) -> None:
    sink.schema = sink.schema.model_copy(update={"max_columns": 2})
    collect({"a": 1, "b": 2, "c": 3})
    assert list(sink.schema.fields) == ["a", "b"]
    assert sink.table()["overflow"].to_pylist() == [[("c", "3")]]


def test_unknown_fields_overflow_or_refuse_where_the_schema_says_so(collect: Collect, sink: MemorySink) -> None:
    sink.schema = sink.schema.with_fields({"genre": FieldSpec(type=FieldType.STRING)})
    sink.schema = sink.schema.model_copy(update={"extras": "overflow"})
    collect({"genre": "jazz", "genr": "pop"})
    assert sink.table()["overflow"].to_pylist() == [[("genr", "pop")]]
    sink.schema = sink.schema.model_copy(update={"extras": "quarantine"})
    refusal = collect({"genr": "pop"})[0].refusal
    assert refusal is not None
    assert (refusal.code, refusal.field) == ("unknown_field", "genr")
    assert "'genre'" in refusal.remedy


def test_a_frame_and_a_table_keep_their_types(collect: Collect, sink: MemorySink) -> None:
    frame = pd.DataFrame({"day": [pd.Timestamp("2025-07-15"), pd.NaT], "n": [1, 2], "s": ["a", None]})
    assert collect(frame).counts()["accepted"] == 2
    table = pa.table(
        {
            "day": pa.array([1, None], pa.timestamp("ns")),
            "n": pa.array([3, 4], pa.uint8()),
            "s": pa.array(["b", "b"]).dictionary_encode(),
            "in": pa.array([{"a": 1.5, "b": ["x"]}, None]),
        }
    )
    assert collect(table).counts()["accepted"] == 2
    assert types(sink) == {"day": "timestamp", "n": "integer", "s": "string", "in_a": "float", "in_b": "strings"}
    assert sink.table()["n"].to_pylist() == [1, 2, 3, 4]
    assert sink.table()["in_b"].to_pylist() == [None, None, ["x"], None]


def test_a_column_of_another_type_is_looked_at_row_by_row(collect: Collect, sink: MemorySink) -> None:
    sink.schema = sink.schema.with_fields({"n": FieldSpec(type=FieldType.INTEGER)})
    receipts = collect(pa.table({"n": [1.0, 1.5, None, float("nan")], "at": [None] * 4}))
    assert {row: receipt.refusal.code for row, receipt in receipts.exceptions.items() if receipt.refusal} == {
        1: "type_conflict",
        3: "not_finite",
    }
    assert sink.table()["n"].to_pylist() == [1, None]
    assert collect(pd.DataFrame({"n": [1, "x", None]}, dtype=object)).counts()["quarantined"] == 1


def test_integers_of_a_frame_with_gaps_fit_an_integer_column(collect: Collect, sink: MemorySink) -> None:
    sink.schema = sink.schema.with_fields({"n": FieldSpec(type=FieldType.INTEGER)})
    collect(pd.DataFrame({"n": [1, None, 3]}))
    assert sink.table()["n"].to_pylist() == [1, None, 3]


class Interfering(MemorySink):
    """A store whose schema another writer changes, between a collector's look at it and its own change."""

    looks = 0
    _own: DatasetSchema

    @property
    def schema(self) -> DatasetSchema:
        self.looks += 1
        if self.looks == 3:
            self._own = self._own.with_fields({"theirs": FieldSpec(type=FieldType.STRING)})
        return self._own

    @schema.setter
    def schema(self, schema: DatasetSchema) -> None:
        self._own = schema


def test_a_schema_that_another_grows_meanwhile_loses_no_column(clock: ManualClock) -> None:
    sink = Interfering(DatasetSchema(name="plays"))
    collector = DataCollector("tenant_001", lambda _: sink, CollectionConfig(), clock)
    rows = [{"mine": 1, "theirs": "x"}, {"theirs": 7}]
    receipts = collector.collect("plays", Payload.of(rows), source=DataSourceType.API).result()
    assert list(sink.schema.fields) == ["theirs", "mine"]
    assert receipts.counts()["quarantined"] == 1
    assert sink.events[0]["theirs"].to_pylist() == ["x"]
