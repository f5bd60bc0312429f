from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

from tenancy.analytics.config import PerformanceConfig
from tenancy.analytics.errors import (
    AnalyticsError,
    IntegrityError,
    QueryMemoryError,
    QueryTimeoutError,
    UnavailableError,
)
from tenancy.analytics.query import DuckDBExecutor

ENDLESS = "SELECT count(*) AS n FROM range(1000000000000) AS a WHERE hash(a.range) = 1"


def query(sql: str) -> exp.Query:
    parsed = parse_one(sql, read="duckdb")
    assert isinstance(parsed, exp.Query)
    return parsed


def test_a_query_over_its_time_is_interrupted_and_the_next_one_runs(executor: DuckDBExecutor) -> None:
    started = time.monotonic()
    with pytest.raises(QueryTimeoutError) as caught:
        executor.run(query(ENDLESS), timeout_s=0.2)
    assert time.monotonic() - started < 5
    assert caught.value.timeout_s == 0.2
    assert executor.run(query("SELECT 1 AS one"), timeout_s=5).to_pylist() == [{"one": 1}]


def test_a_timeout_at_any_moment_leaves_no_table_for_the_next_query(executor: DuckDBExecutor) -> None:
    # Many tables, so that registering and forgetting them is most of the call.
    tables = {f"t{number}": pa.table({"n": [number]}) for number in range(60)}
    started = time.monotonic()
    executor.run(query("SELECT 1 AS one"), tables, timeout_s=30)
    whole = time.monotonic() - started
    left = query("SELECT view_name FROM duckdb_views() WHERE NOT internal")
    for step in range(60):
        with suppress(QueryTimeoutError):
            executor.run(query("SELECT 1 AS one"), tables, timeout_s=max(whole * (step % 30) / 30, 0.0005))
        assert executor.run(left, timeout_s=30).num_rows == 0


def test_a_timeout_stops_its_own_query_only(executor: DuckDBExecutor) -> None:
    with ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(executor.run, query(ENDLESS), timeout_s=0.5) for _ in range(2)]
        quick = [threads.submit(executor.run, query(f"SELECT {i} AS i"), timeout_s=20) for i in range(50)]
        assert [future.result().to_pylist()[0]["i"] for future in quick] == list(range(50))
        for future in slow:
            assert isinstance(future.exception(), QueryTimeoutError)


def test_a_query_over_its_memory_is_an_error_that_names_the_limit(filesystem: Any) -> None:
    executor = DuckDBExecutor(filesystem, PerformanceConfig(memory_limit_mb=64, cpu_limit_cores=2))
    hungry = "SELECT count(*) AS n FROM (SELECT DISTINCT md5(range::VARCHAR) FROM range(5000000))"
    with pytest.raises(QueryMemoryError) as caught:
        executor.run(query(hungry), timeout_s=60)
    assert caught.value.limit_mb == 64
    assert executor.run(query("SELECT 1 AS one"), timeout_s=5).num_rows == 1
    executor.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT * FROM glob('/*')",
    ],
)
def test_nothing_but_the_filesystem_is_in_reach(executor: DuckDBExecutor, sql: str) -> None:
    with pytest.raises(Exception, match=r"disabled|not exist|not found"):
        executor.run(query(sql), timeout_s=5)


@pytest.mark.parametrize("name", ["enable_external_access", "autoload_known_extensions", "allowed_directories"])
def test_settings_are_locked(executor: DuckDBExecutor, name: str) -> None:
    with pytest.raises(Exception, match=r"locked|cannot|Cannot"):
        executor.run_text(f"SET {name} = true", {}, timeout_s=5, files=())


def test_a_damaged_file_reaches_the_caller_as_the_error_that_named_it(data: Any, ask: Any) -> None:
    snapshot = data.put("plays", pa.table({"n": list(range(1000))}), cuts=[500])
    damaged = snapshot.segments[1].url
    data.filesystem.failures[damaged] = IntegrityError(damaged, "frame 3 fails authentication")
    with pytest.raises(IntegrityError) as caught:
        ask({"type": "aggregation", "metrics": ["sum_n"]})
    assert caught.value.path == damaged
    assert caught.value.reason == "frame 3 fails authentication"
    assert pickle.loads(pickle.dumps(caught.value)).path == damaged
    data.filesystem.failures.clear()
    assert ask({"type": "aggregation", "metrics": ["sum_n"]}).data == [{"sum_n": 499500}]


def test_a_missing_file_is_an_error_that_names_it(data: Any, ask: Any) -> None:
    snapshot = data.put("plays", pa.table({"n": [1]}))
    data.filesystem.path(snapshot.segments[0].url).unlink()
    with pytest.raises(IntegrityError, match=f"{snapshot.segments[0].url} cannot be trusted: the file is missing"):
        ask({"type": "aggregation", "metrics": ["sum_n"]})


def test_another_error_of_the_filesystem_is_one_to_try_again(data: Any, ask: Any) -> None:
    snapshot = data.put("plays", pa.table({"n": [1]}))
    data.filesystem.failures[snapshot.segments[0].url] = ConnectionResetError("the store hung up")
    with pytest.raises(UnavailableError, match="the store hung up") as caught:
        ask({"type": "aggregation", "metrics": ["sum_n"]})
    assert caught.value.retry_after_s


def test_many_queries_at_once_give_each_its_own_answer(data: Any, ask: Any) -> None:
    for index in range(4):
        data.put(
            f"plays_{index}",
            pa.table({"n": [index] * 3_000, "who": ["a", "b", "c"] * 1_000}),
            cuts=[1_000],
            buffered=500,
        )

    def one(index: int) -> list[dict[str, Any]]:
        query = {"type": "aggregation", "dataset": f"plays_{index % 4}", "metrics": ["sum_n"], "dimensions": ["who"]}
        found: list[dict[str, Any]] = ask(query).data
        return found

    with ThreadPoolExecutor(8) as threads:
        for index, found in enumerate(threads.map(one, range(64))):
            assert found == [{"who": who, "sum_n": 1_000 * (index % 4)} for who in "abc"]


def test_closing_interrupts_what_runs_and_refuses_what_comes(filesystem: Any) -> None:
    executor = DuckDBExecutor(filesystem, PerformanceConfig(memory_limit_mb=256, cpu_limit_cores=1))
    caught: list[AnalyticsError] = []

    def run() -> None:
        try:
            executor.run(query(ENDLESS), timeout_s=60)
        except AnalyticsError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not executor.running:
        time.sleep(0.005)
    executor.close()
    thread.join(20)
    assert not thread.is_alive()
    assert isinstance(caught[0], UnavailableError)
    with pytest.raises(UnavailableError):
        executor.run(query("SELECT 1"), timeout_s=1)
    executor.close()
