"""Runs the benchmarks, each in a process of its own, and prints one table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.report import RESULTS

ALL = (
    "ingest_host",
    "ingest_http",
    "scan",
    "overhead",
    "fairness",
    "shards",
    "memory",
    "tenants_memory",
    "placement_sim",
)


def shown(value: float) -> str:
    """Three digits that matter, and no exponent."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(ALL)}; all when none is given")
    names = parser.parse_args().names or ALL
    if unknown := set(names) - set(ALL):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    failed = [name for name in names if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
    table = Table("benchmark", "what", "measured", "target", "met")
    for name in names:
        if name in failed:
            table.add_row(name, "did not finish", "", "", "no")
            continue
        for row in json.loads((RESULTS / f"{name}.json").read_text())["measurements"]:
            met = {True: "yes", False: "no", None: ""}[row["met"]]
            table.add_row(name, row["what"], f"{shown(row['value'])} {row['unit']}", row["target"], met)
    Console(width=140).print(table)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
