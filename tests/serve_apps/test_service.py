"""The service as a whole: health, documentation, and what is not there."""

from typing import Any

import httpx
import pytest

from cluster.serve_environment import haproxy_present


def test_it_is_alive_and_ready(operator: httpx.Client) -> None:
    assert operator.get("/healthz").json() == {"status": "alive"}
    checks = {"catalog": "ok", "storage": "ok", "hosts": "ok"}
    assert operator.get("/readyz").json() == {"status": "ready", "checks": checks}


def test_a_probe_leaves_nothing_behind(operator: httpx.Client, service: Any) -> None:
    assert operator.get("/readyz").status_code == 200
    assert not list(service.root.glob(".probe-*"))


@pytest.mark.skipif(not haproxy_present(), reason="no HAProxy on this machine")
def test_haproxy_stands_in_front(service: Any) -> None:
    # HAProxy answers this path itself; Serve's own proxy would name a server.
    answer = httpx.get(f"{service.url}/-/routes")
    assert set(answer.json()) == {"/", "/ingest"}
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v2/tenants", 404, "not-found"),
        ("GET", "/v1/tenants/a/datasets/", 404, "not-found"),
        ("PATCH", "/v1/tenants/a/query", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_served_is_a_problem_too(
    operator: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = operator.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["instance"]) == (code, path)


def test_a_parameter_of_the_wrong_type_names_its_place(operator: httpx.Client) -> None:
    answer = operator.get("/v1/tenants", params={"limit": "many"})
    assert answer.status_code == 400
    assert answer.json()["place"] == "query.limit"


def test_the_documentation_describes_every_route(operator: httpx.Client) -> None:
    assert "swagger" in operator.get("/docs").text
    document = operator.get("/openapi.json").json()
    served = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert {
        ("POST", "/v1/tenants/{tenant}/datasets/{dataset}/events"),
        ("POST", "/v1/tenants/{tenant}/query"),
        ("POST", "/v1/tenants/{tenant}/explain"),
        ("GET", "/v1/tenants/{tenant}/datasets"),
        ("PUT", "/v1/tenants/{tenant}/datasets/{dataset}"),
        ("PUT", "/v1/tenants/{tenant}/model"),
        ("GET", "/v1/tenants/{tenant}/model"),
        ("GET", "/v1/tenants/{tenant}/quarantine"),
        ("POST", "/v1/tenants/{tenant}/quarantine/replay"),
        ("PUT", "/v1/tenants/{tenant}"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    } <= served
    events = document["paths"]["/v1/tenants/{tenant}/datasets/{dataset}/events"]["post"]
    assert set(events["requestBody"]["content"]) == {
        "application/json",
        "application/x-ndjson",
        "application/vnd.apache.arrow.stream",
    }
    assert events["security"]
    assert "application/problem+json" in events["responses"]["default"]["content"]


def test_examples_of_the_documentation_work_as_they_stand(
    operator: httpx.Client, roles: dict[str, httpx.Client], tenant: str
) -> None:
    paths = operator.get("/openapi.json").json()["paths"]
    events = paths["/v1/tenants/{tenant}/datasets/{dataset}/events"]["post"]["requestBody"]["content"]
    assert roles["admin"].put(f"/v1/tenants/{tenant}/datasets/documented", json={}).status_code == 200
    path = f"/v1/tenants/{tenant}/datasets/documented/events"
    for example in events["application/json"]["examples"].values():
        assert roles["writer"].post(path, json=example["value"]).json()["counts"]["quarantined"] == 0
    text = events["application/x-ndjson"]["example"]
    headers = {"Content-Type": "application/x-ndjson"}
    assert roles["writer"].post(path, content=text, headers=headers).json()["counts"]["accepted"] == 2
    queries = paths["/v1/tenants/{tenant}/query"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for name in ("timeseries", "rows"):
        request = {**queries[name]["value"], "dataset": "documented"}
        assert roles["analyst"].post(f"/v1/tenants/{tenant}/query", json=request).status_code == 200


def test_a_tenant_is_registered_once_and_listed(operator: httpx.Client) -> None:
    first, again = (operator.put("/v1/tenants/registered").json() for _ in range(2))
    assert first == again
    assert operator.put("/v1/tenants/registered", json={"datasets": [{"name": "plays"}]}).status_code == 409
    assert operator.put("/v1/tenants/other_one", json={"dataset": []}).json()["code"] == "invalid-configuration"
    assert "registered" in [record["id"] for record in operator.get("/v1/tenants").json()["tenants"]]
    assert operator.get("/v1/tenants", params={"after": "registered", "limit": 1}).json()["tenants"][:1] != [first]
