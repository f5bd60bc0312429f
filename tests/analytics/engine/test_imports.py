"""What a process loads, seen from outside: each test starts one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COLLECTS_AND_THEN_ASKS = """
import asyncio, sys

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources

def loaded():
    return sorted({"duckdb", "sqlglot"} & sys.modules.keys())

async def main(root):
    resources = HostResources.open(AnalyticsConfig.load({"storage": {"root": root}}, {}))
    resources.backing.register("tenant_001", {})
    engine = AnalyticsEngine.open("tenant_001", resources)
    await engine.collect("user_interactions", Payload.of({"n": 1}))
    await engine.maintain()
    await engine.flush()
    before = loaded()
    answer = await engine.query({"type": "aggregation", "metrics": ["count"]})
    sys.stdout.write(f"{before} {answer.data} {loaded()}")
    await engine.close()
    resources.close()

asyncio.run(main(sys.argv[1]))
"""


def test_a_tenant_that_only_collects_does_without_what_queries_need(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", COLLECTS_AND_THEN_ASKS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.returncode) == ("[] [{'count': 1}] ['duckdb', 'sqlglot']", 0), run.stderr
