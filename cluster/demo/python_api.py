"""The public Python API on the demo's cluster: `python -m cluster.demo.python_api ADDRESS < REQUEST`.

A program of its own because Ray reads its environment when it is imported, and the cluster may ask for a token that
this environment does not. The request is one JSON object on standard input, and so is the answer on standard output.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import ray

from cluster.answering import answering, ask
from cluster.record import ClusterRecord
from cluster.serve_environment import token_environment
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.core import CoreAnalyticsManager


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask and draw, and where the chart's page goes."""

    settings: Mapping[str, Any]
    tenant: str
    query: Mapping[str, Any]
    chart: Mapping[str, Any]
    page: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows, what they cost, and how long the query's call took."""

    rows: list[dict[str, Any]]
    rows_scanned: int
    engine_ms: float
    call_ms: float


def ask_and_draw(record: ClusterRecord, request: Request) -> Asked:
    """Runs this module as a program on the cluster of `record`. Raises UnavailableError with its last words."""
    environment = {**os.environ, **token_environment()}
    return Asked(**ask("the Python API", "cluster.demo.python_api", (record.address,), request, environment))


async def _asked(address: str, request: Request) -> Asked:
    config = AnalyticsConfig.load(request.settings)
    # The manager uses a connection that is there.
    ray.init(address, namespace=config.placement.namespace, logging_level=logging.ERROR, log_to_driver=False)
    async with CoreAnalyticsManager(config) as manager:
        await manager.datasets(request.tenant)  # finds the tenant's host, which is not the query's time
        began = time.monotonic()
        result = await manager.execute_query(tenant_id=request.tenant, query=request.query)
        call_ms = (time.monotonic() - began) * 1_000
        chart = await manager.create_visualization(
            tenant_id=request.tenant, chart_config=request.chart, data=result.data
        )
    Path(request.page).write_text(chart.to_html(), encoding="utf-8")
    return Asked(result.data, result.stats.rows_scanned, result.stats.total_ms, call_ms)


def main(address: str) -> None:
    """Answers the request on standard input."""
    out = answering()
    request = Request(**orjson.loads(sys.stdin.buffer.read()))
    asked = asyncio.run(_asked(address, request))
    with out:
        out.write(orjson.dumps(dataclasses.asdict(asked)))


if __name__ == "__main__":
    main(sys.argv[1])
