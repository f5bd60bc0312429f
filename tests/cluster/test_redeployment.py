"""`tenancy redeploy` under load: new settings get in, every process is another one, and no request notices."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cluster.ports import free_ports
from cluster.processes import marked
from cluster.record import ClusterRecord

TENANCY = str(Path(sys.executable).with_name("tenancy"))
TENANTS = ("acme", "globex", "initech")
ROWS = 10
HOSTS = ("ray::TenantServant", "ray::host:")


@dataclass(frozen=True, slots=True)
class System:
    url: str
    key: str
    state: Path
    config: Path

    def run(self, *arguments: str) -> dict[str, int]:
        done = subprocess.run(
            [TENANCY, *arguments, "--json", "--state", str(self.state)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, int] = json.loads(done.stdout)
        return told

    def configure(self, max_body_bytes: int) -> None:
        root = self.config.parent / "data"
        self.config.write_text(
            f"storage: {{root: {root}}}\ndata_collection: {{max_body_bytes: {max_body_bytes}}}\n"
            "placement: {shared_hosts: 2}\n"
        )

    def hosts(self) -> dict[int, str]:
        """Processes that serve tenants."""
        marker = ClusterRecord.require(self.state).marker
        assert marker is not None
        titles = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace") for pid in marked(marker)}
        return {pid: title.rstrip("\0") for pid, title in titles.items() if title.startswith(HOSTS)}


@pytest.fixture(params=["haproxy", "no-haproxy"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    state, config = tmp_path / "state", tmp_path / "settings.yaml"
    made = System(f"http://127.0.0.1:{free_ports(1)[0]}", "", state, config)
    made.configure(max_body_bytes=4_000_000)
    port = made.url.rpartition(":")[2]
    told = made.run("up", "--port", port, "--config", str(config), "--num-cpus", "6", f"--{request.param}")
    try:
        yield System(made.url, str(told["admin_key"]), state, config)
    finally:
        made.run("down")


@pytest.mark.slow
async def test_a_redeployment_under_load_answers_every_request_and_changes_every_process(system: System) -> None:
    async with httpx.AsyncClient(
        base_url=system.url,
        headers={"Authorization": f"Bearer {system.key}"},
        timeout=60,
        limits=httpx.Limits(max_connections=16),
    ) as client:
        for tenant in TENANTS:
            assert (await client.put(f"/v1/tenants/{tenant}")).status_code == 200
            path = f"/v1/tenants/{tenant}/datasets/user_interactions/events"
            assert (await client.post(path, json=[{"n": 0}])).is_success  # and with it, its host runs
        statuses: Counter[int | str] = Counter()
        kept: Counter[str] = Counter(dict.fromkeys(TENANTS, 1))
        numbers, over = itertools.count(), asyncio.Event()

        async def one(number: int) -> None:
            tenant = TENANTS[number % len(TENANTS)]
            path, asked = f"/v1/tenants/{tenant}/query", {"type": "aggregation", "metrics": ["count"]}
            try:
                if number % 2:
                    answer = await client.post(path, json=asked)
                else:
                    path = f"/ingest/v1/tenants/{tenant}/datasets/user_interactions/events"
                    answer = await client.post(path, json=[{"n": n} for n in range(ROWS)])
                    kept[tenant] += ROWS if answer.is_success else 0
                statuses[answer.status_code] += 1
            except httpx.TransportError as error:
                statuses[repr(error)] += 1

        async def load() -> None:
            async with asyncio.TaskGroup() as group:
                while not over.is_set():
                    group.create_task(one(next(numbers)))
                    await asyncio.sleep(0.025)

        loading = asyncio.create_task(load())
        await asyncio.sleep(2)
        before = system.hosts()
        system.configure(max_body_bytes=5_000)
        told = await asyncio.to_thread(system.run, "redeploy", "--config", str(system.config))
        await asyncio.sleep(2)
        over.set()
        await loading

        assert set(statuses) <= {200, 202}, statuses
        assert statuses.total() > 200
        assert told["replicas"] >= 4
        assert told["hosts"] == len(before) >= 1
        assert told["tenants"] == len(TENANTS)
        assert not set(before) & set(system.hosts())
        for tenant in TENANTS:
            count = await client.post(f"/v1/tenants/{tenant}/query", json={"type": "aggregation", "metrics": ["count"]})
            assert count.json()["data"] == [{"count": kept[tenant]}]
        large = await client.post("/v1/tenants/acme/datasets/user_interactions/events", json=[{"text": "x" * 6_000}])
        assert large.status_code == 413
