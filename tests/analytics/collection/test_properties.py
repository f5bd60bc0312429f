"""Laws: the fast way and the slow way agree, a retry is answered the same, every row is answered once."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tenancy.analytics.collection import DataCollector, Media, Payload
from tenancy.analytics.collection.checks import check
from tenancy.analytics.collection.layout import Layout
from tenancy.analytics.collection.lines import Lines
from tenancy.analytics.collection.reader import Limits, read
from tenancy.analytics.collection.reading import Reading
from tenancy.analytics.collection.slow import SlowReading
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.errors import AnalyticsError
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import DataSourceType, Receipts, Refusal

NOW = datetime(2025, 7, 16, 12, tzinfo=UTC)
LIMITS = Limits(max_row_bytes=2_000, max_depth=8)
SCHEMA = DatasetSchema(
    name="plays",
    fields={
        "text": FieldSpec(type=FieldType.STRING, max_length=20, required=True),
        "code": FieldSpec(type=FieldType.STRING, pattern="[a-z]*"),
        "whole": FieldSpec(type=FieldType.INTEGER, minimum=-100),
        "real": FieldSpec(type=FieldType.FLOAT, maximum=1e6),
        "flag": FieldSpec(type=FieldType.BOOLEAN),
        "seen": FieldSpec(type=FieldType.TIMESTAMP),
        "tags": FieldSpec(type=FieldType.STRINGS, enum=("", "0", "a")),
        "user_age": FieldSpec(type=FieldType.INTEGER),
        "user_city_name": FieldSpec(type=FieldType.STRING),
    },
)

texts = st.text(max_size=25)
iso = st.one_of(
    st.datetimes(datetime(1965, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.isoformat()),
    st.datetimes(datetime(2025, 1, 1), datetime(2025, 7, 16)).map(lambda at: at.isoformat() + "Z"),
    st.datetimes(datetime(2025, 1, 1), datetime(2025, 7, 16)).map(lambda at: at.isoformat() + "+02:00"),
)
epochs = st.one_of(st.integers(-10, 2**63 - 1), st.integers(1_500_000_000, 1_752_000_000))
whole = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-200, 200), st.just(2**53 + 1))
reals = st.floats(allow_nan=False, allow_infinity=False)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


def rows_of(time: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows that are right, or wrong only by their values: these the fast way reads all by itself."""
    return st.fixed_dictionaries(
        {"text": st.one_of(st.text(max_size=20), st.text(max_size=20), maybe(texts))},
        optional={
            "code": maybe(st.sampled_from(["abc", "", "a1", "ä"])),
            "whole": maybe(whole),
            "real": maybe(st.one_of(reals, st.integers(-(2**53), 2**53))),
            "flag": maybe(st.booleans()),
            "seen": maybe(time),
            "timestamp": maybe(time),
            "tags": maybe(st.lists(maybe(texts), max_size=3)),
            "event_id": maybe(texts),
            "user": maybe(
                st.fixed_dictionaries(
                    {}, optional={"age": maybe(whole), "city": maybe(st.fixed_dictionaries({"name": maybe(texts)}))}
                )
            ),
        },
    )


anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), texts, iso),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
names = st.sampled_from(
    ["text", "whole", "real", "flag", "seen", "tags", "timestamp", "event_time", "event_id", "User", "user"]
)
dirty_rows = st.dictionaries(st.one_of(names, texts), anything, max_size=6)
dirty_lines = st.one_of(
    dirty_rows.map(lambda row: json.dumps(row).encode()),
    dirty_rows.map(lambda row: json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" ")),
)


def settled(reading: Reading) -> tuple[pa.Table, dict[int, Refusal]]:
    checked = check(reading, SCHEMA, NOW, timedelta(hours=24), quality_checks=True)
    columns = {name: column for name, column in checked.columns.items() if column.null_count < len(column)}
    if checked.event_time is not None and checked.event_time.null_count < reading.rows:
        columns["\0time"] = checked.event_time
    if checked.ids is not None and checked.ids.null_count < reading.rows:
        columns["\0id"] = checked.ids
    table = pa.table({name: columns[name] for name in sorted(columns)})
    return table, dict(checked.refusals)


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from([iso, epochs]))
def test_the_fast_and_the_slow_way_give_the_same_table_and_the_same_reasons(
    data: st.DataObject, time: st.SearchStrategy[Any]
) -> None:
    rows = data.draw(st.lists(rows_of(time), min_size=1, max_size=6))
    body = b"\n".join(orjson.dumps(row) for row in rows)
    layout = Layout(SCHEMA)
    for row in rows:
        layout = layout.learned(row, LIMITS.max_depth) or layout
    reading, _ = read(Payload(body, Media.NDJSON), layout, LIMITS)
    slow, _ = SlowReading(Lines.of(body), SCHEMA, LIMITS.max_row_bytes, LIMITS.max_depth).read()
    assert settled(reading) == settled(slow)


