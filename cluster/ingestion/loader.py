"""Sends the batches of a file, several at a time, so that a break costs little and repeats nothing.

A batch carries an idempotency key made of the file's fingerprint, its first row and its number of rows: sent again,
it is counted once. The service keeps, as the source's offset, up to where every batch has its receipt and up to where
batches may have been sent; a load that is started again, from any machine, sends what lies between with the same cut
and goes on from there with the batch size it is given.

The offset is noted once a second and when the loader gives up. What was acknowledged after the last note (the last
second of a load that was killed, or batches around one that failed) rests on its idempotency keys, and those are
remembered for `data_collection.dedup_window_hours`: started again within that time, every row is counted once; later,
those rows may be counted again. A batch too large for the service is sent in halves, whose keys are found again only
while `data_collection.max_body_bytes` is what it was.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import Any

from cluster.client import Client, RefusedError
from cluster.ingestion.batches import Batch, batches, fingerprint, halves
from cluster.ingestion.offset import Offset
from cluster.ingestion.patience import patiently
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.errors import UnavailableError

_NOTE_EVERY_S = 1.0
_BATCHES_AHEAD = 64
"""So many batches may be sent before the next note says that they may have been."""
_MOST_REFUSALS_KEPT = 1_000
_TOO_LARGE = 413
_NOTHING_TAKEN = frozenset({400, 401, 403, 404, _TOO_LARGE, 415})
"""Answers given before the first row is looked at."""

Receipts = dict[str, Any]


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
    """How often a batch had to be sent again after a pause."""


@dataclass(slots=True)
class _Sending:
    """A batch under way."""

    batch: Batch
    answers: Future[list[tuple[Batch, Receipts]]] = field(init=False)
    perhaps_taken: bool = False
    """Whether any of its rows may be stored, whatever the answer was."""
    waits: int = 0

    @property
    def end(self) -> int:
        return self.batch.start + self.batch.rows


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
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._tenant = tenant
        self._dataset = dataset
        self._batch_rows = batch_rows
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._clock = clock or SystemClock()
        self._sleep = sleep

    def load(self, path: Path) -> Iterator[Progress]:
        """Sends what is missing, telling how far it is after every batch.

        Raises RefusedError when the service says no for good, UnavailableError when it cannot be reached for
        `patience_s`, InvalidRequestError and UnsupportedMediaError for a file that cannot be read.
        """
        source = f"file:{self._dataset}:{fingerprint(path)}"
        offset = self._resume(source)
        progress = Progress(skipped=offset.rows)
        if offset.batch_rows != self._batch_rows:
            if offset.until > offset.rows:
                # Finished before anything is cut anew, so that one size is enough to know what may have been sent.
                offset = yield from self._section(path, source, offset, progress, offset.until)
            offset = Offset(offset.rows, self._batch_rows, offset.rows)
        yield from self._section(path, source, offset, progress)
        progress.done = 1.0
        yield progress

    def _section(
        self, path: Path, source: str, offset: Offset, progress: Progress, end: int | None = None
    ) -> Generator[Progress, None, Offset]:
        """Loads from `offset` on, up to row `end`, in batches of one size; returns the offset it came to."""
        under_way: deque[_Sending] = deque()
        giving_up = Event()
        noted_at, sent_before = self._clock.monotonic(), offset.until
        found = batches(path, offset.batch_rows, offset.rows)
        with ThreadPoolExecutor(self._concurrency, "ingest") as pool:
            try:
                for batch in found if end is None else takewhile(lambda batch: batch.start < end, found):
                    if len(under_way) >= self._concurrency:
                        offset = self._settle(under_way, offset, progress)
                        yield progress
                    sending = _Sending(batch)
                    if sending.end > offset.until or self._clock.monotonic() - noted_at >= _NOTE_EVERY_S:
                        reach = batch.start + _BATCHES_AHEAD * offset.batch_rows
                        offset = replace(offset, until=max(offset.until, reach))
                        self._note(source, offset)
                        noted_at = self._clock.monotonic()
                    sending.answers = pool.submit(self._send, sending, source, giving_up)
                    under_way.append(sending)
                while under_way:
                    offset = self._settle(under_way, offset, progress)
                    yield progress
                offset = replace(offset, until=offset.rows)
                self._note(source, offset)
            except BaseException as error:
                giving_up.set()
                self._give_up(source, offset, sent_before, under_way, error)
                raise
        return offset

    def _settle(self, under_way: deque[_Sending], offset: Offset, progress: Progress) -> Offset:
        """Waits for the oldest batch. It stays in `under_way` when it failed."""
        sending = under_way[0]
        for batch, receipts in sending.answers.result():
            self._add(progress, batch, receipts)
        progress.waits += sending.waits
        under_way.popleft()
        return replace(offset, rows=sending.end)

    def _give_up(
        self, source: str, offset: Offset, sent_before: int, under_way: deque[_Sending], why: BaseException
    ) -> None:
        """Notes how far the load came, once, now that `why` ends it; earlier runs came to row `sent_before`."""
        # The newest first: a worker that becomes free meanwhile takes the oldest, which leaves no gap.
        wait([sending.answers for sending in reversed(under_way) if not sending.answers.cancel()])
        rows, until = offset.rows, sent_before
        for sending in under_way:
            taken = not sending.answers.cancelled() and sending.answers.exception() is None
            if taken and sending.batch.start == rows:
                rows = sending.end
            if taken or sending.perhaps_taken:
                until = max(until, sending.end)
        try:
            self._note(source, replace(offset, rows=rows, until=max(rows, until)), patience_s=0.0)
        except (RefusedError, UnavailableError) as error:
            why.add_note(f"how far the load came could not be noted: {error}")

    def _send(self, sending: _Sending, source: str, giving_up: Event) -> list[tuple[Batch, Receipts]]:
        """One batch, until the service takes it; in halves where it is too large."""
        waiting, answers = deque([sending.batch]), []
        while waiting:
            batch = waiting.popleft()
            try:
                answers.append((batch, self._send_whole(batch, sending, source, giving_up)))
            except RefusedError as error:
                if error.status != _TOO_LARGE or batch.rows == 1:
                    raise
                waiting.extendleft(reversed(halves(batch)))
        return answers

    def _send_whole(self, batch: Batch, sending: _Sending, source: str, giving_up: Event) -> Receipts:
        def attempt() -> Receipts:
            before, sending.perhaps_taken = sending.perhaps_taken, True
            try:
                receipts: Receipts = self._client.call(
                    "POST",
                    *("tenants", self._tenant, "datasets", self._dataset, "events"),
                    body=batch.body,
                    content_type=batch.content_type,
                    headers={"Idempotency-Key": f"{source}:{batch.start}:{batch.rows}"},
                    parameters={"source": "files"},
                )
            except RefusedError as error:
                if error.status in _NOTHING_TAKEN:
                    sending.perhaps_taken = before
                raise
            return receipts

        def pause(seconds: float) -> None:
            sending.waits += 1
            self._sleep(seconds)

        return patiently(attempt, self._patience_s, self._clock, pause, lambda: not giving_up.is_set())

    def _resume(self, source: str) -> Offset:
        place = ("tenants", self._tenant, "sources", source)
        found = patiently(lambda: self._client.call("GET", *place), self._patience_s, self._clock, self._sleep)
        return Offset(0, self._batch_rows, 0) if found["offset"] is None else Offset.parse(found["offset"])

    def _note(self, source: str, offset: Offset, patience_s: float | None = None) -> None:
        place, noted = ("tenants", self._tenant, "sources", source), {"offset": str(offset)}
        patience_s = self._patience_s if patience_s is None else patience_s
        patiently(lambda: self._client.call("PUT", *place, json=noted), patience_s, self._clock, self._sleep)

    def _add(self, progress: Progress, batch: Batch, receipts: Receipts) -> None:
        progress.rows += receipts["rows"]
        progress.counts.update(receipts["counts"])
        progress.done = batch.done
        for receipt in receipts["receipts"]:
            if receipt["status"] == "quarantined" and len(progress.refused) < _MOST_REFUSALS_KEPT:
                line = {"line": batch.start + receipt["line"]} if "line" in receipt else {}
                progress.refused.append({**receipt, **line, "index": batch.start + receipt["index"]})
