"""`tenancy up`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cluster.bring_up import UpOptions, up
from cluster.commands.options import DEFAULT_STATE, AsJson, State
from cluster.output import Output
from cluster.serve_config import packaged


def command(
    state: State = DEFAULT_STATE,
    host: Annotated[str, typer.Option(help="The interface the service listens at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port the service listens at.")] = 8000,
    config: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Settings, as YAML; see docs/configuration.md.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Use the Ray at HOST:PORT instead of starting one.", show_default=False)
    ] = None,
    dashboard: Annotated[
        str, typer.Option(help="With --address: where that Ray's dashboard answers.")
    ] = "http://127.0.0.1:8265",
    serve_config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The Serve applications, instead of the packaged ones."),
    ] = None,
    haproxy: Annotated[
        bool, typer.Option(help="Let HAProxy spread requests over replicas, where it is present.")
    ] = True,
    throughput: Annotated[bool, typer.Option(help="Run Serve in its throughput-optimised mode.")] = True,
    redis: Annotated[
        str | None,
        typer.Option(
            envvar="TENANCY_REDIS",
            help="redis://[user:password@]host:port that remembers what Ray's head knows: it may die and come back.",
            show_default=False,
        ),
    ] = None,
    num_cpus: Annotated[
        int | None, typer.Option(min=1, help="Logical CPUs of the Ray that is started.", show_default="the machine's")
    ] = None,
    new_admin_key: Annotated[
        bool,
        typer.Option("--new-admin-key", help="Print another operator's key: the first was lost. Revokes none."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start Ray and the service, and wait until it answers.

    At the first start of a storage the operator's API key is printed, this once: keep it. Who lost it makes
    another with --new-admin-key, also while the system runs; lost ones are revoked with 'tenancy key revoke'.
    """
    output = Output(as_json)
    with output.reporting():
        started = up(
            UpOptions(
                state=state,
                host=host,
                port=port,
                address=address,
                dashboard=dashboard,
                config=config,
                serve_config=serve_config or packaged(),
                haproxy=haproxy,
                throughput=throughput,
                num_cpus=num_cpus,
                redis=redis,
                new_admin_key=new_admin_key,
            ),
            output.say,
        )

        def shown() -> None:
            output.console.print(f"The service answers at [bold]{started.record.url}[/bold] (documentation: /docs)")
            output.console.print(f"Ray is at {started.record.address}, its dashboard at {started.record.dashboard}")
            if started.admin_key is not None:
                output.console.print(f"Operator's API key, shown this once: [bold]{started.admin_key}[/bold]")
                output.console.print(f"  export TENANCY_API_KEY={started.admin_key}", highlight=False)

        output.result({**dataclasses.asdict(started.record), "admin_key": started.admin_key}, shown)
