"""The command `tenancy` against the running service, each call a process of its own, as a user makes it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from cluster.client import Client

TENANCY = str(Path(sys.executable).with_name("tenancy"))

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(service: Any) -> dict[str, str]:
    return {
        **os.environ,
        "TENANCY_URL": service.url,
        "TENANCY_API_KEY": service.admin_key,
        "TENANCY_STATE": str(service.state),
        "COLUMNS": "120",
    }


@pytest.fixture(scope="module")
def tenancy(environment: dict[str, str]) -> Run:
    def run(*arguments: str, given: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TENANCY, *arguments],
            env={**environment, **variables},
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def tenant(tenancy: Run) -> str:
    name = f"cli-{uuid4().hex[:8]}"
    assert tenancy("tenant", "create", name, "--json").returncode == 0
    return name


def count(tenancy: Run, tenant: str, dataset: str = "user_interactions") -> int:
    asked = {"type": "aggregation", "dataset": dataset, "metrics": ["count"]}
    answer = tenancy("query", tenant, json.dumps(asked), "--json")
    assert answer.returncode == 0, answer.stderr
    number: int = json.loads(answer.stdout)["data"][0]["count"]
    return number


def ndjson(path: Path, rows: int) -> Path:
    with path.open("w") as file:
        file.writelines(f'{{"user_id":"u{row % 97}","action":"play_song","duration":{row}}}\n' for row in range(rows))
    return path


def test_help_names_every_command() -> None:
    shown = subprocess.run([TENANCY, "--help"], capture_output=True, text=True, check=True).stdout
    for command in ("up", "down", "redeploy", "status", "tenant", "key", "ingest", "query"):
        assert f"\n  {command} " in shown


def test_status_shows_the_node_and_both_applications(tenancy: Run) -> None:
    status = json.loads(tenancy("status", "--json").stdout)
    assert [node["state"] for node in status["nodes"]] == ["ALIVE"]
    assert {each["name"]: each["status"] for each in status["applications"]} == {
        "query": "RUNNING",
        "ingest": "RUNNING",
    }
    assert all(each["replicas"].get("RUNNING") for each in status["applications"])
    assert "query" in tenancy("status").stdout


def test_tenants_come_and_go(tenancy: Run, tenant: str) -> None:
    assert tenant in [each["id"] for each in json.loads(tenancy("tenant", "list", "--json").stdout)["tenants"]]
    assert tenancy("tenant", "delete", tenant, "--yes").returncode == 0
    assert tenant not in tenancy("tenant", "list").stdout


def test_a_configuration_is_read_as_the_model_is(tenancy: Run, tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("model: {datasets: {plays: {joins: [{dataset: songs, on: song_id}]}}}")
    name = f"cli-{uuid4().hex[:8]}"
    created = tenancy("tenant", "create", name, "--config", str(config))
    assert created.returncode == 0, created.stderr
    config.write_text("datasets: [\n")
    refused = tenancy("tenant", "create", name, "--config", str(config))
    assert refused.returncode == 2
    assert "settings.yaml line 2, column 1" in refused.stderr


def test_deleting_asks_first(tenancy: Run, tenant: str) -> None:
    assert tenancy("tenant", "delete", tenant, given="n\n").returncode != 0
    assert tenant in tenancy("tenant", "list").stdout


def test_keys_are_made_listed_and_revoked(tenancy: Run, tenant: str) -> None:
    made = json.loads(tenancy("key", "create", tenant, "--role", "writer", "--label", "loader", "--json").stdout)
    listed = json.loads(tenancy("key", "list", tenant, "--json").stdout)["keys"]
    assert [(key["id"], key["roles"], key["label"]) for key in listed] == [(made["id"], ["writer"], "loader")]
    asked = '{"type":"aggregation","metrics":["count"]}'
    refused = tenancy("query", tenant, asked, TENANCY_API_KEY=made["key"])
    assert (refused.returncode, "may not query" in refused.stderr) == (2, True)
    assert tenancy("key", "revoke", tenant, made["id"]).returncode == 0
    assert json.loads(tenancy("key", "list", tenant, "--json").stdout)["keys"][0]["revoked_at"]


def test_a_query_comes_from_an_argument_a_file_or_standard_input(tenancy: Run, tenant: str, tmp_path: Path) -> None:
    tenancy("ingest", tenant, str(ndjson(tmp_path / "few.ndjson", 100)))
    text = '{"type":"topk","metric":"count","dimension":"user_id","k":3}'
    (tmp_path / "query.json").write_text(text)
    answers = [
        tenancy("query", tenant, text, "--json"),
        tenancy("query", tenant, str(tmp_path / "query.json"), "--json"),
        tenancy("query", tenant, "--json", given=text),
    ]
    rows = [json.loads(answer.stdout)["data"] for answer in answers]
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0]) == 3
    shown = tenancy("query", tenant, text, "--sql")
    assert "user_id" in shown.stdout
    assert "SELECT" in shown.stdout.upper()
    assert json.loads(tenancy("query", tenant, text, "--explain", "--json").stdout)["plan"]


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_every_kind_of_file_is_loaded_once(tenancy: Run, tenant: str, tmp_path: Path, form: str) -> None:
    path = ndjson(tmp_path / "rows.ndjson", 12_345)
    if form != "ndjson":
        import pyarrow.json as pajson

        table = pajson.read_json(path)
        path = tmp_path / f"rows.{form}"
        pacsv.write_csv(table, path) if form == "csv" else pq.write_table(table, path)
    first = json.loads(tenancy("ingest", tenant, str(path), "--json").stdout)
    assert (first["rows"], first["counts"]["accepted"], first["skipped"]) == (12_345, 12_345, 0)
    again = json.loads(tenancy("ingest", tenant, str(path), "--json").stdout)
    assert (again["rows"], again["skipped"]) == (0, 12_345)
    assert count(tenancy, tenant) == 12_345


@pytest.mark.parametrize("after_rows", [1, 20_000, 150_000])
def test_a_load_that_was_killed_goes_on_and_counts_nothing_twice(
    tenancy: Run, environment: dict[str, str], service: Any, tenant: str, tmp_path: Path, after_rows: int
) -> None:
    path = ndjson(tmp_path / "big.ndjson", 300_000)
    command = [TENANCY, "ingest", tenant, str(path), "--batch-rows", "2000", "--json"]
    with Client(service.url, service.admin_key) as client:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while rows(client, tenant) < after_rows:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stored = rows(client, tenant)
    assert after_rows <= stored < 300_000
    # With another number of rows a batch: what may have been sent is cut as it was, what follows anew.
    finished = tenancy("ingest", tenant, str(path), "--batch-rows", "5000", "--json")
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert told["rows"] + told["skipped"] == 300_000
    assert count(tenancy, tenant) == 300_000


def rows(client: Client, tenant: str) -> int:
    datasets = client.call("GET", "tenants", tenant, "datasets")["datasets"]
    return sum(dataset["rows"] for dataset in datasets)


def test_quarantined_lines_are_named_by_their_number_in_the_file(tenancy: Run, tenant: str, tmp_path: Path) -> None:
    path = ndjson(tmp_path / "dirty.ndjson", 5_000)
    rows = path.read_text().splitlines(keepends=True)
    rows[3210] = '{"user_id": \n'
    path.write_text("".join(rows))
    told = tenancy("ingest", tenant, str(path), "--batch-rows", "1000", "--strict", "--json")
    assert told.returncode == 1
    assert [each["line"] for each in json.loads(told.stdout)["refused"]] == [3211]
    assert count(tenancy, tenant) == 4_999


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "told"),
    [
        (("tenant", "list"), {"TENANCY_API_KEY": ""}, 2, "TENANCY_API_KEY"),
        (("tenant", "list"), {"TENANCY_API_KEY": "nonsense"}, 2, "Bearer"),
        (("tenant", "list"), {"TENANCY_URL": "http://127.0.0.1:9"}, 3, "repeat the call"),
        (("query", "nobody", '{"type":"rows"}'), {}, 2, "unknown tenant 'nobody'"),
        (("query", "nobody", '{"type":'), {}, 2, "JSON object"),
        (("query", "nobody", "no_such_file.json"), {}, 2, "no_such_file.json"),
        (("status",), {"TENANCY_STATE": "/nonexistent"}, 3, "tenancy up"),
        (("down",), {"TENANCY_STATE": "/nonexistent"}, 3, "tenancy up"),
    ],
)
def test_an_error_tells_the_remedy_on_standard_error(
    tenancy: Run, arguments: tuple[str, ...], variables: dict[str, str], code: int, told: str
) -> None:
    plain = tenancy(*arguments, **variables)
    assert (plain.returncode, plain.stdout) == (code, "")
    assert told in " ".join(plain.stderr.split())
    document = json.loads(tenancy(*arguments, "--json", **variables).stderr)
    assert {"code", "status", "detail"} <= document.keys()


def test_a_second_start_from_the_same_place_is_refused(tenancy: Run, service: Any) -> None:
    answer = tenancy("up")
    assert answer.returncode == 2
    assert service.url in answer.stderr
    assert json.loads(tenancy("status", "--json").stdout)["url"] == service.url


def test_an_operator_who_lost_the_key_is_given_another_while_the_system_runs(tenancy: Run) -> None:
    answer = tenancy("up", "--new-admin-key", "--json")
    assert answer.returncode == 0, answer.stderr
    made = json.loads(answer.stdout)["admin_key"]
    assert tenancy("tenant", "list", TENANCY_API_KEY=made).returncode == 0
    assert tenancy("tenant", "list").returncode == 0  # with the one from before
    assert json.loads(tenancy("key", "revoke", "*", made.split("_")[1], "--json").stdout)


def test_a_mistake_in_the_settings_is_told_before_anything_starts(tenancy: Run, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("performance: {query_timeout: 5}")
    answer = tenancy("up", "--state", str(tmp_path / "run"), "--config", str(tmp_path / "settings.yaml"))
    assert answer.returncode == 2
    assert "query_timeout_seconds" in answer.stderr
    assert not (tmp_path / "run").exists()
