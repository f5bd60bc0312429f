"""`POST …/events` against the running service: every body there is, good and bad."""

import gzip
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pyarrow as pa
import pytest
import zstandard

Post = Callable[..., httpx.Response]
Count = Callable[[str], int]
Roles = dict[str, httpx.Client]

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def lines(count: int, start: int = 0) -> bytes:
    event = '{{"user_id":"u{0}","action":"play_song","timestamp":"2025-07-15T10:30:00Z","duration":{0}}}\n'
    return "".join(event.format(start + row) for row in range(count)).encode()


def packed(body: bytes, encoding: str) -> bytes:
    match encoding:
        case "gzip":
            return gzip.compress(body)
        case "zstd":
            return zstandard.ZstdCompressor().compress(body)
    return body


@pytest.fixture(scope="module")
def post(roles: Roles, tenant: str) -> Post:
    known: set[str] = set()

    def send(body: bytes | Iterator[bytes], headers: dict[str, str], dataset: str = "plays", **query: str) -> Any:
        path = f"/v1/tenants/{tenant}/datasets/{dataset}"
        if dataset not in known:
            known.add(dataset)
            roles["admin"].put(path, json={})
        return roles["writer"].post(f"{path}/events", content=body, headers=headers, params=query)

    return send


@pytest.fixture
def count(roles: dict[str, httpx.Client], tenant: str) -> Count:
    def rows(dataset: str) -> int:
        answer = roles["analyst"].post(
            f"/v1/tenants/{tenant}/query", json={"type": "aggregation", "dataset": dataset, "metrics": ["count"]}
        )
        assert answer.status_code == 200, answer.text
        number: int = answer.json()["data"][0]["count"]
        return number

    return rows


def test_an_acknowledged_event_is_in_the_very_next_query(post: Post, count: Count) -> None:
    for total in range(1, 6):
        answer = post(lines(1, total), JSON, "next_query")
        assert answer.status_code == 200, answer.text
        assert count("next_query") == total


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_every_encoding_brings_every_row(post: Post, count: Count, encoding: str) -> None:
    answer = post(packed(lines(100), encoding), {**NDJSON, "Content-Encoding": encoding}, f"encoded_{encoding}")
    assert answer.json()["counts"]["accepted"] == 100
    assert count(f"encoded_{encoding}") == 100


