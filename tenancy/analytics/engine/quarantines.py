"""What was refused: shown page by page, and collected again once the schema or the rules have changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.collection import REPLAYED, DataCollector, pending
from tenancy.analytics.engine.pieces import merged
from tenancy.analytics.engine.stored_rows import StoredRows
from tenancy.analytics.query.filters import MAX_VALUES
from tenancy.analytics.schema import EVENT_ID, INGEST_TIME
from tenancy.analytics.types import Receipts, quarantine_of

if TYPE_CHECKING:
    pass

_ERROR_CODE = "error_code"


class Quarantines:
    """The quarantines of one tenant."""

    def __init__(self, rows: StoredRows, collector: DataCollector, piece_rows: int) -> None:
        self._rows = rows
        self._collector = collector
        self._piece_rows = piece_rows

    def replay(self, dataset: str, limit: int) -> Receipts:
        """Collect up to `limit` pending rows again, oldest first; blocks until they are durable.

        Each keeps its id, so a repetition after a failure stores none twice. What fails again stays pending.
        """
        name = quarantine_of(dataset)
        known = self._rows.columns(name, [EVENT_ID, INGEST_TIME, _ERROR_CODE])
        oldest = pending(known).sort_by([(INGEST_TIME, "ascending"), (EVENT_ID, "ascending")]).slice(0, limit)
        # The rows themselves are read piece by piece: a quarantine may be larger than memory.
        pieces = range(0, oldest.num_rows, self._piece_rows)
        parts = [self._replayed(name, dataset, oldest.slice(at, self._piece_rows)[EVENT_ID]) for at in pieces]
        return merged(parts) if parts else Receipts(rows=0)

    def _replayed(self, name: str, dataset: str, ids: pa.ChunkedArray) -> Receipts:
        wanted = pc.field(EVENT_ID).isin(ids.combine_chunks()) & (pc.field(_ERROR_CODE) != REPLAYED)
        rows = self._rows.columns(name, [EVENT_ID, INGEST_TIME, _ERROR_CODE, "raw"], wanted)
        return self._collector.replay(dataset, rows.sort_by([(INGEST_TIME, "ascending")])).result()


def page_request(rows: StoredRows, dataset: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """The query for a page of what `dataset` refused and has not collected since, as `rows` know it."""
    marked = pc.field(_ERROR_CODE) == REPLAYED
    done = rows.columns(quarantine_of(dataset), [EVENT_ID, _ERROR_CODE], marked)[EVENT_ID].to_pylist()
    filters: list[dict[str, Any]] = [{"field": _ERROR_CODE, "op": "ne", "value": REPLAYED}]
    filters += [{"field": EVENT_ID, "op": "not_in", "value": ids} for ids in _in_parts(iter(done))]
    return {
        "type": "rows",
        "dataset": quarantine_of(dataset),
        "filters": filters,
        "order": [f"-{INGEST_TIME}", EVENT_ID],
        "limit": limit,
        "cursor": cursor,
    }


def _in_parts(ids: Iterator[str]) -> Iterator[list[str]]:
    while part := list(islice(ids, MAX_VALUES)):
        yield part
