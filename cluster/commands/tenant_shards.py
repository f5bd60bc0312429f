"""`tenancy tenant reshard`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cluster.commands.options import AsJson, Key, Tenant, Url, client
from cluster.output import Output
from tenancy.analytics.errors import InvalidRequestError


def reshard(
    tenant: Tenant,
    shards: Annotated[int, typer.Option(min=1, max=99, help="Over how many its rows are spread.", show_default=False)],
    by: Annotated[
        list[str] | None,
        typer.Option(help="DATASET=FIELD whose hash says where a row belongs, where not `user_id`. May be repeated."),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Spread a tenant that is too large for one host over several, live (with an operator's key)."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        given: dict[str, Any] = {"shards": shards, "keys": dict(_field(text) for text in by or [])}
        layout = service.call("PUT", "tenants", tenant, "shards", json=given)
        output.result(layout, lambda: output.console.print(f"Tenant {tenant} has {layout['shards']} shards"))


def _field(text: str) -> tuple[str, str]:
    dataset, separator, field = text.partition("=")
    if not separator or not field:
        raise InvalidRequestError("--by", text, "give DATASET=FIELD, as plays=account_id")
    return dataset, field
