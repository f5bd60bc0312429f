"""A bad row is answered by itself: its neighbours are kept, and it is in the quarantine, byte for byte."""

import json
from collections.abc import Callable

import pyarrow as pa
import pytest

from tenancy.analytics.collection import DataCollector, Payload
from tenancy.analytics.collection.sink import EventSink
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.errors import (
    InvalidRequestError,
    PayloadTooLargeError,
    UnknownNameError,
    UnsupportedMediaError,
)
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import DataSourceType, Receipts, ReceiptStatus

Collect = Callable[..., Receipts]
GOOD = b'{"user":"ada","duration":180}'


def only_refusal(receipts: Receipts) -> tuple[int, int | None, str, str | None]:
    (receipt,) = receipts.exceptions.values()
    assert receipt.status is ReceiptStatus.QUARANTINED
    assert receipt.refusal is not None
    assert receipt.refusal.remedy
    return receipt.index, receipt.line, receipt.refusal.code, receipt.refusal.field


def test_malformed_json_in_line_7_of_1000_costs_that_line_alone(collect: Collect, sink: MemorySink) -> None:
    lines = [json.dumps({"user": f"u{row}", "duration": row}).encode() for row in range(1000)]
    lines[6] = b'{"user":"u6","duration":'
    receipts = collect(b"\n".join(lines))
    assert receipts.counts() == {"accepted": 999, "duplicate": 0, "quarantined": 1, "late": 0}
    assert only_refusal(receipts) == (6, 7, "malformed_json", None)
    assert sink.table()["duration"].to_pylist() == [*range(6), *range(7, 1000)]
    assert sink.quarantine()["raw"].to_pylist() == [lines[6]]


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        (b'{"user":7}', "type_conflict", "user"),
        (b'{"user":["ada"]}', "type_conflict", "user"),
        (b'{"user":true}', "type_conflict", "user"),
        (b'{"duration":"long"}', "type_conflict", "duration"),
        (b'{"duration":5.5}', "type_conflict", "duration"),
        (b'{"duration":true}', "type_conflict", "duration"),
        (b'{"duration":9223372036854775808}', "integer_overflow", "duration"),
        (b'{"duration":-9223372036854775809}', "integer_overflow", "duration"),
        (b'{"duration":1e300}', "integer_overflow", "duration"),
        (b'{"duration":NaN}', "not_finite", "duration"),
        (b'{"score":NaN}', "not_finite", "score"),
        (b'{"score":-Infinity}', "not_finite", "score"),
        (b'{"score":1e400}', "not_finite", "score"),
        (b'{"new":1e400}', "not_finite", "new"),
        (b'{"timestamp":"9999-01-01T00:00:00Z"}', "time_out_of_range", "timestamp"),
        (b'{"timestamp":"-0001-01-01T00:00:00Z"}', "time_out_of_range", "timestamp"),
        (b'{"timestamp":"+12025-01-01T00:00:00Z"}', "time_out_of_range", "timestamp"),
        (b'{"timestamp":"1969-12-31T23:59:59Z"}', "time_out_of_range", "timestamp"),
        (b'{"timestamp":"2025-07-17T12:00:01Z"}', "time_out_of_range", "timestamp"),
        (b'{"timestamp":-1}', "time_out_of_range", "timestamp"),
        (b'{"timestamp":18446744073709551615}', "time_out_of_range", "timestamp"),
        (b'{"timestamp":NaN}', "not_finite", "timestamp"),
        (b'{"timestamp":"yesterday"}', "invalid_time", "timestamp"),
        (b'{"timestamp":"2025-02-30T00:00:00Z"}', "invalid_time", "timestamp"),
        (b'{"timestamp":true}', "invalid_time", "timestamp"),
        (b'{"timestamp":["2025-07-16"]}', "invalid_time", "timestamp"),
        (b'{"user":"a","user":"b"}', "duplicate_key", "user"),
        (b'{"user":"a: \\":","user":"b"}', "duplicate_key", "user"),
        (b'{"deep":{"a":1,"a":2}}', "duplicate_key", "a"),
        (b'{"list":[{"a":1,"a":2}]}', "duplicate_key", "a"),
        (b'{"user":"\xff"}', "invalid_utf8", "user"),
        (b'{"user":"\xed\xa0\x80"}', "invalid_utf8", "user"),
        (b'{"user":"\\ud800"}', "invalid_utf8", "user"),
        (b'{"\\ud800":1}', "invalid_utf8", "?"),
        (b'{"\xff', "invalid_utf8", None),
        (b"[1,2]", "not_an_object", None),
        (b'"text"', "not_an_object", None),
        (b"null", "not_an_object", None),
        (b"17", "not_an_object", None),
        (b"{}{}", "malformed_json", None),
        (b"{'user':'ada'}", "malformed_json", None),
        (b'{"user":"a\tb"}', "malformed_json", None),
        (b'{"event_id":1.5}', "type_conflict", "event_id"),
        (b'{"event_id":"' + b"x" * 257 + b'"}', "too_long", "event_id"),
        (b'{"deep":' + b"[" * 200 + b"]" * 200 + b"}", "too_deep", "deep"),
        (b'{"deep":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}", "too_deep", "deep"),
        (b'{"deep":' + b"[" * 1900 + b"]" * 1900 + b"}", "too_deep", None),
        (b'{"user":"' + b"x" * 5000 + b'"}', "too_large", None),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason_and_its_neighbours_are_kept(
    collect: Collect, sink: MemorySink, row: bytes, code: str, field: str | None
) -> None:
    sink.schema = sink.schema.with_fields({"score": FieldSpec(type=FieldType.FLOAT)})
    receipts = collect(b"\n".join([GOOD, row, GOOD]))
    assert only_refusal(receipts) == (1, 2, code, field)
    assert sink.table()["user"].to_pylist() == ["ada", "ada"]
    assert sink.quarantine()["error_code"].to_pylist() == [code]
    assert sink.quarantine()["raw"].to_pylist() == [row[:4096]]
    assert sink.quarantine()["error_line"].to_pylist() == [2]


def test_an_integer_over_64_bits_in_a_row_that_is_refused_costs_that_row_alone(collect: Collect) -> None:
    receipts = collect(b'{"text": "a", "whole": 1}\n{"text": {":": -9223372036854775809}, "whole": Infinity}\n')
    assert receipts.counts()["quarantined"] == 1
    assert receipts.counts()["accepted"] == 1


def test_a_string_of_10_mb_is_quarantined_cut_and_its_neighbours_are_kept(sink: MemorySink, clock: ManualClock) -> None:
    collector = DataCollector("tenant_001", lambda _: sink, CollectionConfig(), clock)
    body = b"\n".join([GOOD, b'{"user":"' + b"x" * 10_000_000 + b'"}', GOOD])
    done = collector.collect("plays", Payload.from_http(body, "application/x-ndjson"), source=DataSourceType.API)
    assert only_refusal(done.result()) == (1, 2, "too_large", None)
    (raw,) = sink.quarantine()["raw"].to_pylist()
    assert len(raw) == CollectionConfig().max_row_bytes


def test_nesting_that_would_overflow_a_parser_is_a_receipt(sink: MemorySink, clock: ManualClock) -> None:
    collector = DataCollector("tenant_001", lambda _: sink, CollectionConfig(), clock)
    deep = b'{"deep":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    done = collector.collect(
        "plays", Payload.from_http(b"\n".join([GOOD, deep]), "application/x-ndjson"), source=DataSourceType.API
    )
    assert only_refusal(done.result()) == (1, 2, "too_deep", None)


