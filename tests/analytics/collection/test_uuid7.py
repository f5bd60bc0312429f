"""Assigned ids: UUIDv7, counted up, told by receipts exactly as they are stored."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.collection.uuid7 import first_id, id_texts
from tenancy.analytics.types import Receipts


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.integers(0, 50))
def test_ids_of_a_batch_are_uuids_of_version_7_in_order_and_those_of_its_receipts(now: datetime, rows: int) -> None:
    first = first_id(now.replace(tzinfo=UTC))
    texts = id_texts(first, rows).to_pylist()
    assert texts == [receipt.event_id for receipt in Receipts(rows, first_id=first)]
    assert texts == sorted(texts)
    for text in texts:
        assert UUID(text).version == 7
        assert UUID(text).variant == "specified in RFC 4122"
        assert UUID(text).int >> 80 == int(now.replace(tzinfo=UTC).timestamp() * 1000)


def test_counting_up_from_the_largest_base_stays_a_uuid_of_version_7() -> None:
    largest = 0x7 << 76 | 0b10 << 62 | (1 << 61) - 1
    assert UUID(id_texts(largest, 1_000_000)[999_999].as_py()).variant == "specified in RFC 4122"
