"""The adapter of this project: its HTTP API, `tenancy up` and `down`, and /proc for the processes that are its own."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
import yaml

from benchmarks.tenantbench.adapter import Fault, Injury, NotSupportedError, Usage
from benchmarks.tenantbench.client import Answer, Outcome, persist
from benchmarks.tenantbench.http_caller import JSON, HttpCaller
from benchmarks.tenantbench.ledger import Found, Tally
from benchmarks.tenantbench.proc import command_of, usage_of
from benchmarks.tenantbench.wire import Reply, Wire, prepared
from benchmarks.tenantbench.workload import Question
from cluster.bring_up import UpOptions, down, up
from cluster.ports import free_ports
from cluster.processes import marked
from cluster.record import ClusterRecord
from cluster.redeployment import redeploy

DATASET = "events"
HOSTS = ("ray::TenantServant", "ray::host:")
"""How Ray names the processes of hosts, before and during their first named call."""
_FIELDS = {
    "marker": {"type": "string"},
    "batch": {"type": "string"},
    "n": {"type": "integer"},
    "user_id": {"type": "string"},
    "action": {"type": "string"},
    "value": {"type": "integer"},
}
_REGISTRATION = orjson.dumps({"datasets": [{"name": DATASET, "fields": _FIELDS}]})
_QUESTIONS: Mapping[Question, Mapping[str, Any]] = {
    Question.COUNT: {"metrics": ["count"]},
    Question.BY_ACTION: {"metrics": ["count", "avg_value"], "dimensions": ["action"]},
    Question.HEAVY: {"metrics": ["count", "distinct_n", "p95_value"], "dimensions": ["user_id"], "limit": 10_000},
}
_TALLY = {"metrics": ["count", "sum_n"], "dimensions": ["marker", "batch"], "limit": 1_000_000}


class OurCaller(HttpCaller):
    """Events go to the fleet that collects, questions to the one that answers."""

    def events(self, tenant: str) -> str:
        return f"/ingest/v1/tenants/{tenant}/datasets/{DATASET}/events"

    def question(self, tenant: str, question: Question) -> tuple[str, bytes]:
        return _asked(tenant, _QUESTIONS[question])

    def tallying(self, tenant: str) -> tuple[str, bytes]:
        return _asked(tenant, _TALLY)

    def read_tally(self, body: bytes) -> Tally:
        return {
            (str(row["marker"]), str(row["batch"])): Found(int(row["count"]), int(row["sum_n"] or 0))
            for row in orjson.loads(body)["data"]
        }

    def retry_after(self, reply: Reply) -> float | None:
        # The header has whole seconds, rounded up; the document is exact.
        if reply.retry_after is None:
            return None
        try:
            return float(orjson.loads(reply.body)["retry_after"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return super().retry_after(reply)


def _asked(tenant: str, query: Mapping[str, Any]) -> tuple[str, bytes]:
    body = orjson.dumps({"type": "aggregation", "dataset": DATASET, **query})
    return f"/v1/tenants/{tenant}/query", body


@dataclass(frozen=True, slots=True)
class OurDoor:
    """The address, and keys by tenant."""

    url: str
    keys: Mapping[str, Sequence[str]]

    def open(self, connections: int, timeout_s: float = 30.0) -> OurCaller:
        return OurCaller(self.url, self.keys, connections, timeout_s)


class OurSystem:
    """A system of its own on this machine, brought up as `tenancy up` does.

    With `url` and `key` it is one that runs already: what needs its processes is then not supported.
    """

    name = "ours"

    def __init__(
        self,
        *,
        url: str | None = None,
        key: str | None = None,
        settings: Mapping[str, Any] | None = None,
        up_options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self._url, self._key = url or "", key or ""
        self._given, self._settings = url is not None, settings or {}
        self._options: dict[str, Any] = {"num_cpus": max(4, os.cpu_count() or 1), **(up_options or {})}
        self._keys: dict[str, list[str]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._record: ClusterRecord | None = None
        self._chance = random.Random(seed)

    async def __aenter__(self) -> Self:
        if not self._given:
            await asyncio.to_thread(self._up)
        place = urlsplit(self._url)
        self._wire = Wire(place.hostname or "", place.port or 80, 8, 60.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.close()
        if self._folder is not None:
            await asyncio.to_thread(down, Path(self._folder.name, "state"))
            self._folder.cleanup()

    async def register(self, tenants: Sequence[str]) -> None:
        await _all_of(self._call("PUT", f"/v1/tenants/{tenant}", _REGISTRATION) for tenant in tenants)

    async def issue(self, tenant: str, count: int = 1) -> None:
        made = self._keys.setdefault(tenant, [])
        body = orjson.dumps({"roles": ["writer", "analyst"], "label": "tenantbench"})
        for _ in range(count):
            made.append(orjson.loads(await self._call("POST", f"/v1/tenants/{tenant}/keys", body))["key"])

    def door(self) -> OurDoor:
        return OurDoor(self._url, {tenant: tuple(keys) for tenant, keys in self._keys.items()})

    async def erase(self, tenant: str) -> None:
        await self._call("DELETE", f"/v1/tenants/{tenant}", b"")
        self._keys.pop(tenant, None)

    async def inflict(self, fault: Fault) -> Injury:
        if self._record is None or self._record.marker is None:
            raise NotSupportedError(f"{fault.value} of a system that was not started here")
        if fault is Fault.KILL_HOST:
            return self._kill_host()
        if fault is Fault.REDEPLOY:
            return await asyncio.to_thread(self._redeploy)
        if fault is Fault.COOL:
            return await asyncio.to_thread(self._restart)
        raise NotSupportedError(f"{fault.value}: this system has one node")

    def usage(self) -> Usage:
        if self._record is None or self._record.marker is None:
            raise NotSupportedError("memory of a system that was not started here")
        return usage_of(marked(self._record.marker))

    def hosts(self) -> dict[int, str]:
        """The processes that serve tenants, by id, with their names."""
        if self._record is None or self._record.marker is None:
            raise NotSupportedError("hosts of a system that was not started here")
        named = {pid: command_of(pid) for pid in marked(self._record.marker)}
        return {pid: command for pid, command in named.items() if command.startswith(HOSTS)}

    def _kill_host(self) -> Injury:
        hosts = self.hosts()
        if not hosts:
            raise NotSupportedError("no host runs")
        pid = self._chance.choice(sorted(hosts))
        os.kill(pid, signal.SIGKILL)
        return Injury(f"SIGKILL to {hosts[pid]}")

    def _redeploy(self) -> Injury:
        """What `tenancy redeploy` does: replicas, the directory and hosts are replaced."""
        assert self._folder is not None
        began = time.monotonic()
        done = redeploy(Path(self._folder.name, "state"), lambda _: None)
        what = f"{done.replicas} replicas and {done.hosts} hosts replaced, {done.tenants} tenants moved"
        return Injury(what, time.monotonic() - began)

    def _restart(self) -> Injury:
        """Down and up again on the same storage: no tenant is open anywhere."""
        assert self._folder is not None
        down(Path(self._folder.name, "state"))
        self._up()
        return Injury("down and up again")

    def _up(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="tenantbench-")
        folder = Path(self._folder.name)
        config = folder / "settings.yaml"
        settings = {**self._settings}
        settings["storage"] = {**settings.get("storage", {}), "root": str(folder / "store")}
        config.write_text(yaml.safe_dump(settings))
        port = int(self._url.rpartition(":")[2]) if self._url else free_ports(1)[0]
        options = UpOptions(state=folder / "state", port=port, config=config, **self._options)
        system = up(options, lambda _: None)
        self._url, self._record = system.record.url, system.record
        self._key = system.admin_key or self._key

    async def _call(self, method: str, path: str, body: bytes) -> bytes:
        request = prepared(method, path, self._wire.host, self._key, body, JSON)

        async def attempt() -> Answer:
            try:
                reply = await self._wire.call(request)
            except (ConnectionError, TimeoutError):
                return Answer(Outcome.UNKNOWN)
            outcome = Outcome.OK if reply.status < 300 else Outcome.WRONG if reply.status < 429 else Outcome.UNKNOWN
            return Answer(outcome, reply.status, None, reply.body)

        answer = (await persist(attempt)).answer
        if answer.outcome is not Outcome.OK:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:500]!r}")
        return answer.body


async def _all_of(calls: Iterator[Any]) -> None:
    """Run them, eight at a time."""

    async def worker() -> None:
        for call in calls:
            await call

    await asyncio.gather(*(worker() for _ in range(8)))
