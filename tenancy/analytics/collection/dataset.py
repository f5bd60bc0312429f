"""What a collector remembers of one dataset between batches; all of it can be built again."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.clock import Clock
from tenancy.analytics.collection.enrichment import Context, Lookups, Recent, Step, build
from tenancy.analytics.collection.layout import Layout
from tenancy.analytics.collection.sink import EventSink
from tenancy.analytics.schema import DatasetSchema, FieldSpec


class DatasetState:
    """The layout learned so far, and the enrichment steps."""

    def __init__(self, schema: DatasetSchema, clock: Clock, lookups: Lookups, recent: Recent) -> None:
        self._layout = Layout(schema)
        self._clock, self._lookups, self._recent = clock, lookups, recent
        self._steps: tuple[DatasetSchema, tuple[Step, ...]] | None = None
        self._lock = Lock()

    def layout(self, schema: DatasetSchema) -> Layout:
        """What is known of the shapes of JSON, under this version of the schema."""
        return self._layout.of(schema)

    def learn(self, layout: Layout) -> None:
        """Threads may each have learned something: the last one's is kept, the others' learned again."""
        self._layout = layout

    def steps(self, schema: DatasetSchema) -> tuple[Step, ...]:
        """The enrichment steps; built again only when what is declared has changed."""
        if not schema.enrichments:
            return ()
        with self._lock:
            known = self._steps
            if known is None or known[0].enrichments != schema.enrichments:
                known = self._steps = (schema, build(Context(schema, self._clock, self._lookups, self._recent)))
            return known[1]

    def grow(self, sink: EventSink, seen: DatasetSchema, new: Mapping[str, FieldSpec]) -> bool:
        """Adds columns to the dataset; False when its schema is no longer the one that `seen` is."""
        with self._lock:
            if sink.schema != seen:
                return False
            sink.evolve(seen.with_fields(new))
            return True


def enriched(events: pa.Table, steps: tuple[Step, ...]) -> pa.Table:
    """The events with the columns of every step, in order; a value that came with the event is kept."""
    for step in steps:
        for name, values in step.apply(events).items():
            at = events.schema.get_field_index(name)
            events = events.set_column(at, events.schema.field(at), pc.coalesce(events[name], values))
    return events
