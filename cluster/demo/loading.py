"""Brings both tenants' data in: as streams over HTTP, and the departures once more as a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cluster.client import Client
from cluster.demo.report import Load
from cluster.demo.streaming import Streamed, stream
from cluster.ingestion import Loader
from cluster.ingestion import Progress as Loaded
from cluster.output import Output
from examples.flights import Flights, ndjson
from examples.music import Music

FLIGHTS, MUSIC = "flights", "tenant_001"

BATCH_ROWS = 5_000
_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Data:
    """All that is brought in, ready to be sent, so that the service is measured and not the making of bodies."""

    flights: Flights
    bodies: tuple[bytes, ...]
    """The departures as NDJSON."""
    music: Music
    plays: tuple[bytes, ...]

    @classmethod
    def ready(cls, flights: Flights, music: Music) -> Data:
        """The bodies of both streams."""
        bodies = tuple(ndjson(flights.departures, BATCH_ROWS))
        return cls(flights, bodies, music, tuple(music.batches(BATCH_ROWS)))


class Producer:
    """Sends rows with a tenant's own writer key."""

    def __init__(self, url: str, keys: dict[str, str], output: Output) -> None:
        self._url = url
        self._keys = keys
        self._output = output

    def tables(self, data: Data) -> list[Load]:
        """What the events refer to."""
        songs = pa.Table.from_pylist(list(data.music.songs))
        found = [(FLIGHTS, name, getattr(data.flights, name)) for name in ("airlines", "airports", "planes")]
        return [
            self.streamed(tenant, dataset, tuple(ndjson(table, BATCH_ROWS)), table.num_rows)
            for tenant, dataset, table in (*found, (MUSIC, "songs", songs))
        ]

    def streamed(self, tenant: str, dataset: str, bodies: Iterable[bytes], rows: int) -> Load:
        """Bodies over HTTP, to the applications that only collect."""
        # What heavy producers use: a fleet of its own, at /ingest.
        with Client(f"{self._url}/ingest", self._keys[tenant]) as client, self._bar(dataset, rows) as told:
            sent: Streamed = stream(
                client, tenant, dataset, bodies, name=f"demo-{dataset}", connections=_CONNECTIONS, told=told
            )
        return Load.of(tenant, dataset, "stream", sent)

    def file(self, data: Data, folder: Path) -> Load:
        """The departures from a Parquet file, as `tenancy ingest` does it."""
        path = folder / "flights.parquet"
        pq.write_table(data.flights.departures, path)
        tenant, dataset, loaded = FLIGHTS, "flights_file", Loaded()
        began = time.monotonic()
        with (
            Client(self._url, self._keys[tenant]) as client,
            self._bar(dataset, data.flights.departures.num_rows) as told,
        ):
            before = 0
            for loaded in Loader(client, tenant, dataset, batch_rows=BATCH_ROWS, concurrency=_CONNECTIONS).load(path):
                told(loaded.rows - before)
                before = loaded.rows
        seconds = time.monotonic() - began
        counts = dict(loaded.counts)
        return Load(tenant, dataset, "file", loaded.rows, seconds, counts, {}, loaded.waits)

    @contextmanager
    def _bar(self, name: str, rows: int) -> Iterator[Callable[[int], None]]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        hidden = self._output.as_json or rows < BATCH_ROWS
        with Progress(*columns, console=self._output.errors, disable=hidden, transient=True) as bar:
            task = bar.add_task(name, total=rows)
            yield lambda more: bar.advance(task, more)
