"""Limits and usage over HTTP and by command, on a running system."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from cluster.command_line import app

COUNT = {"type": "aggregation", "metrics": ["count"]}


def events(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/datasets/user_interactions/events"


@pytest.fixture
def limited(operator: httpx.Client) -> str:
    """A tenant of 100 events a second."""
    name = f"t_{uuid4().hex[:12]}"
    answer = operator.put(f"/v1/tenants/{name}", json={"limits": {"events_per_second": 100}})
    assert answer.status_code == 200, answer.text
    return name


def refused(operator: httpx.Client, tenant: str) -> httpx.Response:
    """An answer to one of calls that follow one another too fast."""
    body = [{"n": n} for n in range(150)]
    for _ in range(20):
        answer = operator.post(events(tenant), json=body)
        if answer.status_code == 429:
            return answer
        assert answer.status_code == 200, answer.text
    raise AssertionError("nothing was refused")


def test_over_the_limit_the_answer_says_what_and_how_long_and_that_is_true(
    operator: httpx.Client, limited: str
) -> None:
    answer = refused(operator, limited)
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["code"] == "limit-exceeded"
    assert (document["limit"]["name"], document["limit"]["allowed"]) == ("events_per_second", 100)
    assert document["limit"]["used"] >= 100
    assert answer.headers["ratelimit-policy"] == '"events_per_second";q=100;qu="events";w=1'
    wait = int(answer.headers["retry-after"])
    assert answer.headers["ratelimit"] == f'"events_per_second";r=0;t={wait}'
    assert 0 < document["retry_after"] <= wait

    time.sleep(wait)  # which is what is promised to a client

    assert operator.post(events(limited), json={"n": 1}).status_code == 200


def test_a_flood_over_many_keys_is_one_flood(operator: httpx.Client, caller: Any, limited: str) -> None:
    keys = [operator.post(f"/v1/tenants/{limited}/keys", json={"roles": ["writer"]}).json()["key"] for _ in range(8)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as crew:
        answers = list(
            crew.map(lambda key: caller(key).post(events(limited), json=[{"n": n} for n in range(60)]), keys * 3)
        )
    took = time.monotonic() - began
    accepted = sum(answer.json()["counts"]["accepted"] for answer in answers if answer.status_code == 200)
    assert {answer.status_code for answer in answers} == {200, 429}
    assert accepted <= 100 * (took + 1) + 60, "the rate, a burst, and what the last body took too much"


def test_a_limit_that_is_changed_holds_for_later_calls(operator: httpx.Client, limited: str) -> None:
    assert operator.post(events(limited), json={"n": 1}).status_code == 200
    changed = operator.put(f"/v1/tenants/{limited}/limits", json={"queries_per_second": 1})
    assert changed.status_code == 200, changed.text
    assert changed.json()["limits"]["events_per_second"] is None
    assert changed.json()["given"] == {"queries_per_second": 1}
    assert operator.get(f"/v1/tenants/{limited}/limits").json() == changed.json()
    statuses = [operator.post(f"/v1/tenants/{limited}/query", json=COUNT).status_code for _ in range(4)]
    assert 429 in statuses
    assert operator.put(f"/v1/tenants/{limited}/limits", json={}).status_code == 200
    # The other replicas repeat what they were told before, for `limits.remembered_seconds` at most.
    answered, deadline = 0, time.monotonic() + 10
    while answered < 8 and time.monotonic() < deadline:
        status = operator.post(f"/v1/tenants/{limited}/query", json=COUNT).status_code
        answered = answered + 1 if status == 200 else 0
    assert answered == 8
    again = operator.put(f"/v1/tenants/{limited}", json={"limits": {"events_per_second": 100}})
    assert again.status_code == 200, "registering again goes by what was registered"


def test_limits_are_changed_by_operators_alone_and_named_where_they_are_wrong(
    operator: httpx.Client, roles: dict[str, httpx.Client], tenant: str
) -> None:
    path = f"/v1/tenants/{tenant}/limits"
    assert roles["admin"].put(path, json={}).status_code == 403
    assert roles["writer"].get(path).status_code == 200
    answer = operator.put(path, json={"event_per_second": 1})
    assert (answer.status_code, answer.json()["place"]) == (400, "limits.event_per_second")
    assert "'events_per_second'" in answer.json()["detail"]
    assert operator.put("/v1/tenants/nobody_here/limits", json={}).status_code == 404


def test_usage_is_what_was_done(operator: httpx.Client) -> None:
    tenant = f"t_{uuid4().hex[:12]}"
    operator.put(f"/v1/tenants/{tenant}")
    bodies = [json.dumps([{"n": n} for n in range(10 + batch)]).encode() for batch in range(4)]
    headers = {"Content-Type": "application/json"}
    for body in bodies:
        assert operator.post(events(tenant), content=body, headers=headers).status_code == 200
    scanned = 0
    for _ in range(3):
        scanned += operator.post(f"/v1/tenants/{tenant}/query", json=COUNT).json()["stats"]["bytes_scanned"]
    operator.put(f"/v1/tenants/{tenant}/limits", json={"queries_per_second": 1})
    statuses = [operator.post(f"/v1/tenants/{tenant}/query", json=COUNT) for _ in range(3)]
    answered = [answer for answer in statuses if answer.status_code == 200]
    scanned += sum(answer.json()["stats"]["bytes_scanned"] for answer in answered)

    answer = operator.get(f"/v1/tenants/{tenant}/usage")
    assert answer.status_code == 200, answer.text
    used = answer.json()
    total: dict[str, float] = {}
    for hour in used["hours"]:
        for name, amount in hour.items():
            if isinstance(amount, int | float):
                total[name] = total.get(name, 0) + amount
    assert total["events"] == sum(10 + batch for batch in range(4))
    assert total["bytes_received"] == sum(map(len, bodies))
    assert total["queries"] == 3 + len(answered)
    assert total["bytes_scanned"] == scanned
    assert total["bytes_written"] > 0
    assert 0 < total["cpu_seconds"] < 60
    assert used["stored_bytes"] == 0
    assert [limit["limit"] for limit in used["limits"]] == ["queries_per_second"]
    assert operator.get(f"/v1/tenants/{tenant}/usage", params={"from": "2035-01-01"}).status_code == 400


def test_usage_is_whole_when_the_tenant_moves_between_hosts_under_load(operator: httpx.Client, caller: Any) -> None:
    tenant = f"t_{uuid4().hex[:12]}"
    operator.put(f"/v1/tenants/{tenant}")
    body = json.dumps([{"n": n} for n in range(10)]).encode()
    headers = {"Content-Type": "application/json"}
    key = operator.post(f"/v1/tenants/{tenant}/keys", json={"roles": ["writer"]}).json()["key"]

    def load(calls: int) -> list[int]:
        return [caller(key).post(events(tenant), content=body, headers=headers).status_code for _ in range(calls)]

    with ThreadPoolExecutor(2) as crew:
        loads = [crew.submit(load, 15) for _ in range(2)]
        for host in ("dedicated", "shared-5", "shared-0"):
            placed = operator.put(f"/v1/tenants/{tenant}/placement", json={"host": host})
            assert placed.status_code == 200, placed.text
        assert [found.result() for found in loads] == [[200] * 15] * 2

    used = operator.get(f"/v1/tenants/{tenant}/usage").json()
    assert sum(hour["events"] for hour in used["hours"]) == 300
    (row,) = operator.post(f"/v1/tenants/{tenant}/query", json=COUNT).json()["data"]
    assert row["count"] == 300
    used = operator.get(f"/v1/tenants/{tenant}/usage").json()
    assert used["stored_bytes"] == used["hours"][-1]["stored_bytes"] > 0


def test_a_cold_tenant_is_not_woken_to_say_what_it_used(operator: httpx.Client) -> None:
    tenant = f"t_{uuid4().hex[:12]}"
    operator.put(f"/v1/tenants/{tenant}")
    used = operator.get(f"/v1/tenants/{tenant}/usage").json()
    assert (used["hours"], used["limits"], used["stored_bytes"]) == ([], None, 0)


def test_limits_and_usage_are_seen_and_changed_by_command(service: Any, operator: httpx.Client, limited: str) -> None:
    def tenancy(*words: str) -> str:
        given = [*words, "--url", service.url, "--key", service.admin_key]
        result = CliRunner().invoke(app, ["tenant", *given])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert operator.post(events(limited), json={"n": 1}).status_code == 200
    changes = ("--set", "concurrent_queries=3", "--set", "stored_bytes=none")
    changed = json.loads(tenancy("limits", limited, *changes, "--json"))
    assert changed["given"] == {"events_per_second": 100, "concurrent_queries": 3, "stored_bytes": None}
    changed = json.loads(tenancy("limits", limited, "--unset", "stored_bytes", "--json"))
    assert changed["given"] == {"events_per_second": 100, "concurrent_queries": 3}
    assert "its own" in tenancy("limits", limited)
    used = json.loads(tenancy("usage", limited, "--json"))
    assert sum(hour["events"] for hour in used["hours"]) == 1
    assert "bytes are stored" in tenancy("usage", limited)
