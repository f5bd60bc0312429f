"""The loader against a service over real HTTP that keeps keys and offsets, and fails when it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from cluster.client import Client, RefusedError
from cluster.ingestion import Loader, Offset, Progress
from tenancy.analytics.errors import UnavailableError
from tenancy.analytics.testing import ManualClock

ROWS = 1_000


@dataclass
class Counting:
    """What the service holds. `answers` decides of each call, before it is looked at, whether it fails."""

    max_body: int = 1_000_000
    stored: list[int] = field(default_factory=list)
    keys: dict[str, bytes] = field(default_factory=dict)
    offset: str | None = None
    answers: Callable[[str, str], int | None] = lambda method, key: None
    loses: set[str] = field(default_factory=set)
    """Keys whose first answer is lost on the way, after the rows were stored."""
    notes: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str, body: bytes) -> dict[str, object] | None:
        rows = [json.loads(line)["id"] for line in body.splitlines()]
        if key not in self.keys:
            self.keys[key] = body
            self.stored += rows
        assert self.keys[key] == body, f"{key} was used for another body"
        if key in self.loses:
            self.loses.remove(key)
            return None
        return {"rows": len(rows), "counts": {"accepted": len(rows)}, "receipts": []}


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def url(counting: Counting) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            key = self.headers.get("Idempotency-Key", "").partition(":")[2].partition(":")[2].partition(":")[2]
            with counting.lock:
                status, answer = self.answered(key, body)
            if status == 0:
                self.close_connection = True
                return
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def answered(self, key: str, body: bytes) -> tuple[int, object]:
            status = counting.answers(self.command, key)
            if status is not None:
                return status, None
            if self.command == "GET":
                return 200, {"offset": counting.offset}
            if self.command == "PUT":
                assert unquote(urlsplit(self.path).path).startswith("/v1/tenants/t/sources/file:plays:")
                counting.offset = json.loads(body)["offset"]
                counting.notes.append(counting.offset or "")
                return 204, None
            if len(body) > counting.max_body:
                return 413, {"code": "payload-too-large", "detail": "send smaller batches"}
            receipts = counting.take(key, body)
            return (0, None) if receipts is None else (200, receipts)

        do_GET = do_PUT = do_POST = do  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *arguments: object) -> None:
            """The test tells what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.ndjson"
    path.write_text("".join(f'{{"id":{row}}}\n' for row in range(ROWS)))
    return path


def load(url: str, path: Path, batch_rows: int, concurrency: int = 4, most: int | None = None) -> Progress:
    """Loads the file, or gives up after `most` batches."""
    clock = ManualClock()

    def sleep(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    progress = Progress()
    with Client(url, "tk_x") as client:
        loader = Loader(client, "t", "plays", batch_rows=batch_rows, concurrency=concurrency, clock=clock, sleep=sleep)
        for number, progress in enumerate(loader.load(path), 1):  # noqa: B007 - the last one is the answer
            if number == most:
                break
    return progress


def once(counting: Counting) -> bool:
    return sorted(counting.stored) == list(range(ROWS))


def failing(times: int, status: int, method: str = "POST") -> Callable[[str, str], int | None]:
    left = times

    def answers(called: str, key: str) -> int | None:
        nonlocal left
        if called != method or left == 0:
            return None
        left -= 1
        return status

    return answers


def test_a_file_is_loaded_and_its_end_is_noted(counting: Counting, url: str, path: Path) -> None:
    progress = load(url, path, 64)
    assert (progress.rows, progress.done, progress.waits) == (ROWS, 1.0, 0)
    assert once(counting)
    assert counting.offset == str(Offset(ROWS, 64, ROWS))


def test_a_batch_too_large_for_the_service_is_sent_in_halves(counting: Counting, url: str, path: Path) -> None:
    counting.max_body = 500
    assert load(url, path, 400).rows == ROWS
    assert once(counting)


def test_a_row_too_large_for_the_service_is_refused_and_the_new_size_is_taken_afterwards(
    counting: Counting, url: str, path: Path
) -> None:
    counting.max_body = 5
    with pytest.raises(RefusedError, match="smaller"):
        load(url, path, 400)
    assert counting.offset == str(Offset(0, 400, 0))
    counting.max_body = 1_000_000
    load(url, path, 100)
    assert once(counting)
    assert "0:100" in counting.keys


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_proxy_with_nobody_behind_it_is_waited_for(
    counting: Counting, url: str, path: Path, status: int, method: str
) -> None:
    counting.answers = failing(3, status, method)
    assert load(url, path, 100).rows == ROWS
    assert once(counting)


def test_a_proxy_that_stays_without_anybody_ends_the_load_in_bounded_time(
    counting: Counting, url: str, path: Path
) -> None:
    counting.answers = failing(10_000, 503)
    with pytest.raises(RefusedError):
        load(url, path, 100)
    counting.answers = lambda method, key: None
    load(url, path, 300)
    assert once(counting)


def test_an_answer_that_was_lost_does_not_count_a_batch_twice(counting: Counting, url: str, path: Path) -> None:
    counting.loses = {"0:100", "300:100"}
    assert load(url, path, 100).rows == ROWS
    assert once(counting)


def test_nobody_at_all_is_unavailable(path: Path) -> None:
    with pytest.raises(UnavailableError):
        load("http://127.0.0.1:9", path, 100)


@pytest.mark.parametrize("most", [1, 3, 7])
@pytest.mark.parametrize("batch_rows", [30, 100, 333])
def test_a_load_that_was_given_up_goes_on_with_another_size_and_counts_nothing_twice(
    counting: Counting, url: str, path: Path, most: int, batch_rows: int
) -> None:
    load(url, path, 100, most=most)
    acknowledged = len(counting.stored)
    assert counting.offset == str(Offset(acknowledged, 100, acknowledged))
    counting.keys.clear()  # as after data_collection.dedup_window_hours: the offset alone says what was loaded
    assert load(url, path, batch_rows).skipped == acknowledged
    assert once(counting)


@pytest.mark.parametrize("batch_rows", [30, 100, 333])
def test_a_load_that_was_killed_before_it_noted_anything_goes_on_with_another_size(
    counting: Counting, url: str, path: Path, batch_rows: int
) -> None:
    load(url, path, 100, most=5)
    counting.offset = counting.notes[0]
    load(url, path, batch_rows)
    assert once(counting)


def test_a_killed_load_whose_batches_were_cut_in_halves_is_cut_alike(counting: Counting, url: str, path: Path) -> None:
    counting.max_body = 500
    load(url, path, 400, most=1)
    counting.offset = counting.notes[0]
    load(url, path, 70)
    assert once(counting)


def test_a_refusal_between_batches_that_were_taken_keeps_their_cut(counting: Counting, url: str, path: Path) -> None:
    counting.answers = lambda method, key: 400 if key == "100:100" else None
    with pytest.raises(RefusedError):
        load(url, path, 100)
    noted = Offset.parse(counting.offset or "")
    assert (noted.rows, noted.batch_rows) == (100, 100)
    counting.answers = lambda method, key: None
    load(url, path, 30)
    assert once(counting)
