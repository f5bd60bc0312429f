"""`tenancy demo`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cluster.commands.options import AsJson
from cluster.demo import DemoOptions, DemoReport, run_demo
from cluster.demo.report import show
from cluster.output import EXIT_FAILED, Output


def command(
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where the chart pages go.")] = Path("demo-output"),
    serve: Annotated[bool, typer.Option("--serve", help="Stay up until interrupted (Ctrl-C).")] = False,
    port: Annotated[int | None, typer.Option(help="Where the service listens.", show_default="a free port")] = None,
    events: Annotated[int, typer.Option(min=1_000, help="Plays of music to stream.")] = 500_000,
    departures: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many departures.", show_default="all 336,776")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what it does: two tenants, real flights and generated plays, from nothing to charts.

    Starts a system of its own in a temporary folder, apart from that of 'up', and removes it at the end.
    """
    # So that whoever ends it politely leaves nothing running, either.
    signal.signal(signal.SIGTERM, _terminated)
    output = Output(as_json)
    options = DemoOptions(folder=folder, events=events, departures=departures, port=port)
    with output.reporting(), run_demo(options, output) as report:
        output.result(report.plain(), lambda: show(report, output))
        if serve:
            _stay(report, output)
    if not report.as_planted:
        raise typer.Exit(EXIT_FAILED)


def _terminated(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _stay(report: DemoReport, output: Output) -> None:
    for line in (
        f"The service answers at {report.url} (documentation: {report.url}/docs)",
        f"Ray's dashboard is at {report.dashboard}",
        f"  export TENANCY_URL={report.url} TENANCY_API_KEY={report.admin_key}",
        "Ctrl-C stops everything.",
    ):
        output.errors.print(line, soft_wrap=True, highlight=False)
    try:
        signal.pause()
    except KeyboardInterrupt:
        output.errors.print("stopping")
