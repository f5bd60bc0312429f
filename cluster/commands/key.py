"""`tenancy key create|revoke|list`."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.commands.options import AsJson, Key, Tenant, Url, client
from cluster.output import Output

app = typer.Typer(help="Create, list and revoke API keys of a tenant.", no_args_is_help=True)


@app.command()
def create(
    tenant: Tenant,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="admin, writer or analyst; may be given several times.")
    ] = None,
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create a key. Its secret is shown this once: only a hash of it is kept."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        made = service.call("POST", "tenants", tenant, "keys", json={"roles": role or ["analyst"], "label": label})

        def shown() -> None:
            output.console.print(f"Key {made['id']} of {tenant}, shown this once: [bold]{made['key']}[/bold]")

        output.result(made, shown)


@app.command("list")
def list_(tenant: Tenant, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List the keys of a tenant, revoked ones too; never their secrets."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        found = service.call("GET", "tenants", tenant, "keys")
        rows = [
            (each["id"], ", ".join(each["roles"]), each["label"], each["created_at"], each["revoked_at"])
            for each in found["keys"]
        ]
        output.result(found, lambda: output.table(("key", "roles", "label", "created", "revoked"), rows))


@app.command()
def revoke(
    tenant: Tenant,
    id: Annotated[str, typer.Argument(help="The key's id, as 'key list' shows it.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: within seconds it opens nothing any more."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        service.call("DELETE", "tenants", tenant, "keys", id)
        output.result({"revoked": id}, lambda: output.console.print(f"Key {id} is revoked"))
