"""Ray's head with a real Redis: it is killed whole, and started again while another node goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from benchmarks.chaos.nodes import NODE, Nodes
from cluster.head_storage import HeadStorage
from cluster.ports import free_ports
from cluster.processes import marked
from cluster.record import ClusterRecord
from tenancy.analytics.errors import ConfigurationError

TENANCY = str(Path(sys.executable).with_name("tenancy"))
COUNT = {"type": "aggregation", "metrics": ["count"]}


def test_a_redis_is_named_by_url_and_its_password_shown_nowhere() -> None:
    storage = HeadStorage.of("rediss://ops:p%40ss@cache.example:7000/0", Path("/srv/a"))
    assert storage.environment()["RAY_REDIS_ADDRESS"] == "rediss://cache.example:7000"
    assert storage.arguments() == ("--redis-username=ops", "--redis-password=p@ss")
    assert "p@ss" not in repr(storage)
    assert storage.namespace != HeadStorage.of("rediss://cache.example:7000", Path("/srv/b")).namespace
    assert HeadStorage.of("redis://cache.example", Path("/srv/a")).port == 6379


@pytest.mark.parametrize("url", ["cache.example:6379", "http://cache.example", "redis://h:port", "redis://h/3"])
def test_what_is_no_redis_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        HeadStorage.of(url, Path("/srv/a"))


def tenancy(*arguments: str) -> dict[str, str]:
    done = subprocess.run([TENANCY, *arguments, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.slow
async def test_a_head_that_was_lost_comes_back_and_nothing_acknowledged_is(redis_url: str, tmp_path: Path) -> None:
    state, config = tmp_path / "state", tmp_path / "settings.yaml"
    config.write_text(f"storage: {{root: {tmp_path / 'data'}}}\n")
    port = str(free_ports(1)[0])
    up = ["up", "--state", str(state), "--port", port, "--config", str(config), "--redis", redis_url.removesuffix("/0")]
    key = (await asyncio.to_thread(tenancy, *up, "--num-cpus", "4"))["admin_key"]
    try:
        record = ClusterRecord.require(state)
        nodes = Nodes(record, apart=True)
        await asyncio.to_thread(nodes.add)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=20
        ) as client:
            assert (await client.put("/v1/tenants/acme")).status_code == 200
            kept, tries, over, last = 0, Counter[int](), asyncio.Event(), ""

            async def persist(path: str, content: object, key: str = "") -> httpx.Response:
                """As a client does that retries, with the idempotency key that makes it safe."""
                nonlocal last
                until = time.monotonic() + 180
                while True:
                    with suppress(httpx.TransportError):
                        answer = await client.post(path, json=content, headers={"Idempotency-Key": key} if key else {})
                        tries[answer.status_code] += 1
                        if answer.is_success:
                            return answer
                        last = answer.text
                    assert time.monotonic() < until
                    await asyncio.sleep(0.3)

            async def load() -> None:
                nonlocal kept
                for number in itertools.count():
                    if over.is_set():
                        return
                    path = "/v1/tenants/acme/datasets/user_interactions/events"
                    await persist(path, [{"n": number * 10 + n} for n in range(10)], f"batch-{number}")
                    kept += 10
                    await asyncio.sleep(0.05)

            loading = asyncio.create_task(load())
            while not kept:
                await asyncio.sleep(0.1)
            assert record.marker is not None
            for pid in [*marked(record.marker)]:  # the head and everything on it; the other node has no such mark
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(5)
            again = await asyncio.to_thread(tenancy, *up, "--num-cpus", "4")
            assert again["address"] == record.address
            assert again["admin_key"] is None
            before = kept
            until = time.monotonic() + 120
            while kept < before + 50:
                assert time.monotonic() < until, f"it does not collect again: {tries}, {last}"
                await asyncio.sleep(0.2)
            over.set()
            await loading
            assert (await persist("/v1/tenants/acme/query", COUNT)).json()["data"] == [{"count": kept}]
            # The other node was never started anew: it joined the head again.
            assert [*marked(nodes.names[0], NODE)]
    finally:
        with suppress(NameError):
            for name in list(nodes.names):
                nodes.kill(name)
        tenancy("down", "--state", str(state))
