"""Changing how many shards a tenant has: seal, copy what keeps events from counting twice, and switch.

Rows stay where they are. What moves is the memory of event ids, so that an event that one shard has is a duplicate on
whichever shard it is sent to next. Until the one transaction at the end, nothing has changed: a process that dies in
between leaves the old layout, and files that nobody refers to, which the shards' next owners delete.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from tenancy.analytics.clock import Clock
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine.backing import Backing
from tenancy.analytics.engine.sharding.shard import expect_plain
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.storage.catalog import DedupRun, ShardLayout
from tenancy.analytics.storage.tenant_store import TenantStore
from tenancy.analytics.types import MOST_SHARDS, DatasetKind, dataset_name, shard_name, stored_id

_log = logging.getLogger(__name__)


def members(backing: Backing, tenant: str, shards: int) -> list[str]:
    """The shards that take part when `tenant` gets `shards`: those it has had, and those it will have.

    Raises InvalidRequestError for a number that no tenant may have, UnknownNameError for the tenant.
    """
    if not 1 <= shards <= MOST_SHARDS:
        raise InvalidRequestError("shards", shards, f"give 1 to {MOST_SHARDS}")
    if shards > 1 and len(tenant) > 60:
        raise InvalidRequestError("tenant", tenant, "a sharded tenant has a name of 60 characters at most")
    backing.catalog.tenant(tenant)
    layout = backing.catalog.layouts(tenant)[-1]
    return [shard_name(tenant, index) for index in range(max(layout.members, shards))]


def reshard(
    backing: Backing,
    config: AnalyticsConfig,
    clock: Clock,
    tenant: str,
    shards: int,
    keys: Mapping[str, str] | None = None,
    reached: Callable[[str], None] = lambda _: None,
) -> ShardLayout:
    """Spread what `tenant` collects from now on over `shards`; returns the layout of now. Blocks.

    Takes every shard over, which ends its owners, so nobody may open them meanwhile, or ConflictError is raised and
    nothing is changed. `keys` are fields of events by dataset, to hash in place of `user_id`. `reached` is told each
    step. Again with what is there already, nothing is done.
    """
    names = members(backing, tenant, shards)
    catalog = backing.catalog
    before = catalog.layouts(tenant)[-1]
    chosen = {**before.keys, **{dataset_name(name): key for name, key in (keys or {}).items()}}
    if before.shards == shards and before.keys == chosen:
        return before
    datasets = catalog.tenant(tenant).datasets()
    for schema in datasets if len(names) > 1 else []:
        expect_plain(schema)
    record = catalog.tenant(tenant).record()
    limits = record.limits if record.limits is not None else record.settings.get("limits")
    for name in names[before.members :]:
        if not catalog.has_tenant(name):
            catalog.create_tenant(stored_id(name), {"limits": limits} if limits else {})
        backing.keys.create(name)
    reached("made")
    epochs = {name: _sealed(backing, config, clock, name) for name in names}
    reached("sealed")
    window = timedelta(hours=config.data_collection.dedup_window_hours)
    events = [schema.name for schema in datasets if schema.kind is not DatasetKind.DIMENSION]
    runs = _copied(backing, names, names[:shards], events, clock.now() - window)
    reached("copied")
    layout = ShardLayout(before.version + 1, shards, len(names), chosen, clock.now())
    catalog.change_layout(tenant, layout, epochs, runs)
    reached("switched")
    _log.info("tenant %r has %d shards now, under layout %d", tenant, shards, layout.version)
    return catalog.layouts(tenant)[-1]


def _sealed(backing: Backing, config: AnalyticsConfig, clock: Clock, name: str) -> int:
    """Take a shard over, recover what its log has, write everything into segments; returns the epoch of that."""
    window = timedelta(hours=config.data_collection.dedup_window_hours)
    rows = backing.catalog.tenant(name)
    with (
        ThreadPoolExecutor(1, "seal") as crew,
        TenantStore.open(name, rows, backing.filesystem, config.storage, window, clock, crew, host="") as store,
    ):
        for schema in rows.datasets():
            store.dataset(schema.name).flush()  # IntegrityError where it is damaged: its ids are not known then
        return store.epoch


def _copied(
    backing: Backing, sources: list[str], targets: list[str], datasets: list[str], since: datetime
) -> dict[str, list[tuple[str, DedupRun]]]:
    """Every run of ids accepted at `since` or later, written for each target that does not have it.

    A copy has the id of its original, so what was copied for an earlier layout is not copied again.
    """
    copies: dict[str, list[tuple[str, DedupRun]]] = {target: [] for target in targets}
    for dataset in datasets:
        held = {name: backing.catalog.tenant(name).dedup_runs(dataset, since) for name in sources}
        there = {name: {run.id for run in runs} for name, runs in held.items()}
        originals = {run.id: run for runs in held.values() for run in runs}
        for run in originals.values():
            lacking = [target for target in targets if run.id not in there[target]]
            if not lacking:
                continue
            with backing.filesystem.open(run.url, "rb") as file:
                data = file.read()
            for target in lacking:
                url = f"tenancy://{target}/{dataset}/ids/{run.id}.ids"
                with suppress(FileNotFoundError):  # of an attempt that came to nothing
                    backing.filesystem.rm_file(url)
                backing.filesystem.write_durable(url, data)
                copies[target].append((dataset, replace(run, url=url)))
    return copies