@pytest.mark.parametrize(
    ("spec", "bad", "code"),
    [
        (FieldSpec(type=FieldType.STRING, enum=("DE", "FR")), "UK", "not_in_enum"),
        (FieldSpec(type=FieldType.INTEGER, minimum=1), 0, "below_minimum"),
        (FieldSpec(type=FieldType.INTEGER, minimum=1e19), 2**63 - 1, "below_minimum"),
        (FieldSpec(type=FieldType.INTEGER, maximum=0.5), 1, "above_maximum"),
        (FieldSpec(type=FieldType.INTEGER, maximum=-1e19), -(2**63), "above_maximum"),
        (FieldSpec(type=FieldType.FLOAT, maximum=1), 1.5, "above_maximum"),
        (FieldSpec(type=FieldType.STRINGS, enum=("a", "b")), ["a", "c"], "not_in_enum"),
        (FieldSpec(type=FieldType.INTEGER, enum=("1", "2")), 3, "not_in_enum"),
        (FieldSpec(type=FieldType.STRING, pattern="[a-z]+"), "ab1", "pattern_mismatch"),
        (FieldSpec(type=FieldType.STRING, pattern="a|b"), "ab", "pattern_mismatch"),
        (FieldSpec(type=FieldType.STRING, max_length=3), "größe", "too_long"),
        (FieldSpec(type=FieldType.STRING, required=True), None, "missing_required"),
        (FieldSpec(type=FieldType.TIMESTAMP), "soon", "invalid_time"),
    ],
)
def test_what_is_declared_of_a_field_is_checked(
    collect: Collect, sink: MemorySink, spec: FieldSpec, bad: object, code: str
) -> None:
    sink.schema = sink.schema.with_fields({"field": spec})
    assert only_refusal(collect({"field": bad})) == (0, 1, code, "field")


