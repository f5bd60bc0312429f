"""What a host with one idle tenant takes: resident memory of its process, after a batch and a query."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import orjson

from actors.tenant_handle import TenantHandle
from benchmarks.engines import TENANT
from benchmarks.report import Report, at_most, median
from benchmarks.workload import ndjson
from tenancy.analytics.core import CoreAnalyticsManager

HOSTS = 3


def resident_mb(pid: int) -> float:
    """Resident memory of a process, as Linux counts it (shared pages included)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def measure() -> Report:
    fresh, used = [], []
    rows = [orjson.loads(line) for line in ndjson(1_000).splitlines()]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with CoreAnalyticsManager({"storage": {"root": folder}}) as manager:
            for index in range(HOSTS):
                tenant = f"{TENANT}_{index}"
                await manager.register_tenant(tenant)
                status = await TenantHandle(tenant, manager.config).status()
                fresh.append(resident_mb(status.pid))
                await manager.collect_data(tenant, rows)
                await manager.execute_query(tenant, {"type": "aggregation", "metrics": ["count"]})
                used.append(resident_mb(status.pid))
    return Report(
        "memory",
        (
            at_most("host with one idle tenant", median(fresh), "MB", 200),
            at_most("the same after 1,000 events and a query", median(used), "MB", 200),
        ),
    )


if __name__ == "__main__":
    asyncio.run(measure()).save()
