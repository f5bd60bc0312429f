"""`tenancy tenant create|list|delete|limits|usage|reshard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.client import Client
from cluster.commands import tenant_limits, tenant_shards
from cluster.commands.options import AsJson, Key, Tenant, Url, client
from cluster.output import Output
from tenancy.analytics.yaml_text import parse_yaml

app = typer.Typer(help="Register, list and delete tenants (with an operator's key).", no_args_is_help=True)
app.command("limits")(tenant_limits.limits)
app.command("usage")(tenant_limits.usage)
app.command("reshard")(tenant_shards.reshard)


@app.command()
def create(
    tenant: Tenant,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The tenant's datasets and model, as YAML.", show_default=False),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Register a tenant. Repeated with the same configuration, nothing changes."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        given: Any = parse_yaml(config.read_text(), config.name) if config else {}
        record = service.call("PUT", "tenants", tenant, json=given or {})
        output.result(record, lambda: output.console.print(f"Tenant {record['id']} is ready"))


@app.command("list")
def list_(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List every tenant."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        found = every_tenant(service)
        output.result(
            {"tenants": found},
            lambda: output.table(("tenant", "since"), [(record["id"], record["created_at"]) for record in found]),
        )


@app.command()
def delete(
    tenant: Tenant,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Delete a tenant and all its data, for good: its key is destroyed first."""
    output = Output(as_json)
    if not yes:
        typer.confirm(f"Delete tenant {tenant} and everything it stored? This cannot be undone", abort=True, err=True)
    with output.reporting(), client(url, key) as service:
        service.call("DELETE", "tenants", tenant)
        output.result({"deleted": tenant}, lambda: output.console.print(f"Tenant {tenant} is gone"))


def every_tenant(service: Client) -> list[dict[str, Any]]:
    """All pages of the list of tenants."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["id"] if found else ""
        page = service.call("GET", "tenants", parameters={"after": after})["tenants"]
        if not page:
            return found
        found += page
