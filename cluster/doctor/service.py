"""The service as its callers meet it: ready, and with hosts that answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from cluster.client import Client, RefusedError
from cluster.doctor.finding import Finding, ok, warning, wrong
from cluster.doctor.patient import Patient
from tenancy.analytics.errors import AnalyticsError

PART = "service"
HOSTS = "hosts"


def examine(patient: Patient) -> Iterator[Finding]:
    """`/readyz`, and with an operator's key every host."""
    if patient.record is None:
        return
    try:
        answer = httpx.get(f"{patient.record.url}/readyz", timeout=15.0)
    except httpx.TransportError as error:
        yield wrong(PART, f"{patient.record.url}: {error or type(error).__name__}", "see what is said of ray and serve")
        return
    if answer.is_success:
        yield ok(PART, f"{patient.record.url} would take a write and answer a read")
    else:
        yield wrong(PART, f"/readyz: {answer.status_code} {answer.text[:300]}", "see to the part that it names")
    yield from _hosts(patient)


def _hosts(patient: Patient) -> Iterator[Finding]:
    assert patient.record is not None
    if patient.key is None:
        yield warning(HOSTS, "not looked at", "give an operator's key: --key, or TENANCY_API_KEY")
        return
    try:
        with Client(patient.record.url, patient.key, timeout_s=30.0) as client:
            hosts: list[dict[str, Any]] = client.call("GET", "hosts")["hosts"]
    except (AnalyticsError, RefusedError) as error:
        yield wrong(HOSTS, str(error), "give a key with the role admin of the whole installation")
        return
    fenced = sum(tenant["fenced"] for host in hosts for tenant in host["tenants"])
    for host in hosts:
        load = f"{host['work']:.2f} cores, {host['memory_bytes'] / 1e6:.0f} MB"
        what = f"{host['name']}: {len(host['tenants'])} tenants, {load}"
        if host["condition"] == "serving":
            yield ok(HOSTS, what)
        else:
            yield warning(HOSTS, f"{what}, {host['condition']}", "nothing: its tenants move by themselves")
    if not hosts:
        yield ok(HOSTS, "none runs; the first call starts one")
    if fenced:
        yield warning(
            HOSTS, f"{fenced} tenants are held by owners that are over", "nothing: the next call replaces them"
        )
