"""Payloads: every form of data a caller may have, as bytes or Arrow that travel cheaply."""

import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tenancy.analytics.collection import Media, Payload
from tenancy.analytics.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2025, 7, 15, 10, 30, tzinfo=UTC), b'"2025-07-15T10:30:00+00:00"'),
        (date(2025, 7, 15), b'"2025-07-15"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (np.int32(7), b"7"),
        (np.array([1, 2]), b"[1,2]"),
        (float("nan"), b"NaN"),
        (float("-inf"), b"-Infinity"),
        (2**70, b"1180591620717411303424"),
        ("\ud800", b'"\\ud800"'),
        (Decimal("1.5"), b"1.5"),
        ((1, None), b"[1,null]"),
    ],
)
def test_values_are_written_so_that_nothing_is_lost_unseen(value: Any, text: bytes) -> None:
    assert Payload.of({"a": value}).body == b'{"a":' + text + b"}"
    assert Payload.of([{}, {"a": value}]).body == b'{}\n{"a":' + text + b"}"


@pytest.mark.parametrize("data", [None, 7, "text", b"bytes", {1, 2}, iter([])])
def test_what_is_no_data_is_an_error(data: object) -> None:
    with pytest.raises(InvalidRequestError, match="data"):
        Payload.of(data)


def test_a_value_without_a_place_is_an_error_that_names_its_row() -> None:
    with pytest.raises(InvalidRequestError, match=r"data\[1\].*object"):
        Payload.of([{}, {"a": object()}])
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidRequestError, match=r"data\[0\]"):
        Payload.of({"a": loop})


@pytest.mark.parametrize(
    "payload",
    [
        Payload.of([{"a": 1}]),
        Payload.of(pa.table({"a": [1, 2]})),
        Payload.of(pd.DataFrame({"a": [1, 2]})),
        Payload.of(pa.record_batch({"a": [1, 2]})),
        Payload.from_http(b"[]", "application/json"),
    ],
)
def test_a_payload_arrives_whole_in_another_process(payload: Payload) -> None:
    there = pickle.loads(pickle.dumps(payload))
    assert there.media == payload.media
    assert there.fingerprint("plays") == payload.fingerprint("plays")


def test_a_slice_of_a_table_travels_without_the_rest() -> None:
    parts = list(Payload.of(pa.table({"a": range(100_000)})).slices(1_000))
    assert [part.rows_at_most for part in parts] == [1_000] * 100
    assert len(pickle.dumps(parts[3])) < 10_000
    assert pickle.loads(pickle.dumps(parts[3])).table()["a"][0].as_py() == 3_000


def test_a_fingerprint_tells_body_form_and_dataset_apart() -> None:
    payloads = [Payload(b"{}", Media.JSON), Payload(b"{}", Media.NDJSON), Payload(b"{} ", Media.JSON)]
    assert len({payload.fingerprint(name) for payload in payloads for name in ("a", "b")}) == 6


@pytest.mark.parametrize(("body", "rows"), [(b'[{"a":{}},{"a":{}}]', 2), (b'{"a":1}', 1), (b"[]", 0)])
def test_rows_are_never_estimated_too_few(body: bytes, rows: int) -> None:
    assert Payload.from_http(body, "application/json").rows_at_most >= rows
