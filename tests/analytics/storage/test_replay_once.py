"""Replay is once: an owner may die at any call, and every acknowledged row is there exactly once afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord
from tenancy.analytics.storage.segments import read_rows
from tenancy.analytics.storage.store import DatasetStore
from tenancy.analytics.storage.tenant_store import TenantStore

TENANT = "tenant_001"
Death = Literal["before", "after", "torn"]

WATCHED = {
    "write_durable", "open", "rm_file", "ls", "commit", "epoch", "raise_epoch", "save_dataset",
    "expire", "dead_segments", "forget_dead", "segments", "dedup_runs", "wal_position",
}  # fmt: skip
"""What touches the disk or the catalog: a process can die before and after each."""


class DeadError(Exception):
    """The process is no more: this call and all that follow do nothing."""


@dataclass
class Fuse:
    """Burns with every watched call; at the last one the process dies."""

    calls: int
    death: Death
    place: Any
    dead: bool = False
    log: list[str] = field(default_factory=list)

    def call(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.dead:
            raise DeadError(name)
        self.calls -= 1
        self.log.append(name)
        if self.calls:
            return real(*args, **kwargs)
        self.dead = True
        if self.death != "before":
            real(*args, **kwargs)
        if self.death == "torn" and name == "write_durable":
            (path,) = self.place.root.rglob(args[0].rpartition("/")[2])
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        raise DeadError(name)


class Mortal:
    """Stands before the filesystem or the catalog of a process that may die."""

    def __init__(self, real: Any, fuse: Fuse) -> None:
        self._real, self._fuse = real, fuse

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in WATCHED:
            return real
        return lambda *args, **kwargs: self._fuse.call(name, real, *args, **kwargs)


@dataclass
class Client:
    """Sends batches until they are acknowledged, as a careful caller does, and remembers what was."""

    place: Any
    acknowledged: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    """Acknowledged ids that were claimed."""
    unsure: list[tuple[str, int, bool]] = field(default_factory=list)
    sent: int = 0

    def send(self, store: DatasetStore, rows: int, keyed: bool) -> None:
        name = f"{self.sent:03d}"
        self.sent += 1
        self.unsure.append((name, rows, keyed))
        self.deliver(store, name, rows, keyed)
        self.unsure.remove((name, rows, keyed))

    def repeat(self, store: DatasetStore) -> None:
        for name, rows, keyed in self.unsure:
            self.deliver(store, name, rows, keyed)
        self.unsure = []

    def deliver(self, store: DatasetStore, name: str, rows: int, keyed: bool) -> None:
        """A batch is told from others by its key, or by the ids of its rows."""
        ids = [f"{name}-{n}" for n in range(rows)]
        events = self.place.events(ids)
        refused = self.place.events([f"{name}-bad"]).append_column("error_code", [["type"]])
        if keyed:
            if store.recall(name) is None:
                answer = IdempotencyRecord(name, b"body", name.encode(), self.place.clock.now())
                store.append(Append(events, (), refused, answer)).result(10)
            self.answered.add(name)
        else:
            # The refused row has an id of its own, too: it is claimed and stored with the others.
            new = ~store.claim(pa.array([*ids, f"{name}-bad"]))
            own = [id for id, is_new in zip([*ids, f"{name}-bad"], new, strict=True) if is_new]
            if own:
                append = Append(events.filter(pa.array(new[:-1])), tuple(own), refused if new[-1] else None)
                store.append(append).result(10)
            self.own.update(ids, [f"{name}-bad"])
        self.acknowledged.update(ids, [f"{name}-bad"])

    def check(self, store: DatasetStore) -> None:
        found = Counter(self.place.ids(store) + self.quarantined(store))
        assert {id: count for id, count in found.items() if count > 1} == {}
        assert self.acknowledged - found.keys() == set()
        assert store.claim(sorted(self.own)).all()
        for key in self.answered:
            record = store.recall(key)
            assert record is not None
            assert record.receipts == key.encode()

    def quarantined(self, store: DatasetStore) -> list[str]:
        with store.quarantine_snapshot() as snapshot:
            stored = read_rows(self.place.fs, snapshot.segments, snapshot.schema)
            return [*stored["event_id"].to_pylist(), *snapshot.buffer["event_id"].to_pylist()]


Step = tuple[str, int, bool]
SCRIPT: list[Step] = [
    ("send", 2, False),
    ("send", 1, True),
    ("flush", 0, False),
    ("send", 1, False),
    ("flush", 0, False),
    ("send", 2, True),
    ("send", 1, False),
    ("flush", 0, False),
    ("send", 1, False),
    ("flush", 0, False),
    ("send", 3, False),
    ("maintain", 0, False),
    ("send", 1, True),
    ("restart", 0, False),
    ("send", 2, False),
    ("close", 0, False),
]  # fmt: skip


def run(place: Any, script: list[Step], calls: int, death: Death) -> Fuse:
    """Play `script` until the process dies; then a new owner takes over, and everything must be right."""
    fuse, client = Fuse(calls, death, place), Client(place)
    place.take_over().create(place.schema)
    try:
        owner = mortal_owner(place, fuse)
        for step, rows, keyed in script:
            if step == "send":
                client.send(owner.dataset("plays"), rows, keyed)
            elif step == "flush":
                owner.dataset("plays").flush()
            elif step == "maintain":
                owner.maintain()
            elif step == "restart":
                owner = mortal_owner(place, fuse)
            else:
                owner.close()
    except DeadError:
        assert fuse.dead
    heir = place.take_over()
    store = heir.dataset("plays")
    client.check(store)
    client.repeat(store)
    client.check(store)
    assert set(place.ids(store)) | set(client.quarantined(store)) == client.acknowledged
    heir.maintain()
    client.check(store)
    heir.close()
    last = place.take_over()
    client.check(last.dataset("plays"))
    last.maintain()
    with last.dataset("plays").snapshot() as snapshot:
        assert len(place.files("segments")) == len(snapshot.segments)
    assert place.files("wal") == []
    return fuse


def mortal_owner(place: Any, fuse: Fuse) -> TenantStore:
    owner: TenantStore = place.take_over_through(Mortal(place.fs, fuse), Mortal(place.catalog.tenant(TENANT), fuse))
    return owner


@pytest.mark.parametrize(("first", "death"), [(1, "before"), (3, "after"), (5, "torn")])
def test_every_acknowledged_row_is_there_once_wherever_the_owner_died(new_place: Any, first: int, death: Death) -> None:
    calls, fuse = first, None
    while fuse is None or fuse.dead:
        # One call in six, beginning at another one for each death; hypothesis looks at those between.
        place = new_place()
        fuse = run(place, SCRIPT, calls, death)
        place.executor.shutdown()
        calls += 6
    assert calls > 60  # the script really has so many places to die at
    assert {"write_durable", "open", "rm_file", "commit", "epoch"} <= set(fuse.log)


steps = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 3), st.booleans()),
    st.tuples(st.sampled_from(["flush", "flush", "maintain", "restart"]), st.just(0), st.just(False)),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=4, max_size=14), st.integers(5, 70), st.sampled_from(["before", "after", "torn"]))
def test_the_same_for_any_script(new_place: Any, script: list[Step], calls: int, death: Death) -> None:
    place = new_place()
    run(place, script, calls, death)
    place.executor.shutdown()
