"""How tenants are spread over shards: the layouts there were, and the one transaction that changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson
from sqlalchemy import Connection

from tenancy.analytics.errors import ConflictError, UnknownNameError
from tenancy.analytics.storage.catalog import _rows
from tenancy.analytics.storage.catalog._scoped import Scoped
from tenancy.analytics.storage.catalog._tables import dedup_runs, shard_layouts, tenants
from tenancy.analytics.storage.catalog.values import DedupRun, ShardLayout

CopiedRuns = Mapping[str, Sequence[tuple[str, DedupRun]]]
"""Runs of event ids by the shard that gets them, each with its dataset."""


def layouts(scoped: Scoped) -> list[ShardLayout]:
    """Every layout the tenant has had, oldest first; the first one is that of a tenant of one shard."""
    found = scoped.select(shard_layouts, order_by=[shard_layouts.c.version])
    kept = [
        ShardLayout(row.version, row.shards, row.members, orjson.loads(row.keys), _rows.moment(row.changed_at))
        for row in found
    ]
    return [ShardLayout(), *kept]


def change(
    connection: Connection, tenant: str, layout: ShardLayout, epochs: Mapping[str, int], runs: CopiedRuns, now: datetime
) -> None:
    """Make `layout` the one that counts and end the epochs of all shards, all at once or not at all.

    `epochs` are those under which the shards were sealed, the tenant's first. ConflictError when a shard was taken
    over since, or when the layout was changed by somebody else.
    """
    for name, epoch in epochs.items():
        scoped = Scoped(connection, name)
        row = scoped.first(tenants, lock=True)
        if row is None:
            raise UnknownNameError("tenant", name)
        if row.epoch != epoch:
            raise ConflictError(f"shard {name!r} was taken over while it was resharded", "repeat the call")
        scoped.update(tenants, {"epoch": epoch + 1, "owner": ""})
        copied = runs.get(name, ())
        scoped.insert(dedup_runs, [_rows.dedup_row(dataset, run) for dataset, run in copied], existing="keep")
    scoped = Scoped(connection, tenant)
    newest = layouts(scoped)[-1]
    if newest.version + 1 != layout.version:
        raise ConflictError(f"the layout of {tenant!r} was changed by another call", "repeat the call")
    row_values = {
        "version": layout.version,
        "shards": layout.shards,
        "members": layout.members,
        "keys": _rows.document(dict(layout.keys)),
        "changed_at": _rows.micros(now),
    }
    scoped.insert(shard_layouts, [row_values])
