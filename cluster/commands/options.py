"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cluster.client import DEFAULT_URL, Client
from cluster.output import no_key
from cluster.record import ClusterRecord

DEFAULT_STATE = Path(".tenancy/.run")
"""Beside the default storage; no tenant's name begins with a dot."""

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Write one JSON document to standard output.")]
State: TypeAlias = Annotated[
    Path, typer.Option("--state", envvar="TENANCY_STATE", help="Where 'up' remembers what it started.")
]
Url: TypeAlias = Annotated[
    str | None,
    typer.Option("--url", envvar="TENANCY_URL", help="The service; what 'up' started here when not given."),
]
Key: TypeAlias = Annotated[
    str | None, typer.Option("--key", envvar="TENANCY_API_KEY", show_envvar=True, help="The API key (tk_…).")
]
Tenant: TypeAlias = Annotated[str, typer.Argument(help="The tenant's id.", show_default=False)]


def client(url: str | None, key: str | None, state: Path = DEFAULT_STATE) -> Client:
    """A client of the service named, or of the one that `up` started. Raises AuthenticationError without a key."""
    if not key:
        raise no_key()
    if url is None:
        record = ClusterRecord.read(state)
        url = DEFAULT_URL if record is None else record.url
    return Client(url, key)
