"""Hosts over HTTP and by command, on a running system."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cluster.command_line import app

EVENTS = "/v1/tenants/{}/datasets/user_interactions/events"
COUNT = {"type": "aggregation", "metrics": ["count"]}


def count(roles: dict[str, httpx.Client], tenant: str) -> int:
    answer = roles["analyst"].post(f"/v1/tenants/{tenant}/query", json=COUNT)
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["data"][0]["count"]
    return found


def host_of(operator: httpx.Client, tenant: str) -> list[str]:
    hosts = operator.get("/v1/hosts").json()["hosts"]
    return [host["name"] for host in hosts if tenant in [seen["tenant"] for seen in host["tenants"]]]


def test_a_tenant_moves_to_a_host_of_its_own_and_back_with_everything_it_has(
    operator: httpx.Client, roles: dict[str, httpx.Client], tenant: str
) -> None:
    assert roles["writer"].post(EVENTS.format(tenant), json=[{"n": n} for n in range(7)]).status_code == 200
    (before,) = host_of(operator, tenant)

    for host in ("dedicated", before):
        placed = operator.put(f"/v1/tenants/{tenant}/placement", json={"host": host})
        assert placed.status_code == 200, placed.text
        assert host_of(operator, tenant) == [placed.json()["host"]]
        assert count(roles, tenant) == 7


def test_tenants_of_a_drained_host_are_answered_elsewhere(
    operator: httpx.Client, roles: dict[str, httpx.Client], tenant: str
) -> None:
    before = count(roles, tenant)
    operator.put(f"/v1/tenants/{tenant}/placement", json={"host": "shared-7"})

    told = operator.post("/v1/hosts/shared-7/drain")

    assert (told.status_code, told.json()) == (200, {"host": "shared-7", "released": [tenant]})
    assert count(roles, tenant) == before
    assert host_of(operator, tenant) != ["shared-7"]
    assert operator.post("/v1/hosts/shared-7/drain").json()["code"] == "unknown-name"


@pytest.mark.parametrize("host", ["dedicated-other", "shared-", "shared-x", "directory", 7, None])
def test_a_host_that_cannot_be_is_refused(operator: httpx.Client, tenant: str, host: Any) -> None:
    answer = operator.put(f"/v1/tenants/{tenant}/placement", json={"host": host})
    assert (answer.status_code, answer.json()["place"]) == (400, "host")


def test_only_operators_see_and_change_hosts(roles: dict[str, httpx.Client], tenant: str) -> None:
    assert roles["admin"].get("/v1/hosts").status_code == 403
    assert roles["admin"].post("/v1/hosts/shared-0/drain").status_code == 403
    assert roles["admin"].put(f"/v1/tenants/{tenant}/placement", json={"host": "dedicated"}).status_code == 403


def test_the_command_lists_and_moves(service: Any, roles: dict[str, httpx.Client], tenant: str) -> None:
    count(roles, tenant)
    options = ["--url", service.url, "--key", service.admin_key, "--json"]

    moved = CliRunner().invoke(app, ["host", "move", tenant, "--to", "dedicated", *options])
    listed = CliRunner().invoke(app, ["host", "list", *options])
    drained = CliRunner().invoke(app, ["host", "drain", f"dedicated-{tenant}", *options])

    assert json.loads(moved.stdout)["host"] == f"dedicated-{tenant}"
    assert f"dedicated-{tenant}" in [host["name"] for host in json.loads(listed.stdout)["hosts"]]
    assert json.loads(drained.stdout)["released"] == [tenant]
