"""Sends the batches of a file, several at a time, so that a break at any moment costs and repeats nothing.

A batch carries an idempotency key made of the file's fingerprint and the batch's first row: sent again, it is
counted once. How far every batch has its receipt is kept by the service as the source's offset, so a load that
is started again goes on from there, from any machine, also when the keys are long forgotten.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.client import Client, RefusedError
from cluster.ingestion.batches import Batch, batches, fingerprint
from cluster.ingestion.offset import Offset
from tenancy.analytics.errors import UnavailableError

_NOTE_EVERY_S = 1.0
_MOST_REFUSALS_KEPT = 1_000


@dataclass(slots=True)
class Progress:
    """A load so far."""

    rows: int = 0
    """Rows that have a receipt, from this run."""
    skipped: int = 0
    """Rows an earlier run had receipts for."""
    done: float = 0.0
    """The share of the file, from 0 to 1."""
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[dict[str, Any]] = field(default_factory=list)
    """Receipts of quarantined rows, numbered as in the file; the first thousand."""
    waits: int = 0
    """How often the service asked to wait."""


class Loader:
    """Loads one file into one dataset."""

    def __init__(
        self,
        client: Client,
        tenant: str,
        dataset: str,
        *,
        batch_rows: int = 5_000,
        concurrency: int = 4,
        patience_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._tenant = tenant
        self._dataset = dataset
        self._batch_rows = batch_rows
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._sleep = sleep

    def load(self, path: Path) -> Iterator[Progress]:
        """Sends what is missing, telling how far it is after every batch.

        Raises RefusedError when the service says no for good, UnavailableError when it cannot be reached for
        `patience_s`, InvalidRequestError and UnsupportedMediaError for a file that cannot be read.
        """
        source = f"file:{self._dataset}:{fingerprint(path)}"
        offset = self._resume(source)
        progress = Progress(skipped=offset.rows)
        noted_at = time.monotonic()
        for batch, receipts in self._sent(path, source, offset):
            self._add(progress, batch, receipts)
            offset = Offset(batch.start + batch.rows, offset.batch_rows)
            if time.monotonic() - noted_at >= _NOTE_EVERY_S:
                self._note(source, offset)
                noted_at = time.monotonic()
            yield progress
        self._note(source, offset)
        progress.done = 1.0
        yield progress

    def _sent(self, path: Path, source: str, offset: Offset) -> Iterator[tuple[Batch, dict[str, Any]]]:
        """Batches with their receipts, in order, while the next ones are under way."""
        under_way: deque[tuple[Batch, Future[dict[str, Any]]]] = deque()
        with ThreadPoolExecutor(self._concurrency, "ingest") as pool:
            try:
                for batch in batches(path, offset.batch_rows, offset.rows):
                    if len(under_way) >= self._concurrency:
                        first, receipts = under_way.popleft()
                        yield first, receipts.result()
                    under_way.append((batch, pool.submit(self._send, batch, source)))
                while under_way:
                    first, receipts = under_way.popleft()
                    yield first, receipts.result()
            finally:
                for _, receipts in under_way:
                    receipts.cancel()

    def _send(self, batch: Batch, source: str) -> dict[str, Any]:
        """One batch, until the service takes it."""
        deadline = time.monotonic() + self._patience_s
        waits = 0
        while True:
            try:
                receipts: dict[str, Any] = self._client.call(
                    "POST",
                    *("tenants", self._tenant, "datasets", self._dataset, "events"),
                    body=batch.body,
                    content_type=batch.content_type,
                    headers={"Idempotency-Key": f"{source}:{batch.start}:{batch.rows}"},
                    parameters={"source": "files"},
                )
                return {**receipts, "waits": waits}
            except RefusedError as error:
                pause = error.retry_after_s
                if pause is None or time.monotonic() + pause > deadline:
                    raise
            except UnavailableError:
                pause = min(0.25 * 2**waits, 5.0)
                if time.monotonic() + pause > deadline:
                    raise
            waits += 1
            self._sleep(pause)

    def _resume(self, source: str) -> Offset:
        found = self._client.call("GET", "tenants", self._tenant, "sources", source)["offset"]
        if found is not None:
            return Offset.parse(found)
        offset = Offset(0, self._batch_rows)
        # Noted before the first batch, so that a load that breaks in it is cut alike when it is started again.
        self._note(source, offset)
        return offset

    def _note(self, source: str, offset: Offset) -> None:
        self._client.call("PUT", "tenants", self._tenant, "sources", source, json={"offset": str(offset)})

    def _add(self, progress: Progress, batch: Batch, receipts: dict[str, Any]) -> None:
        progress.rows += receipts["rows"]
        progress.counts.update(receipts["counts"])
        progress.waits += receipts["waits"]
        progress.done = batch.done
        for receipt in receipts["receipts"]:
            if receipt["status"] == "quarantined" and len(progress.refused) < _MOST_REFUSALS_KEPT:
                line = {"line": batch.start + receipt["line"]} if "line" in receipt else {}
                progress.refused.append({**receipt, **line, "index": batch.start + receipt["index"]})
