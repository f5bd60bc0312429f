"""A node of several dies under load: its tenants are served from those that are left, and nothing counts twice."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from actors.directory_handle import DirectoryHandle
from actors.tenant_handle import TenantHandle
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig

TENANTS = tuple(f"tenant_{number}" for number in range(6))
HOSTS = ("shared-0", "shared-1", "shared-2")
ROWS = 20
COUNT = {"type": "aggregation", "metrics": ["count"]}


@dataclass(frozen=True, slots=True)
class Told:
    """What the process that had the cluster found."""

    lost: str
    """The node that was killed."""
    homeless: frozenset[str]
    """Tenants that were served there."""
    before: dict[str, str]
    after: dict[str, str]
    """Node by tenant."""
    acknowledged: dict[str, int]
    stored: dict[str, int]


def cluster_of_three(root: str, pipe: Connection) -> None:
    """In a process of its own, since a process can be connected to one Ray only."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        raylets = {node.node_id: node.all_processes["raylet"][0].process.pid for node in nodes}
        pipe.send(asyncio.run(lose_a_node(root, raylets)))
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]


async def lose_a_node(root: str, raylets: dict[str, int]) -> Told:
    config = AnalyticsConfig.load({"storage": {"root": root}}, {})
    directory = DirectoryHandle(config)
    handles = {name: TenantHandle(name, config, directory) for name in TENANTS}
    for number, name in enumerate(TENANTS):
        await directory.register(name)
        await directory.move(name, HOSTS[number % len(HOSTS)])
    over = asyncio.Event()
    acknowledged = dict.fromkeys(TENANTS, 0)

    async def calls(name: str) -> None:
        payload = Payload.of([{"n": n, "timestamp": "2025-07-15T10:00:00Z"} for n in range(ROWS)])
        while not over.is_set():
            receipts = await handles[name].collect("user_interactions", payload)
            assert receipts.counts()["accepted"] == ROWS
            acknowledged[name] += ROWS

    callers = [asyncio.create_task(calls(name)) for name in TENANTS]
    before = await nodes_of_tenants(directory)
    lost = next(node for node in before.values() if node in raylets)
    os.kill(raylets[lost], signal.SIGKILL)
    homeless = frozenset(name for name, node in before.items() if node == lost)
    async with asyncio.timeout(100):
        while lost in (await nodes_of_tenants(directory)).values():  # its processes outlive its raylet for a moment
            await asyncio.sleep(0.05)
        marks = dict(acknowledged)
        while any(acknowledged[name] < marks[name] + 5 * ROWS for name in TENANTS):
            await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*callers)
    stored = {name: (await handle.query(COUNT)).to_arrow()["count"].to_pylist()[0] for name, handle in handles.items()}
    return Told(lost, homeless, before, await nodes_of_tenants(directory), acknowledged, stored)


async def nodes_of_tenants(directory: DirectoryHandle) -> dict[str, str]:
    return {seen.tenant: host.node for host in await directory.hosts() for seen in host.tenants}


def test_tenants_of_a_node_that_died_are_served_from_another_one_and_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=cluster_of_three, args=(str(tmp_path), theirs))
    process.start()
    theirs.close()
    try:
        told: Told = ours.recv()  # EOFError when it failed; then it has printed why
    finally:
        process.join(60)
        if process.is_alive():
            process.kill()

    assert len(set(told.before.values())) > 1, "the hosts are spread over nodes"
    assert told.homeless
    assert told.lost not in told.after.values()
    assert set(told.after) == set(TENANTS)
    assert told.stored == told.acknowledged
