"""The adapter of the peer: what an adapter of your own may look like. See docs/tenantbench.md."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
import orjson

from benchmarks.tenantbench.adapter import Fault, Injury, NotSupportedError, Usage
from benchmarks.tenantbench.http_caller import HttpCaller
from benchmarks.tenantbench.ledger import Found, Tally
from benchmarks.tenantbench.proc import usage_of
from benchmarks.tenantbench.workload import Question
from cluster.ports import free_ports


class PeerCaller(HttpCaller):
    """Its paths are its questions."""

    def events(self, tenant: str) -> str:
        return f"/tenants/{tenant}/events"

    def question(self, tenant: str, question: Question) -> tuple[str, bytes]:
        return f"/tenants/{tenant}/ask/{question.value}", b""

    def tallying(self, tenant: str) -> tuple[str, bytes]:
        return f"/tenants/{tenant}/ask/tally", b""

    def read_tally(self, body: bytes) -> Tally:
        return {(row["marker"], row["batch"]): Found(row["count"], row["sum_n"]) for row in orjson.loads(body)}


@dataclass(frozen=True, slots=True)
class PeerDoor:
    """The address, and keys by tenant."""

    url: str
    keys: Mapping[str, Sequence[str]]

    def open(self, connections: int, timeout_s: float = 30.0) -> PeerCaller:
        return PeerCaller(self.url, self.keys, connections, timeout_s)


class PeerSystem:
    """One process; killing a host, or a deployment, is ending it and starting it again."""

    name = "peer"

    def __init__(self) -> None:
        self._key = secrets.token_hex(16)
        self._keys: dict[str, list[str]] = {}

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="tenantbench-peer-")
        self._port = free_ports(1)[0]
        self._url = f"http://127.0.0.1:{self._port}"
        self._client = httpx.AsyncClient(base_url=self._url, headers={"Authorization": f"Bearer {self._key}"})
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
        await self._end(signal.SIGTERM)
        self._folder.cleanup()

    async def register(self, tenants: Sequence[str]) -> None:
        for tenant in tenants:
            (await self._client.put(f"/tenants/{tenant}")).raise_for_status()

    async def issue(self, tenant: str, count: int = 1) -> None:
        for _ in range(count):
            answer = (await self._client.post(f"/tenants/{tenant}/keys")).raise_for_status()
            self._keys.setdefault(tenant, []).append(answer.json()["key"])

    def door(self) -> PeerDoor:
        return PeerDoor(self._url, {tenant: tuple(keys) for tenant, keys in self._keys.items()})

    async def erase(self, tenant: str) -> None:
        (await self._client.delete(f"/tenants/{tenant}")).raise_for_status()
        self._keys.pop(tenant, None)

    async def inflict(self, fault: Fault) -> Injury:
        if fault is Fault.KILL_NODE:
            raise NotSupportedError("it has one process on one machine")
        began = time.monotonic()
        await self._end(signal.SIGKILL if fault is Fault.KILL_HOST else signal.SIGTERM)
        # Here stands for a supervisor that restarts it at once.
        await self._start()
        return Injury("its process ended and started again", time.monotonic() - began)

    def usage(self) -> Usage:
        return usage_of([self._process.pid])

    async def _start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.tenantbench.peer_server", self._folder.name, str(self._port)]
        self._process = subprocess.Popen([*command, self._key])
        for _ in range(600):
            try:
                await self._client.get("/ready")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
        raise RuntimeError("the peer does not start")

    async def _end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        await asyncio.to_thread(self._process.wait, 30)
