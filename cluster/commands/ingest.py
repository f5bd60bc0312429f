"""`tenancy ingest`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cluster.commands.options import AsJson, Key, Tenant, Url, client
from cluster.ingestion import Loader
from cluster.ingestion import Progress as Loaded
from cluster.output import EXIT_FAILED, Output
from tenancy.analytics.types import DEFAULT_DATASET
from tenancy.analytics.yaml_text import parse_yaml

_REFUSALS_SHOWN = 10


def command(
    tenant: Tenant,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="NDJSON, CSV (also .gz, .zst) or Parquet.",
            show_default=False,
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Where the events go.")] = DEFAULT_DATASET,
    schema: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Declare the dataset first, by this YAML or JSON.", show_default=False
        ),
    ] = None,
    batch_rows: Annotated[int, typer.Option(min=1, max=100_000, help="Rows sent at a time.")] = 5_000,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Batches under way at once.")] = 4,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when rows were quarantined.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Load a file. After a break, run it again: it goes on where it was, and no row is counted twice."""
    output = Output(as_json)
    loaded = Loaded()
    began = time.monotonic()
    with output.reporting(), client(url, key) as service:
        if schema is not None:
            declared = parse_yaml(schema.read_text(), schema.name) or {}
            service.call("PUT", "tenants", tenant, "datasets", dataset, json=declared)
        loader = Loader(service, tenant, dataset, batch_rows=batch_rows, concurrency=concurrency)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=output.errors, disable=as_json, transient=True) as bar:
            task = bar.add_task(file.name, total=1.0, rows=0)
            for loaded in loader.load(file):
                bar.update(task, completed=loaded.done, rows=loaded.rows + loaded.skipped)
        seconds = time.monotonic() - began
        output.result(
            {
                "rows": loaded.rows,
                "skipped": loaded.skipped,
                "counts": dict(loaded.counts),
                "seconds": round(seconds, 3),
                "waits": loaded.waits,
                "refused": loaded.refused,
            },
            lambda: _show(output, loaded, seconds),
        )
    if strict and loaded.counts["quarantined"]:
        raise typer.Exit(EXIT_FAILED)


def _show(output: Output, loaded: Loaded, seconds: float) -> None:
    rate = loaded.rows / seconds if seconds else 0.0
    counts = ", ".join(f"{number:,} {status}" for status, number in loaded.counts.items() if number) or "nothing new"
    output.console.print(f"{loaded.rows:,} rows in {seconds:.1f} s ({rate:,.0f} rows/s): {counts}")
    if loaded.skipped:
        output.console.print(f"{loaded.skipped:,} rows had been loaded before")
    if loaded.refused:
        rows = [
            (
                each.get("line", each["index"] + 1),
                each["error"]["code"],
                each["error"]["field"],
                each["error"]["remedy"],
            )
            for each in loaded.refused[:_REFUSALS_SHOWN]
        ]
        output.table(("line", "code", "field", "what to do"), rows, title="Quarantined, the first of them")
