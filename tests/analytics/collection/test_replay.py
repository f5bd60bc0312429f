"""The quarantine: rows collected again after a fix are stored once, and are pending no longer."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from tenancy.analytics.collection import DataCollector, pending
from tenancy.analytics.collection import collector as collector_module
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import Receipts

Collect = Callable[..., Receipts]


@pytest.fixture
def sink() -> MemorySink:
    """A dataset whose names may have 3 characters, which turns out to be too few."""
    return MemorySink(schema_of(3))


def schema_of(longest: int) -> DatasetSchema:
    return DatasetSchema(name="plays", fields={"user": FieldSpec(type=FieldType.STRING, max_length=longest)})


def fix(sink: MemorySink) -> None:
    sink.schema = schema_of(10)


def test_rows_pass_after_a_fix_under_their_own_ids_and_are_pending_no_longer(
    collect: Collect, collector: DataCollector, sink: MemorySink
) -> None:
    collect(b'{"user":"grace","event_id":"own"}\n{"user":"hedy"}\nnonsense')
    waiting = pending(sink.quarantine())
    assert waiting.num_rows == 3
    fix(sink)
    receipts = collector.replay("plays", waiting).result()
    assert receipts.counts() == {"accepted": 2, "duplicate": 0, "quarantined": 1, "late": 0}
    assert sink.table()["event_id"].to_pylist() == waiting["event_id"].to_pylist()[:2]
    assert sink.table()["user"].to_pylist() == ["grace", "hedy"]
    left = pending(sink.quarantine())
    assert left["raw"].to_pylist() == [b"nonsense"]
    assert receipts[2].event_id == left["event_id"][0].as_py()


def test_a_second_replay_stores_nothing(collect: Collect, collector: DataCollector, sink: MemorySink) -> None:
    collect([{"user": "grace"}, {"user": "hedy"}])
    waiting = pending(sink.quarantine())
    fix(sink)
    collector.replay("plays", waiting).result()
    again = collector.replay("plays", waiting).result()
    assert again.counts()["duplicate"] == 2
    assert sink.table().num_rows == 2
    assert pending(sink.quarantine()).num_rows == 0


def test_a_row_that_was_sent_again_right_is_no_longer_pending_after_replay(
    collect: Collect, collector: DataCollector, sink: MemorySink
) -> None:
    collect({"user": "grace", "event_id": "a"})
    waiting = pending(sink.quarantine())
    fix(sink)
    collect({"user": "ada", "event_id": "a"})
    assert collector.replay("plays", waiting).result().counts()["duplicate"] == 1
    assert sink.table()["user"].to_pylist() == ["ada"]
    assert pending(sink.quarantine()).num_rows == 0


def test_what_fails_again_is_told_with_its_new_reason(
    collect: Collect, collector: DataCollector, sink: MemorySink
) -> None:
    collect({"user": "grace"})
    waiting = pending(sink.quarantine())
    sink.schema = DatasetSchema(name="plays", fields={"user": FieldSpec(type=FieldType.STRING, pattern="[a-f]+")})
    refusal = collector.replay("plays", waiting).result()[0].refusal
    assert refusal is not None
    assert (refusal.code, refusal.field) == ("pattern_mismatch", "user")
    assert pending(sink.quarantine()).num_rows == 1


def test_a_row_that_was_cut_cannot_be_replayed(collect: Collect, collector: DataCollector, sink: MemorySink) -> None:
    collect(b'{"user":"' + b"x" * 5000 + b'"}')
    refusal = collector.replay("plays", pending(sink.quarantine())).result()[0].refusal
    assert refusal is not None
    assert refusal.code == "too_large"


def test_a_pretty_printed_element_is_replayed_from_its_text(
    collect: Collect, collector: DataCollector, sink: MemorySink
) -> None:
    collect(b'[{\n "user": "grace",\n "score": 1e400\n},\n {\n "user":\n "hedy"}]', "application/json")
    fix(sink)
    receipts = collector.replay("plays", pending(sink.quarantine())).result()
    assert receipts.counts()["accepted"] == 1
    assert sink.table()["user"].to_pylist() == ["hedy"]


def test_rows_of_a_table_are_replayed_as_they_were(
    collect: Collect, sink: MemorySink, clock: ManualClock, config: CollectionConfig
) -> None:
    collect(pa.table({"user": ["grace"], "timestamp": pa.array([1752575400], pa.timestamp("s")), "in": [{"a": 1}]}))
    fix(sink)
    fresh = DataCollector("tenant_001", lambda _: sink, config, clock)
    assert fresh.replay("plays", pending(sink.quarantine())).result().counts()["accepted"] == 1
    (row,) = sink.table().to_pylist()
    assert (row["user"], row["in_a"], row["event_time"].timestamp()) == ("grace", 1, 1752575400)


def test_a_replay_that_failed_before_it_was_stored_may_be_repeated(
    collect: Collect, collector: DataCollector, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect({"user": "grace", "event_id": "a"})
    waiting = pending(sink.quarantine())
    fix(sink)

    def failing(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(collector_module, "markers", failing)
        with pytest.raises(MemoryError):
            collector.replay("plays", waiting)
    assert collector.replay("plays", waiting).result().counts()["accepted"] == 1
