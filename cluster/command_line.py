"""The command `tenancy`: what there is, in the order of a first day."""

from __future__ import annotations

import typer

from cluster.commands import demo, doctor, down, host, ingest, key, query, redeploy, status, tenant, up

app = typer.Typer(
    name="tenancy",
    help="Multi-tenant analytics on Ray: collect, keep, ask, draw.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up.command)
app.command("status")(status.command)
app.add_typer(tenant.app, name="tenant")
app.add_typer(key.app, name="key")
app.add_typer(host.app, name="host")
app.command("ingest")(ingest.command)
app.command("query")(query.command)
app.command("redeploy")(redeploy.command)
app.command("doctor")(doctor.command)
app.command("down")(down.command)
app.command("demo")(demo.command)
