"""`python -m benchmarks.chaos --seed 7 --minutes 10 --every 3`: a system under load, and what becomes of it.

The seed is printed first; with it the same things happen at the same moments again. The exit code is the number of
targets that were missed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.plan import KILLS, Harm
from benchmarks.chaos.run import chaos
from benchmarks.chaos.victim import Victim
from benchmarks.report import Measurement, Report
from benchmarks.tenantbench.stage import Settings


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="one of chance when not given")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=2.7, help="seconds between blows, on average")
    parser.add_argument("--tenants", type=int, default=60)
    parser.add_argument("--rate", type=float, default=30.0, help="requests a second")
    parser.add_argument("--nodes", type=int, default=1, help="nodes besides the head")
    parser.add_argument("--kills-only", action="store_true", help="no outage, move or redeployment")
    parser.add_argument("--only", choices=[harm.name.lower() for harm in Harm], action="append")
    return parser.parse_args(words)


async def once(arguments: argparse.Namespace, seed: int) -> tuple[Measurement, ...]:
    """One run."""
    settings = Settings(
        tenants=arguments.tenants,
        active=arguments.tenants,
        seconds=60.0 * arguments.minutes,
        rate=arguments.rate,
        rows=10,
        connections=256,  # one host that hangs must not hold up the client for the others
        seed=seed,
    )
    harms = sorted(KILLS) if arguments.kills_only else None
    if arguments.only:
        harms = [Harm[name.upper()] for name in arguments.only]
    async with Victim(seed, arguments.nodes) as victim:
        outcomes = await chaos(victim, settings, arguments.every, harms)
        return outcomes.measurements()


def main(words: Sequence[str] | None = None) -> int:
    """How many targets were missed."""
    arguments = parsed(words)
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    try:
        found = asyncio.run(once(arguments, seed))
    except BaseException:
        print(f"failed with seed {seed}")
        raise
    Report(f"chaos_{seed}", found).save()
    table = Table("what", "measured", "target", "met", title=f"chaos, seed {seed}")
    for row in found:
        met = {True: "yes", False: "no", None: ""}[row.met]
        table.add_row(row.what, f"{row.value:,.4g} {row.unit}", row.target, met)
    Console(width=120).print(table)
    return sum(row.met is False for row in found)


if __name__ == "__main__":
    sys.exit(main())
