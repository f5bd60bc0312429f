"""Parts of a whole system die, freeze and move while tenants work; every event is there once, and no client gave up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.chaos.run import chaos
from benchmarks.chaos.victim import Victim
from benchmarks.tenantbench.stage import Settings


def has_postgresql() -> bool:
    return shutil.which("postgres") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.mark.slow
async def test_whatever_dies_every_acknowledged_event_is_there_once_and_every_request_succeeds_in_the_end() -> None:
    settings = Settings(tenants=12, active=12, seconds=75.0, rate=8.0, rows=10, seed=11)
    async with Victim(settings.seed, nodes=1, postgresql=has_postgresql()) as victim:
        outcomes = await chaos(victim, settings, every_s=5.0)

    assert len(outcomes.struck) >= 10
    missed = [row for row in outcomes.accounts if row.met is False]
    assert not missed, missed
    assert outcomes.samples.failed == 0
    assert next(row for row in outcomes.accounts if row.what == "events acknowledged").value > 1_000
