"""Shards over HTTP and by command, on a running system."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cluster.command_line import app

EVENTS = "/v1/tenants/{}/datasets/user_interactions/events"
COUNT = {"type": "aggregation", "metrics": ["count", "distinct_user_id"]}


def test_a_tenant_is_resharded_between_calls_that_do_not_notice(
    operator: httpx.Client, roles: dict[str, httpx.Client], service: Any, tenant: str
) -> None:
    body = [{"user_id": f"u{n}"} for n in range(30)]
    sent = roles["writer"].post(EVENTS.format(tenant), json=body, headers={"Idempotency-Key": "k"}).json()

    changed = operator.put(f"/v1/tenants/{tenant}/shards", json={"shards": 3})

    assert changed.status_code == 200, changed.text
    assert operator.get(f"/v1/tenants/{tenant}/shards").json()["shards"] == 3
    again = roles["writer"].post(EVENTS.format(tenant), json=body, headers={"Idempotency-Key": "k"}).json()
    assert again["counts"] == sent["counts"]
    assert roles["writer"].post(EVENTS.format(tenant), json=body[:10]).status_code == 200
    (row,) = roles["analyst"].post(f"/v1/tenants/{tenant}/query", json=COUNT).json()["data"]
    assert row == {"count": 40, "distinct_user_id": 30}

    options = ["--url", service.url, "--key", service.admin_key, "--json"]
    told = CliRunner().invoke(app, ["tenant", "reshard", tenant, "--shards", "2", *options])
    assert json.loads(told.stdout)["shards"] == 2


def test_nobody_can_name_a_shard(operator: httpx.Client, tenant: str) -> None:
    operator.put(f"/v1/tenants/{tenant}/shards", json={"shards": 2})
    shard = f"{tenant}~1"
    assert shard not in [record["id"] for record in operator.get("/v1/tenants").json()["tenants"]]
    for answer in (
        operator.put(f"/v1/tenants/{shard}", json={}),
        operator.get(f"/v1/tenants/{shard}"),
        operator.delete(f"/v1/tenants/{shard}"),
        operator.post(f"/v1/tenants/{shard}/query", json=COUNT),
        operator.post(EVENTS.format(shard), json=[{"n": 1}]),
        operator.post(f"/v1/tenants/{shard}/keys", json={"roles": ["analyst"]}),
        operator.put(f"/v1/tenants/{shard}/placement", json={"host": "dedicated"}),
        operator.put(f"/v1/tenants/{shard}/shards", json={"shards": 2}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")


@pytest.mark.parametrize(
    "given", [{}, {"shards": 0}, {"shards": "2"}, {"shards": 2, "keys": []}, {"shards": 2, "x": 1}]
)
def test_shards_that_cannot_be_are_refused(operator: httpx.Client, tenant: str, given: dict[str, Any]) -> None:
    assert operator.put(f"/v1/tenants/{tenant}/shards", json=given).status_code == 400


def test_only_operators_see_and_change_shards(roles: dict[str, httpx.Client], tenant: str) -> None:
    assert roles["admin"].get(f"/v1/tenants/{tenant}/shards").status_code == 403
    assert roles["admin"].put(f"/v1/tenants/{tenant}/shards", json={"shards": 2}).status_code == 403
