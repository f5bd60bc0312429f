"""`tenancy query`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cluster.commands.options import AsJson, Key, Tenant, Url, client
from cluster.output import Output
from tenancy.analytics.errors import InvalidRequestError


def command(
    tenant: Tenant,
    query: Annotated[
        str,
        typer.Argument(help="The query as JSON, a file that holds it, or '-' for standard input.", show_default=False),
    ] = "-",
    explain: Annotated[bool, typer.Option("--explain", help="Show the plan instead of running it.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Show the SQL that ran, too.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask a tenant's data.

    For example: tenancy query tenant_001 '{"type": "topk", "metric": "count", "dimension": "artist"}'
    """
    output = Output(as_json)
    with output.reporting(), client(url, key) as service:
        asked = _read(query)
        if explain:
            plan = service.call("POST", "tenants", tenant, "explain", json=asked)
            output.result(plan, lambda: output.console.print(plan["plan"], markup=False, highlight=False))
            return
        result = service.call("POST", "tenants", tenant, "query", json=asked)

        def shown() -> None:
            names = [column["name"] for column in result["schema"]]
            output.table(names, [[row[name] for name in names] for row in result["data"]])
            stats = result["stats"]
            pruned = f"{stats['segments_pruned']} of {stats['segments_total']} segments pruned"
            more = "; there are more rows" if stats["truncated"] or result["next_cursor"] else ""
            rows = f"{stats['rows_returned']:,} rows from {stats['rows_scanned']:,}"
            output.say(f"{rows} in {stats['total_ms']:.1f} ms; {pruned}{more}")
            if sql:
                output.console.print(result["sql"], markup=False, highlight=False)

        output.result(result, shown)


def _read(given: str) -> dict[str, Any]:
    if given == "-":
        place, text = "standard input", sys.stdin.read()
    elif given.lstrip().startswith("{"):
        place, text = "query", given
    else:
        try:
            place, text = given, Path(given).read_text(encoding="utf-8")
        except (OSError, ValueError):
            # No such file, a folder, a name too long or with a NUL, or bytes that are no text.
            raise InvalidRequestError("query", given, "give JSON, the name of a file of JSON, or '-'") from None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(place, str(error), "give one JSON object") from None
    if not isinstance(value, dict):
        raise InvalidRequestError(place, type(value).__name__, "give one JSON object")
    return value
