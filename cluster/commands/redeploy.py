"""`tenancy redeploy`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import DEFAULT_STATE, AsJson, State
from cluster.output import Output
from cluster.redeployment import redeploy


def command(
    state: State = DEFAULT_STATE,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="New settings, as YAML; those of before when not given."),
    ] = None,
    serve_config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The Serve applications; those of before when not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take new code and settings in while the service answers: replicas and hosts are replaced one by one."""
    output = Output(as_json)
    with output.reporting():
        told = redeploy(state, output.say, config, serve_config)

        def shown() -> None:
            output.console.print(
                f"Replaced {told.replicas} replicas and {told.hosts} hosts; {told.tenants} tenants moved live"
            )

        output.result(dataclasses.asdict(told), shown)
