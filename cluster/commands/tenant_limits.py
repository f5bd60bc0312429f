"""`tenancy tenant limits|usage`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cluster.commands.options import AsJson, Key, Tenant, Url, client
from cluster.output import Output
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.yaml_text import parse_yaml


def limits(
    tenant: Tenant,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, as events_per_second=1000; 'none' is no limit. May be repeated."),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", help="NAME: let it be that of every tenant again. May be repeated.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what a tenant may use, or change it; a change holds at once (with an operator's key)."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        found: dict[str, Any] = service.call("GET", "tenants", tenant, "limits")
        if change or unset:
            kept = {name: value for name, value in found["given"].items() if name not in (unset or [])}
            given = {**kept, **dict(_setting(text) for text in change or [])}
            found = service.call("PUT", "tenants", tenant, "limits", json=given)
        rows = [
            (name, "no limit" if value is None else value, "its own" if name in found["given"] else "of every tenant")
            for name, value in found["limits"].items()
        ]
        output.result(found, lambda: output.table(("limit", "value", "whose"), rows))


def usage(
    tenant: Tenant,
    since: Annotated[
        str | None, typer.Option("--from", help="When to begin, as 2025-07-15; the last 24 hours when not given.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="When to end; now when not given.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what a tenant used, by the hour, and how it stands with its limits."""
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        asked: dict[str, str | int] = {
            name: value for name, value in (("from", since), ("to", until)) if value is not None
        }
        found: dict[str, Any] = service.call("GET", "tenants", tenant, "usage", parameters=asked)

        def shown() -> None:
            columns = ("events", "bytes_received", "bytes_written", "bytes_scanned", "queries", "cpu_seconds")
            rows = [
                (hour["hour"], *(hour.get(name, 0) for name in columns), sum(hour.get("refused", {}).values()))
                for hour in found["hours"]
            ]
            output.table(("hour", *(name.replace("_", " ") for name in columns), "refused"), rows)
            output.console.print(f"{found['stored_bytes']:,} bytes are stored")
            standings = [(each["limit"], each["allowed"], each["used"]) for each in found["limits"] or []]
            if standings:
                output.table(("limit", "allowed", "used now"), standings)

        output.result(found, shown)


def _setting(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidRequestError("--set", text, "give NAME=VALUE, as events_per_second=1000")
    return name, None if value.lower() == "none" else parse_yaml(value, name)