def test_rows_of_the_law_above_do_take_the_fast_way() -> None:
    row = {"text": "a", "whole": 1, "real": 1, "seen": "2025-07-15", "user": {"age": 1, "city": {"name": "x"}}}
    body = b"\n".join([orjson.dumps(row)] * 3)
    reading, layout = read(Payload(body, Media.NDJSON), Layout(SCHEMA), LIMITS)
    assert not isinstance(reading.raw, Lines)
    assert ("user", "city", "name") in layout.kinds


def collector_of(sink: MemorySink) -> DataCollector:
    config = CollectionConfig(max_row_bytes=2_000, max_depth=8)
    return DataCollector("tenant_001", lambda _: sink, config, ManualClock(NOW))


def collected(collector: DataCollector, lines: list[bytes], key: str | None = None) -> Receipts:
    payload = Payload.from_http(b"\n".join(lines), "application/x-ndjson")
    return collector.collect("plays", payload, source=DataSourceType.API, idempotency_key=key).result(timeout=5)


@settings(deadline=None, max_examples=200)
@given(st.lists(dirty_lines, min_size=1, max_size=8), st.sampled_from(["columns", "overflow", "quarantine"]))
def test_whatever_comes_every_row_is_answered_once_and_kept_once(lines: list[bytes], extras: str) -> None:
    sink = MemorySink(SCHEMA.model_copy(update={"extras": extras}))
    collector = collector_of(sink)
    try:
        receipts = collected(collector, lines)
    except AnalyticsError:
        assert all(not line.strip() for line in lines)
        return
    counts = receipts.counts()
    assert sum(counts.values()) == receipts.rows == sum(1 for line in lines if line.strip())
    assert sink.table().num_rows == counts["accepted"] + counts["late"]
    assert sink.quarantine().num_rows == counts["quarantined"]
    sink.table().validate(full=True)
    sink.quarantine().validate(full=True)


@settings(deadline=None, max_examples=100)
@given(st.lists(dirty_lines, min_size=1, max_size=6))
def test_a_retry_with_the_same_key_is_answered_the_same_and_stores_nothing(lines: list[bytes]) -> None:
    sink = MemorySink(SCHEMA)
    lines = [*lines, b'{"text":"a","event_id":"one"}', b'{"text":"a","event_id":"one"}']
    first = collected(collector_of(sink), lines, key="k")
    stored, refused = sink.table(), sink.quarantine()
    again = collected(collector_of(sink), lines, key="k")  # another collector: nothing is remembered but by the store
    assert again.replayed
    assert list(again) == list(first)
    assert sink.table().equals(stored)
    assert sink.quarantine().num_rows == refused.num_rows


@settings(deadline=None, max_examples=100)
@given(st.one_of(st.binary(max_size=60), dirty_rows.map(lambda row: json.dumps([row, {}]).encode())))
def test_no_body_of_any_type_raises_anything_but_an_error_of_the_tree(body: bytes) -> None:
    for content_type in ("application/json", "application/x-ndjson", "application/vnd.apache.arrow.stream"):
        collector = collector_of(MemorySink(SCHEMA))
        try:
            done = collector.collect("plays", Payload.from_http(body, content_type), source=DataSourceType.API)
            receipts = done.result(timeout=5)
        except AnalyticsError:
            continue
        assert sum(receipts.counts().values()) == receipts.rows


@settings(deadline=None, max_examples=100)
@given(st.lists(st.dictionaries(texts, anything, max_size=4), max_size=4))
def test_python_data_gives_what_the_same_data_gives_as_json(rows: list[dict[str, Any]]) -> None:
    sinks = [MemorySink(DatasetSchema(name="plays")) for _ in range(2)]
    payloads = [Payload.of(rows), Payload.from_http(json.dumps(rows).encode(), "application/json")]
    answers = []
    for sink, payload in zip(sinks, payloads, strict=True):
        done = collector_of(sink).collect("plays", payload, source=DataSourceType.API)
        answers.append([receipt.refusal for receipt in done.result(timeout=5)])
    assert answers[0] == answers[1]
    assert sinks[0].schema == sinks[1].schema