def test_an_arrow_stream_brings_every_row(post: Post, count: Count) -> None:
    table = pa.table({"user_id": ["a", "b"], "duration": [1, 2]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    answer = post(sink.getvalue(), {"Content-Type": "application/vnd.apache.arrow.stream"}, "arrow_rows")
    assert answer.json()["counts"]["accepted"] == 2
    assert count("arrow_rows") == 2


def test_an_array_is_as_many_rows(post: Post) -> None:
    answer = post(json.dumps([{"action": "a"}, {"action": "b"}]).encode(), JSON, "arrays")
    assert answer.json()["rows"] == 2


def test_line_7_of_1000_is_malformed_and_costs_nobody_else(post: Post, count: Count) -> None:
    rows = lines(1000).splitlines(keepends=True)
    rows[6] = b'{"user_id": "u7", "action": \n'
    answer = post(b"".join(rows), NDJSON, "line_seven")
    document = answer.json()
    assert answer.status_code == 200
    assert document["counts"] == {"accepted": 999, "duplicate": 0, "quarantined": 1, "late": 0}
    (receipt,) = document["receipts"]
    assert (receipt["line"], receipt["index"], receipt["status"]) == (7, 6, "quarantined")
    assert set(receipt["error"]) == {"code", "field", "value", "remedy"}
    assert count("line_seven") == 999


def test_every_row_has_a_receipt_when_asked_for(post: Post) -> None:
    receipts = post(lines(3), NDJSON, "all_receipts", receipts="all").json()["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["accepted"] * 3
    assert len({receipt["event_id"] for receipt in receipts}) == 3


def test_a_repeated_key_is_counted_once_and_answered_the_same(post: Post, count: Count) -> None:
    headers = {**NDJSON, "Idempotency-Key": "batch-1"}
    first, again = (post(lines(10), headers, "repeated", receipts="all").json() for _ in range(2))
    assert (first.pop("replayed"), again.pop("replayed")) == (False, True)
    assert first == again
    assert count("repeated") == 10


def test_a_key_used_for_another_body_is_422(post: Post) -> None:
    headers = {**NDJSON, "Idempotency-Key": "batch-2"}
    assert post(lines(10), headers, "mismatch").status_code == 200
    answer = post(lines(11), headers, "mismatch")
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency-mismatch"


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_of_no_or_too_great_length_is_400(post: Post, key: str) -> None:
    assert post(lines(1), {**NDJSON, "Idempotency-Key": key}).status_code == 400


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_413_quickly(post: Post, encoding: str) -> None:
    bomb = packed(b"\0" * 512 * 1024 * 1024, encoding)
    began = time.monotonic()
    answer = post(bomb, {**NDJSON, "Content-Encoding": encoding})
    assert answer.status_code == 413
    assert answer.json()["limit"] == {"name": "body_bytes", "allowed": 8 * 1024 * 1024}
    assert time.monotonic() - began < 2.0


def test_a_body_over_the_limit_is_413_with_and_without_its_length(post: Post) -> None:
    body = lines(1) * 120_000
    assert len(body) > 8 * 1024 * 1024
    answer = post(body, NDJSON)
    assert answer.status_code == 413
    assert "max_body_bytes" in answer.json()["detail"]
    assert post(iter([body[:5_000_000], body[5_000_000:]]), NDJSON).status_code == 413


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", NDJSON, 400, "invalid-request"),
        (b"", JSON, 400, "invalid-request"),
        (b"  \n \n", NDJSON, 400, "invalid-request"),
        (gzip.compress(b""), {**NDJSON, "Content-Encoding": "gzip"}, 400, "invalid-request"),
        (gzip.compress(lines(9))[:-4], {**NDJSON, "Content-Encoding": "gzip"}, 400, "invalid-request"),
        (lines(9), {**NDJSON, "Content-Encoding": "gzip"}, 400, "invalid-request"),
        (lines(9), {**NDJSON, "Content-Encoding": "br"}, 415, "unsupported-media"),
        (lines(9), {**NDJSON, "Content-Encoding": "gzip, gzip"}, 415, "unsupported-media"),
        (b"a,b\n1,2\n", {"Content-Type": "text/csv"}, 415, "unsupported-media"),
        (b"a,b\n1,2\n", {}, 415, "unsupported-media"),
        (b"ARROW1", {"Content-Type": "application/vnd.apache.arrow.stream"}, 400, "invalid-request"),
    ],
)
def test_a_body_nobody_can_read_is_refused_whole(
    post: Post, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = post(body, headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["Plays", "plays_quarantine", "p'; DROP TABLE x; --", "ü", "_x", "x" * 64])
def test_what_cannot_name_a_dataset_is_400(post: Post, name: str) -> None:
    answer = post(lines(1), NDJSON, name)
    assert answer.status_code == 400
    assert answer.json()["place"] == "dataset name"


def test_over_the_limit_is_429_with_how_long_and_which_and_nothing_half_accepted(post: Post, count: Count) -> None:
    post(lines(1), NDJSON, "flood")  # declares the dataset, before many do at once
    body = lines(15_000)  # of 20,000 rows that may be in flight
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(body, NDJSON, "flood"), range(36)))
    refused = [answer for answer in answers if answer.status_code == 429]
    accepted = [answer for answer in answers if answer.status_code == 200]
    assert refused
    assert Counter(answer.status_code for answer in answers) == {429: len(refused), 200: len(accepted)}
    for answer in refused:
        document = answer.json()
        assert int(answer.headers["retry-after"]) >= 1
        assert document["retry_after"] > 0
        assert document["limit"]["name"] in ("buffer_size", "max_in_flight_bytes")
    assert count("flood") == 15_000 * len(accepted) + 1


def test_the_ingest_fleet_serves_the_same_events(post: Post, count: Count, roles: Roles, tenant: str) -> None:
    assert roles["admin"].put(f"/v1/tenants/{tenant}/datasets/by_fleet", json={}).status_code == 200
    path = f"/ingest/v1/tenants/{tenant}/datasets/by_fleet/events"
    answer = roles["writer"].post(path, content=lines(50), headers=NDJSON)
    assert answer.json()["counts"]["accepted"] == 50
    assert count("by_fleet") == 50
    assert roles["analyst"].post(f"/ingest/v1/tenants/{tenant}/query", json={}).status_code == 404


def test_what_was_quarantined_is_listed_and_collected_after_a_fix(
    post: Post, count: Count, roles: Roles, tenant: str
) -> None:
    path = f"/v1/tenants/{tenant}/datasets/fixable"
    strict = {"fields": {"action": {"type": "string", "enum": ["play_song"]}}}
    assert roles["admin"].put(path, json=strict).status_code == 200
    refused = roles["writer"].post(f"{path}/events", json={"action": "skip_song"})
    assert refused.json()["counts"]["quarantined"] == 1, refused.text
    listed = roles["analyst"].get(f"/v1/tenants/{tenant}/quarantine", params={"dataset": "fixable"}).json()["data"]
    assert [row["error_field"] for row in listed] == ["action"]
    wider = {"fields": {"action": {"type": "string", "enum": ["play_song", "skip_song"]}}}
    assert roles["admin"].put(path, json=wider).status_code == 200
    replayed = roles["admin"].post(f"/v1/tenants/{tenant}/quarantine/replay", params={"dataset": "fixable"})
    assert replayed.json()["counts"]["accepted"] == 1
    assert count("fixable") == 1
    assert roles["analyst"].get(f"/v1/tenants/{tenant}/quarantine", params={"dataset": "fixable"}).json()["data"] == []
