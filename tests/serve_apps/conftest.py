"""Callers of the running service: with the operator's key, and with each role of a tenant of this module's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

Caller = Callable[[str | None], httpx.Client]


@pytest.fixture(scope="session")
def caller(service: Any) -> Iterator[Caller]:
    """Makes clients of the service that send this key, or none."""
    made: list[httpx.Client] = []

    def make(key: str | None) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        made.append(httpx.Client(base_url=service.url, headers=headers, timeout=60))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(scope="session")
def operator(service: Any, caller: Caller) -> httpx.Client:
    """The client with the key that `tenancy up` printed."""
    return caller(service.admin_key)


@pytest.fixture(scope="module")
def tenant(operator: httpx.Client) -> str:
    """A tenant of this module's tests."""
    name = f"t_{uuid4().hex[:12]}"
    assert operator.put(f"/v1/tenants/{name}").status_code == 200
    return name


@pytest.fixture(scope="module")
def roles(operator: httpx.Client, caller: Caller, tenant: str) -> dict[str, httpx.Client]:
    """A client for each role in `tenant`."""
    made = {}
    for role in ("admin", "writer", "analyst"):
        answer = operator.post(f"/v1/tenants/{tenant}/keys", json={"roles": [role], "label": "test"})
        assert answer.status_code == 201, answer.text
        made[role] = caller(answer.json()["key"])
    return made
