"""Takes in one tenant's data: reads, checks, enriches, deduplicates, and answers for every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock

import pyarrow as pa

from tenancy.analytics.clock import Clock
from tenancy.analytics.collection import refusals
from tenancy.analytics.collection.admission import Admission, Room
from tenancy.analytics.collection.anomaly import WARNINGS, Monitor
from tenancy.analytics.collection.batch import Batch, settle
from tenancy.analytics.collection.checks import check
from tenancy.analytics.collection.codec import encode
from tenancy.analytics.collection.dataset import DatasetState, enriched
from tenancy.analytics.collection.enrichment import Lookups, Recent, no_history, no_lookups
from tenancy.analytics.collection.once import Once, expect_key, started_future
from tenancy.analytics.collection.payload import Payload
from tenancy.analytics.collection.portion import Portion, Renumbered
from tenancy.analytics.collection.quarantine import markers
from tenancy.analytics.collection.reader import Limits, one_line_each, read, read_lines
from tenancy.analytics.collection.reading import Reading
from tenancy.analytics.collection.sink import EventSink
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.errors import AnalyticsError, UnavailableError
from tenancy.analytics.schema import EVENT_ID, DatasetSchema, FieldSpec
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord
from tenancy.analytics.types import DataSourceType, Receipts, ReceiptStatus, dataset_name

_MOST_ATTEMPTS = 10


class DataCollector:
    """Collects into the datasets of one tenant. Safe to call from several threads.

        collector = DataCollector("tenant_001", store.dataset, CollectionConfig(), SystemClock())
        receipts = collector.collect("plays", Payload.of({"song": 1}), source=DataSourceType.API).result()

    `sink` gives the store of a dataset and raises UnknownNameError for one that is not there. `lookups` and
    `recent` are for enrichment: the rows of a dimension table, and stored events. `create` makes the dataset
    `collection_warnings` when there is the first warning to keep; without it none are kept.
    """

    def __init__(
        self,
        tenant: str,
        sink: Callable[[str], EventSink],
        config: CollectionConfig,
        clock: Clock,
        lookups: Lookups = no_lookups,
        recent: Recent = no_history,
        create: Callable[[DatasetSchema], EventSink] | None = None,
    ) -> None:
        self._tenant = tenant
        self._sink = sink
        self._config = config
        self._clock = clock
        self._lookups, self._recent, self._create = lookups, recent, create
        self._limits = Limits(config.max_row_bytes, config.max_depth)
        self._admission = Admission(tenant, config.buffer_size, config.max_in_flight_bytes, clock)
        self._once = Once()
        self._states: dict[str, DatasetState] = {}
        self._states_lock = Lock()
        self._counts: Counter[tuple[str, DataSourceType, ReceiptStatus]] = Counter()
        self._monitor = Monitor() if config.anomaly_detection_enabled and create is not None else None

    def enter(self, payload: Payload) -> Room:
        """Counts a body that waits for `collect` among the bytes in flight; its caller gives the room back.

        Never blocks, so that an event loop may ask. Raises PayloadTooLargeError and BackpressureError.
        """
        self._expect_size(payload)
        return self._admission.enter(payload.nbytes)

    def collect(
        self,
        dataset: str,
        payload: Payload,
        *,
        source: DataSourceType,
        idempotency_key: str | None = None,
        portion: Portion | None = None,
    ) -> Future[Receipts]:
        """Reads and checks now; the future is done once every row is durable and visible to queries.

        A bad row is quarantined and told in its receipt. Raised are: UnknownNameError; InvalidRequestError
        for a body that cannot be read as a whole; PayloadTooLargeError; BackpressureError, with nothing done;
        IdempotencyMismatchError. From the future: what the storage raises, as StorageFullError; nothing of
        the call is kept then, and it may be repeated. `portion` is given where the rows are a part of a call.
        """
        name = dataset_name(dataset)
        self._expect_size(payload)
        sink = self._sink(name)
        if idempotency_key is None:
            return self._counted(name, source, self._admitted(name, sink, payload, None, portion))
        expect_key(idempotency_key)
        fingerprint = payload.fingerprint(name) if portion is None else portion.fingerprint
        key = (idempotency_key, fingerprint)
        return self._once.run(
            sink,
            name,
            *key,
            first=lambda: self._counted(name, source, self._admitted(name, sink, payload, key, portion)),
        )

    def prepare(self, dataset: str) -> None:
        """Give the dataset the columns that its enrichment will fill."""
        name = dataset_name(dataset)
        sink = self._sink(name)
        state = self._state(name, sink)
        for _ in range(_MOST_ATTEMPTS):
            schema = sink.schema
            written = {column: spec for step in state.steps(schema) for column, spec in step.columns.items()}
            new = {column: spec for column, spec in written.items() if column not in schema.fields}
            if not new or state.grow(sink, schema, new):
                return

    def grow(self, dataset: str, seen: DatasetSchema, new: Mapping[str, FieldSpec]) -> bool:
        """Add columns that rows read elsewhere brought; False where the schema is no longer the one `seen` there."""
        name = dataset_name(dataset)
        sink = self._sink(name)
        return self._state(name, sink).grow(sink, seen, new)

    def replay(self, dataset: str, rows: pa.Table) -> Future[Receipts]:
        """Collects rows of the dataset's quarantine again, each under its own id, so that none is stored twice.

        Rows that pass, and rows that were stored before, are marked in the quarantine and no longer pending
        (see `quarantine.pending`); what fails again stays there, and its receipt has the new reason.
        """
        name = dataset_name(dataset)
        sink = self._sink(name)
        raws = [raw or b"" for raw in rows["raw"].to_pylist()]
        body, lines = one_line_each(raws)
        ids = rows[EVENT_ID].combine_chunks()
        ids = pa.concat_arrays(ids.chunks) if isinstance(ids, pa.ChunkedArray) else ids
        cut = [row for row, code in enumerate(rows["error_code"].to_pylist()) if code == "too_large"]

        def again(state: DatasetState, schema: DatasetSchema) -> Reading:
            reading, layout = read_lines(body, lines, state.layout(schema), self._limits)
            state.learn(layout)
            limit = self._limits.max_row_bytes
            too_large = {row: refusals.too_large(raws[row], limit) for row in cut}
            return replace(reading, ids=ids, refusals={**reading.refusals, **too_large})

        ticket = self._admission.admit(sink, len(raws), len(body))
        try:
            now = self._clock.now()
            batch, schema = self._settled(name, sink, again, now)
            with _claims_of(batch, sink):
                stored = pa.concat_arrays([batch.claimed, batch.repeated])
                marked = markers(stored, now, schema) if len(stored) else None
            done = self._append(sink, replace(batch, quarantined=marked), None)
        except BaseException:
            ticket.done()
            raise
        done.add_done_callback(ticket.done)
        return done

    def _expect_size(self, payload: Payload) -> None:
        payload.expect_within(self._config.max_body_bytes)

    def _admitted(
        self,
        name: str,
        sink: EventSink,
        payload: Payload,
        key: tuple[str, bytes] | None,
        portion: Portion | None = None,
    ) -> Future[Receipts]:
        ticket = self._admission.admit(sink, payload.rows_at_most, payload.nbytes)

        def reading(state: DatasetState, schema: DatasetSchema) -> Reading:
            found, layout = read(payload, state.layout(schema), self._limits)
            state.learn(layout)
            lines = None if portion is None else portion.lines
            return found if lines is None else replace(found, raw=Renumbered(found.raw, lines))

        try:
            now = self._clock.now()
            batch, _ = self._settled(name, sink, reading, now, None if portion is None else portion.watermark)
            record = None
            if key is not None:
                with _claims_of(batch, sink):
                    record = IdempotencyRecord(key[0], key[1], encode(batch.receipts), now)
            done = self._append(sink, batch, record)
        except BaseException:
            ticket.done()
            raise
        done.add_done_callback(ticket.done)
        self._observe(name, batch, now)
        return done

    def _counted(self, name: str, source: DataSourceType, answer: Future[Receipts]) -> Future[Receipts]:
        def count(done: Future[Receipts]) -> None:
            if done.exception() is None:
                with self._states_lock:
                    for status, rows in done.result().counts().items():
                        self._counts[name, source, ReceiptStatus(status)] += rows

        answer.add_done_callback(count)
        return answer

    def counts(self) -> Mapping[tuple[str, DataSourceType, ReceiptStatus], int]:
        """Rows answered since this collector was made, by dataset, source and status."""
        with self._states_lock:
            return dict(self._counts)

    def _settled(
        self,
        name: str,
        sink: EventSink,
        reading: Callable[[DatasetState, DatasetSchema], Reading],
        now: datetime,
        newest: datetime | None = None,
    ) -> tuple[Batch, DatasetSchema]:
        state = self._state(name, sink)
        for _ in range(_MOST_ATTEMPTS):
            schema = sink.schema
            steps = state.steps(schema)
            found = reading(state, schema)
            written = {column: spec for step in steps for column, spec in step.columns.items()}
            new = {column: spec for column, spec in {**found.grown, **written}.items() if column not in schema.fields}
            if not new:
                break
            # Another thread may have grown the schema since: then these rows must be read under that one.
            if state.grow(sink, schema, new):
                schema = sink.schema
                break
        else:
            raise UnavailableError(f"dataset {name!r}", "its schema is being changed by many calls at once")
        config = self._config
        future = timedelta(hours=config.max_future_hours)
        # A clock that was set back must not refuse events of right now as being of the future.
        checked = check(found, schema, max(now, self._clock.steady()), future, config.quality_checks_enabled)
        watermark = max((seen for seen in (sink.watermark, newest) if seen is not None), default=None)
        batch = settle(found, checked, schema, now, watermark, sink.claim, config.max_row_bytes)
        if steps and batch.events.num_rows:
            with _claims_of(batch, sink):
                batch = replace(batch, events=enriched(batch.events, steps))
        return batch, schema

    def _append(self, sink: EventSink, batch: Batch, record: IdempotencyRecord | None) -> Future[Receipts]:
        answer = started_future()
        if not batch.receipts.rows and record is None:
            answer.set_result(batch.receipts)
            return answer

        def finish(done: Future[None]) -> None:
            error = done.exception()
            if error is None:
                answer.set_result(batch.receipts)
            else:
                answer.set_exception(error)

        # Duplicates alone are appended as well, as nothing: the answer waits for the rows they repeat, which
        # may be on their way, and fails with them.
        with _claims_of(batch, sink):
            stored = sink.append(Append(batch.events, batch.claimed, batch.quarantined, record))
        stored.add_done_callback(finish)
        return answer

    def _state(self, name: str, sink: EventSink) -> DatasetState:
        with self._states_lock:
            state = self._states.get(name)
            if state is None:
                state = DatasetState(sink.schema, self._clock, self._lookups, self._recent)
                self._states[name] = state
            return state

    def _observe(self, name: str, batch: Batch, now: datetime) -> None:
        if self._monitor is None or self._create is None or name == WARNINGS.name:
            return
        found = self._monitor.observe(name, batch.events, now)
        if not found:
            return
        rows = Payload.of([warning.row() for warning in found])
        monitor = self._monitor

        def told(done: Future[Receipts]) -> None:
            if done.exception() is not None:
                monitor.forget(found)

        # Never at the cost of the data that was collected: what cannot be told now is told again when it lasts.
        try:
            self._admitted(WARNINGS.name, self._create(WARNINGS), rows, None).add_done_callback(told)
        except AnalyticsError:
            monitor.forget(found)


@contextmanager
def _claims_of(batch: Batch, sink: EventSink) -> Iterator[None]:
    """A step between claiming and storing: when it fails, the ids are given back, or a retry would be a duplicate."""
    try:
        yield
    except BaseException:
        sink.release(batch.claimed)
        raise
