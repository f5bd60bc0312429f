"""`python -m benchmarks.tenantbench --system ours --scenario one_key_flood --tenants 1000 --seed 1`.

Runs each scenario `--runs` times, each time on a system of its own, prints a table of medians, and writes
`benchmarks/results/tenantbench_<system>_<scenario>.json` with the machine and the versions.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from rich.console import Console
from rich.table import Table

from benchmarks.report import Measurement, Report, median
from benchmarks.tenantbench.adapter import NotSupportedError, System
from benchmarks.tenantbench.our_http import OurSystem
from benchmarks.tenantbench.our_nodes import OurNodes
from benchmarks.tenantbench.peer_http import PeerSystem
from benchmarks.tenantbench.stage import Settings, staged

SCENARIOS = (
    "quiet",
    "one_key_flood",
    "hundred_key_flood",
    "heavy_query_flood",
    "kill_host",
    "kill_node",
    "redeploy",
    "erase",
    "wake",
    "scale",
    "throughput",
)


def medians(runs: Sequence[Sequence[Measurement]]) -> tuple[Measurement, ...]:
    """One row for each thing measured: the median, and its target met in the median.

    Counts that must be 0 in every run are the worst of all runs instead: a median would hide a lost event.
    """
    found: dict[str, list[Measurement]] = {}
    for run in runs:
        for measured in run:
            found.setdefault(measured.what, []).append(measured)
    return tuple(_of_all(rows) for rows in found.values())


def _of_all(rows: Sequence[Measurement]) -> Measurement:
    first = rows[0]
    if first.target == "0":
        worst = max(rows, key=lambda row: row.value)
        return dataclasses.replace(worst, met=all(bool(row.met) for row in rows))
    middle = median([row.value for row in rows])
    met = None if first.met is None else sorted(bool(row.met) for row in rows)[len(rows) // 2]
    return dataclasses.replace(first, value=middle, met=met)


def open_system(arguments: argparse.Namespace, scenario: str, seed: int) -> AbstractAsyncContextManager[System]:
    """The system under test; add a line for your own."""
    if arguments.system == "peer":
        return PeerSystem()
    if scenario == "kill_node" and arguments.url is None:
        return OurNodes(seed=seed)
    return OurSystem(url=arguments.url, key=arguments.key, seed=seed)


async def once(arguments: argparse.Namespace, scenario: str, settings: Settings) -> list[Measurement]:
    """One run of one scenario."""
    # Others at work on the machine make every time longer: above 0.5 or so, times say little.
    load = Measurement("load average of the machine before the run", os.getloadavg()[0], "processes")
    module = importlib.import_module(f"benchmarks.tenantbench.scenarios.{scenario}")
    async with open_system(arguments, scenario, settings.seed) as system, staged(system, settings) as stage:
        found: list[Measurement] = await module.run(stage)
        return [*found, load]


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tenantbench", description=__doc__)
    parser.add_argument("--system", choices=("ours", "peer"), default="ours")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="may be repeated; all when not given")
    parser.add_argument("--runs", type=int, default=1, help="runs of each scenario; 3 and more for publication")
    parser.add_argument("--url", help="a system of ours that runs already, instead of one of its own")
    parser.add_argument("--key", help="its operator's key")
    for field in dataclasses.fields(Settings):
        kind = int if isinstance(field.default, int) else float
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """How many scenarios missed a target or could not be run."""
    arguments = parsed(words)
    chosen = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(Settings)}
    console, missed = Console(width=120), 0
    for scenario in arguments.scenario or SCENARIOS:
        try:
            runs = [
                asyncio.run(once(arguments, scenario, Settings(**{**chosen, "seed": arguments.seed + run})))
                for run in range(arguments.runs)
            ]
        except NotSupportedError as error:
            console.print(f"{scenario}: {arguments.system} cannot: {error}")
            continue
        found = medians(runs)
        Report(f"tenantbench_{arguments.system}_{scenario}", found).save()
        table = Table("what", "measured", "target", "met", title=f"{arguments.system}: {scenario}")
        for row in found:
            met = {True: "yes", False: "no", None: ""}[row.met]
            value = f"{row.value:,.0f}" if abs(row.value) >= 1_000 else f"{row.value:.3g}"
            table.add_row(row.what, f"{value} {row.unit}", row.target, met)
        console.print(table)
        missed += any(row.met is False for row in found)
    return missed


if __name__ == "__main__":
    sys.exit(main())