def test_quality_checks_can_be_switched_off_and_types_cannot(clock: ManualClock, sink: MemorySink) -> None:
    sink.schema = sink.schema.with_fields({"field": FieldSpec(type=FieldType.INTEGER, minimum=1)})
    config = CollectionConfig(quality_checks_enabled=False)
    collector = DataCollector("tenant_001", lambda _: sink, config, clock)
    done = collector.collect("plays", Payload.of([{"field": 0}, {"field": "x"}]), source=DataSourceType.API)
    assert only_refusal(done.result())[2] == "type_conflict"


def test_a_pattern_that_is_none_is_an_error_that_names_it(collect: Collect, sink: MemorySink) -> None:
    sink.schema = sink.schema.with_fields({"field": FieldSpec(type=FieldType.STRING, pattern="(")})
    with pytest.raises(InvalidRequestError, match=r"fields\.field\.pattern"):
        collect({"field": "x"})


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("body", [b"", b" \r\n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_body_is_an_error(collect: Collect, body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        collect(body, content_type)


@pytest.mark.parametrize(
    "body",
    [
        b'{"user":"ada"',
        b'[{"user":"ada"},{"user":]',
        b'[{"user":"ada"} {"user":"eve"}]',
        b'[{"user":"ada"}\n{"user":"eve"}]',
        b'[{"user":"ada"},]',
        b'[{"user":"ada"}] x',
        b'{"user":"ada"}\n{"user":"eve"}',
        b'[{"user":"a},{b"},{"user":"c},{d"',
        b"17",
        b'"text"',
        b"[" * 5_000,
        b'{"user":"\x00"}',
    ],
)
def test_a_json_document_that_is_broken_as_a_whole_is_an_error(collect: Collect, sink: MemorySink, body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="body"):
        collect(body, "application/json")
    assert sink.events == []


def test_a_broken_array_is_told_with_the_place(collect: Collect) -> None:
    with pytest.raises(InvalidRequestError, match=r"line 3, column 9.*application/x-ndjson"):
        collect(b'[\n{"user":"ada"},\n{"user":}\n]', "application/json")


@pytest.mark.parametrize(
    ("element", "code"),
    [
        (b'{"user":"a","user":"b"}', "duplicate_key"),
        (b'{"duration":NaN}', "not_finite"),
        (b'{"user":"\xff"}', "invalid_utf8"),
        (b'{"user":"\\ud800"}', "invalid_utf8"),
        (b"[1]", "not_an_object"),
        (b'{\n  "user": 7\n}', "type_conflict"),
    ],
)
def test_a_bad_element_of_an_array_costs_that_element_alone(
    collect: Collect, sink: MemorySink, element: bytes, code: str
) -> None:
    receipts = collect(b"[" + b",\n ".join([GOOD, element, GOOD]) + b"]", "application/json")
    assert only_refusal(receipts) == (1, None, code, only_refusal(receipts)[3])
    assert sink.table()["user"].to_pylist() == ["ada", "ada"]


def test_several_objects_in_one_line_and_one_object_over_two_are_no_lines(collect: Collect, sink: MemorySink) -> None:
    receipts = collect(b'{"user":"a"}{"user":"b"}\n\n{"user":"c"\n}{"user":"d"}\n{"user":"e"}')
    assert receipts.counts()["quarantined"] == 3
    assert [receipt.line for receipt in receipts.exceptions.values()] == [1, 3, 4]
    assert sink.table()["user"].to_pylist() == ["e"]


def test_line_numbers_count_blank_lines_and_receipts_do_not(collect: Collect) -> None:
    receipts = collect(b"\r\n" + GOOD + b"\r\n\r\n  nonsense \r\n" + GOOD + b"\r\n")
    assert receipts.rows == 3
    assert only_refusal(receipts) == (1, 4, "malformed_json", None)


def test_a_body_over_the_limit_is_an_error(sink: MemorySink, clock: ManualClock) -> None:
    collector = DataCollector("tenant_001", lambda _: sink, CollectionConfig(max_body_bytes=1024), clock)
    with pytest.raises(PayloadTooLargeError, match="1,024"):
        collector.collect("plays", Payload.of([{"user": "x" * 1025}]), source=DataSourceType.API)


def test_an_unknown_dataset_is_the_stores_own_error(clock: ManualClock) -> None:
    def missing(name: str) -> EventSink:
        raise UnknownNameError("dataset", name, ("plays",))

    collector = DataCollector("tenant_001", missing, CollectionConfig(), clock)
    with pytest.raises(UnknownNameError, match="did you mean 'plays'"):
        collector.collect("playz", Payload.of({"user": "ada"}), source=DataSourceType.API)


@pytest.mark.parametrize("name", ["../plays", "plays_quarantine", 'plays"; drop table x', "プレイ"])
def test_a_name_that_can_be_no_dataset_is_an_error(collector: DataCollector, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="dataset name"):
        collector.collect(name, Payload.of({"user": "ada"}), source=DataSourceType.API)


def test_an_unsupported_content_type_lists_those_that_are() -> None:
    with pytest.raises(UnsupportedMediaError, match="application/x-ndjson"):
        Payload.from_http(b"a,b\n1,2", "text/csv")


@pytest.mark.parametrize("cut", [0, 1, 8, 100, -1, -9])
def test_a_cut_arrow_stream_is_an_error_or_whole(collect: Collect, sink: MemorySink, cut: int) -> None:
    target = pa.BufferOutputStream()
    with pa.ipc.new_stream(target, pa.schema([("user", pa.string())])) as stream:
        stream.write_table(pa.table({"user": ["ada"] * 100}))
    body = target.getvalue().to_pybytes()
    try:
        receipts = collect(body[:cut], "application/vnd.apache.arrow.stream")
    except InvalidRequestError:
        assert sink.events == []
    else:
        assert receipts.rows == 100  # only the end-of-stream mark was cut off


def test_an_arrow_stream_with_text_that_is_no_utf8_is_an_error(collect: Collect) -> None:
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    with pytest.raises(InvalidRequestError, match="UTF8"):
        collect(pa.table({"user": broken}))


def test_the_quarantine_keeps_the_values_that_could_be_read(collect: Collect, sink: MemorySink) -> None:
    collect(b'{"event_id":"e1","user":"ada","duration":"x","timestamp":"2025-07-16T10:00:00Z"}')
    (row,) = sink.quarantine().to_pylist()
    assert row["event_id"] == "e1"
    assert row["user"] == "ada"
    assert row["duration"] is None
    assert row["event_time"].isoformat() == "2025-07-16T10:00:00+00:00"
    assert (row["error_code"], row["error_field"], row["error_value"]) == ("type_conflict", "duration", "x")


def test_a_dimension_row_needs_its_key_and_no_time(clock: ManualClock) -> None:
    fields = {"song": FieldSpec(type=FieldType.STRING)}
    sink = MemorySink(
        DatasetSchema.model_validate({"name": "songs", "kind": "dimension", "key": "song", "fields": fields})
    )
    collector = DataCollector("tenant_001", lambda _: sink, CollectionConfig(), clock)
    rows = [{"song": "a", "timestamp": "1955-01-01"}, {"genre": "jazz"}, {"song": "a", "genre": "pop"}]
    receipts = collector.collect("songs", Payload.of(rows), source=DataSourceType.API).result()
    assert only_refusal(receipts) == (1, 2, "missing_required", "song")
    assert sink.table()["timestamp"].to_pylist() == ["1955-01-01", None]
    assert sink.table()["genre"].to_pylist() == [None, "pop"]
