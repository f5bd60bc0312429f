"""`tenancy host list|move|drain`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cluster.commands.options import AsJson, Key, Tenant, Url, client
from cluster.output import Output

app = typer.Typer(help="See and change which host serves whom (with an operator's key).", no_args_is_help=True)

Host = Annotated[str, typer.Argument(help="A host's name, as `tenancy host list` shows it.", show_default=False)]


@app.command("list")
def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List hosts with their load, and the tenants that work them most."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        found: list[dict[str, Any]] = service.call("GET", "hosts")["hosts"]
        output.result(
            {"hosts": found},
            lambda: output.table(
                ("host", "condition", "tenants", "cores used", "MB", "busiest"), [_row(host) for host in found]
            ),
        )


@app.command()
def move(
    tenant: Tenant,
    to: Annotated[str, typer.Option(help="`dedicated`, or a shared host such as `shared-0`.", show_default=False)],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Serve a tenant from another host, live."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        placed = service.call("PUT", "tenants", tenant, "placement", json={"host": to})
        output.result(placed, lambda: output.console.print(f"Tenant {tenant} is served by {placed['host']}"))


@app.command()
def drain(host: Host, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """End a host: its tenants are written out and placed anew with their next call."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        told = service.call("POST", "hosts", host, "drain")
        output.result(told, lambda: output.console.print(f"Host {host} is gone; {len(told['released'])} tenants moved"))


def _row(host: dict[str, Any]) -> tuple[object, ...]:
    tenants = sorted(host["tenants"], key=lambda tenant: -tenant["work"])
    busiest = ", ".join(f"{each['tenant']} ({each['work']:.2f})" for each in tenants[:3])
    megabytes = round(host["memory_bytes"] / 1e6)
    return host["name"], host["condition"], len(tenants), f"{host['work']:.2f}", megabytes, busiest
