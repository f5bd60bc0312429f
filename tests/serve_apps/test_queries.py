"""`POST …/query` and its neighbours against the running service."""

import io
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest
import yaml

Roles = dict[str, httpx.Client]

EVENTS = [
    {"user_id": f"u{row % 7}", "action": "play_song", "genre": ("pop", "jazz")[row % 2], "duration": row}
    for row in range(100)
]


@pytest.fixture(scope="module", autouse=True)
def events(roles: Roles, tenant: str) -> None:
    path = f"/v1/tenants/{tenant}/datasets/user_interactions/events"
    answer = roles["writer"].post(path, json=EVENTS)
    assert answer.json()["counts"]["accepted"] == 100, answer.text


def ask(roles: Roles, tenant: str, request: object, **headers: str) -> httpx.Response:
    return roles["analyst"].post(f"/v1/tenants/{tenant}/query", json=request, headers=headers)


BY_GENRE: dict[str, Any] = {"type": "aggregation", "metrics": ["play_count", "avg_duration"], "dimensions": ["genre"]}


def test_an_aggregation_is_answered(roles: Roles, tenant: str) -> None:
    answer = ask(roles, tenant, BY_GENRE).json()
    assert answer["data"] == [
        {"genre": "jazz", "play_count": 50, "avg_duration": 50.0},
        {"genre": "pop", "play_count": 50, "avg_duration": 49.0},
    ]
    assert [column["name"] for column in answer["schema"]] == ["genre", "play_count", "avg_duration"]
    assert answer["stats"]["rows_scanned"] == 100
    assert "SELECT" in answer["sql"].upper()


def test_ndjson_and_arrow_hold_the_same_rows(roles: Roles, tenant: str) -> None:
    expected = ask(roles, tenant, BY_GENRE).json()["data"]
    text = ask(roles, tenant, BY_GENRE, Accept="application/x-ndjson")
    assert [orjson.loads(line) for line in text.content.splitlines()] == expected
    arrow = ask(roles, tenant, BY_GENRE, Accept="application/vnd.apache.arrow.stream")
    with pa.ipc.open_stream(io.BytesIO(arrow.content)) as stream:
        assert stream.read_all().to_pylist() == expected


def test_pages_are_followed_by_their_cursor(roles: Roles, tenant: str) -> None:
    seen: list[int] = []
    cursor = None
    while True:
        request = {"type": "rows", "columns": ["duration"], "limit": 30, **({"cursor": cursor} if cursor else {})}
        page = ask(roles, tenant, request).json()
        seen += [row["duration"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == list(range(100))


def test_explain_gives_the_plan_and_runs_nothing(roles: Roles, tenant: str) -> None:
    answer = roles["analyst"].post(f"/v1/tenants/{tenant}/explain", json=BY_GENRE)
    assert answer.status_code == 200
    assert "genre" in answer.json()["plan"]


@pytest.mark.parametrize(
    ("request_", "suggestion"),
    [
        ({**BY_GENRE, "metrics": ["avg_duratoin"]}, "avg_duration"),
        ({**BY_GENRE, "dimensions": ["genr"]}, "genre"),
        ({**BY_GENRE, "dataset": "user_interaction"}, "user_interactions"),
    ],
)
def test_an_unknown_name_is_404_with_near_matches(
    roles: Roles, tenant: str, request_: dict[str, Any], suggestion: str
) -> None:
    answer = ask(roles, tenant, request_)
    assert answer.status_code == 404, answer.text
    assert suggestion in answer.json()["suggestions"]
    assert suggestion in answer.json()["detail"]


def test_an_unknown_tenant_is_404_with_near_matches_for_the_operator(operator: httpx.Client, tenant: str) -> None:
    answer = operator.post(f"/v1/tenants/{tenant[:-1]}/query", json=BY_GENRE)
    assert answer.status_code == 404
    assert tenant in answer.json()["suggestions"]


@pytest.mark.parametrize(
    "text", ["count'; DROP TABLE user_interactions; --", 'x" OR 1=1 --', "count) FROM x; --", "💥"]
)
@pytest.mark.parametrize("place", ["metrics", "dimensions", "order"])
def test_sql_where_a_name_belongs_is_an_unknown_name(roles: Roles, tenant: str, text: str, place: str) -> None:
    assert ask(roles, tenant, {**BY_GENRE, place: [text]}).status_code in (400, 404)
    assert len(ask(roles, tenant, BY_GENRE).json()["data"]) == 2


def test_sql_in_a_filter_is_a_value(roles: Roles, tenant: str) -> None:
    hostile = {"field": "genre", "op": "eq", "value": "pop' OR '1'='1"}
    answer = ask(roles, tenant, {**BY_GENRE, "filters": [hostile]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == []


@pytest.mark.parametrize(("method", "part", "kind"), [("POST", "query", "JSON request"), ("PUT", "model", "model")])
def test_a_request_over_its_fixed_limit_is_not_told_to_raise_that_of_events(
    operator: httpx.Client, tenant: str, method: str, part: str, kind: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = operator.request(method, f"/v1/tenants/{tenant}/{part}", content=b" " * 1_100_000, headers=headers)
    assert answer.status_code == 413
    assert f"keep a {kind} within 1 MiB" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"type":"aggregatoin"}', "application/json", 400),
        (b'{"type":"aggregation","metrics":["count"],"limit":-1}', "application/json", 400),
        (b"SELECT 1", "application/sql", 415),
        (b" " * 1_100_000, "application/json", 413),
    ],
)
def test_a_request_that_is_none_is_a_problem(
    roles: Roles, tenant: str, body: bytes, content_type: str, status: int
) -> None:
    path = f"/v1/tenants/{tenant}/query"
    answer = roles["analyst"].post(path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == path


def test_a_form_nobody_can_give_is_406(roles: Roles, tenant: str) -> None:
    assert ask(roles, tenant, BY_GENRE, Accept="text/html").status_code == 406


def test_datasets_tell_rows_and_types(roles: Roles, tenant: str) -> None:
    (found,) = roles["analyst"].get(f"/v1/tenants/{tenant}/datasets").json()["datasets"]
    assert (found["name"], found["kind"], found["rows"]) == ("user_interactions", "events", 100)
    assert found["fields"]["duration"] == "integer"


def test_a_declaration_that_is_wrong_names_the_place(roles: Roles, tenant: str) -> None:
    path = f"/v1/tenants/{tenant}/datasets/songs"
    answer = roles["admin"].put(path, json={"feilds": {}})
    assert answer.status_code == 400
    assert answer.json()["place"] == "feilds"
    assert "'fields'" in answer.json()["detail"]
    declared = roles["admin"].put(path, json={"kind": "dimension", "key": "song_id"})
    assert declared.json()["key"] == "song_id"


def test_a_model_is_set_and_read_back(roles: Roles, tenant: str) -> None:
    path = f"/v1/tenants/{tenant}/model"
    text = roles["analyst"].get(path).text
    answer = roles["admin"].put(path, content=text, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] >= 1
    assert yaml.safe_load(roles["analyst"].get(path).text) == yaml.safe_load(text)
    assert roles["admin"].put(path, content=b"\xff\xfe").status_code == 400
    assert roles["admin"].put(path, content=b"datasetts: {}").status_code == 400
