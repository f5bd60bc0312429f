"""Notices at the door when a dataset no longer looks like itself: its volume, its gaps, its categories.

Each minute of each dataset is summed up and compared with an exponentially weighted mean and variance of the
minutes before (West's update as in Finch, "Incremental calculation of weighted mean and variance", 2009,
section 9). What stands out becomes an event of the tenant's dataset `collection_warnings`; data is never held
back for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.schema import SYSTEM_COLUMNS, DatasetSchema, FieldSpec, FieldType

WARNINGS = DatasetSchema(
    name="collection_warnings",
    fields={
        "dataset": FieldSpec(type=FieldType.STRING),
        "kind": FieldSpec(type=FieldType.STRING),
        "field": FieldSpec(type=FieldType.STRING),
        "observed": FieldSpec(type=FieldType.FLOAT),
        "expected": FieldSpec(type=FieldType.FLOAT),
        "score": FieldSpec(type=FieldType.FLOAT),
    },
)
"""The dataset of warnings. `kind` is volume, null_share or unseen_share; `score` is in standard deviations."""

_WEIGHT = 0.1  # of the newest minute
_LEAST_MINUTES = 10  # before anything is compared
_SCORE = 6.0
_COOL_DOWN_S = 1_800.0
_LEAST_ROWS = 50  # a share of fewer rows says nothing
_LEAST_SHARE_CHANGE = 0.05
_LEAST_VOLUME_CHANGE = 0.5  # of what is expected
_SAMPLE_ROWS = 256
_SAMPLE_EVERY_S = 1.0
_MOST_FIELDS = 64
_MOST_CATEGORIES = 100
_MOST_SILENT_MINUTES = 60


@dataclass(frozen=True, slots=True)
class CollectionWarning:
    """One thing that stands out, of the minute `at`."""

    dataset: str
    kind: str
    field: str | None
    observed: float
    expected: float
    score: float
    at: datetime

    def row(self) -> dict[str, object]:
        """As an event."""
        return {
            "timestamp": self.at.isoformat(),
            "dataset": self.dataset,
            "kind": self.kind,
            "field": self.field,
            "observed": self.observed,
            "expected": self.expected,
            "score": self.score,
        }


@dataclass(slots=True)
class Baseline:
    """What a number usually is: its exponentially weighted mean and variance.

    >>> usual = Baseline()
    >>> for minute in range(20):
    ...     usual.learn(100.0 + minute % 2)
    >>> usual.score(100.0, least_deviation=1.0) < 1 < usual.score(200.0, least_deviation=1.0)
    True
    """

    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0

    def score(self, value: float, least_deviation: float) -> float:
        """How far `value` is from the mean, in standard deviations, each at least `least_deviation` long."""
        return abs(value - self.mean) / max(math.sqrt(self.variance), least_deviation)

    def learn(self, value: float) -> None:
        self.seen += 1
        weight = max(_WEIGHT, 1 / self.seen)  # the plain mean, until that forgets more slowly
        difference = value - self.mean
        self.mean += weight * difference
        self.variance = (1 - weight) * (self.variance + weight * difference * difference)


@dataclass(slots=True)
class _Minute:
    """What is counted within one minute of one dataset."""

    number: int
    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    sampled: dict[str, int] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    first_seen: set[str] = field(default_factory=set)
    """Fields of which every value was new, for there were none before."""


@dataclass(slots=True)
class _Watched:
    """What is remembered of one dataset: a bounded number of fields, each with a bounded number of categories."""

    minute: _Minute
    sampled_at: datetime | None = None
    volume: Baseline = field(default_factory=Baseline)
    shares: dict[tuple[str, str], Baseline] = field(default_factory=dict)
    categories: dict[str, set[str] | None] = field(default_factory=dict)
    """None for a field that has more than are kept: it is not a category."""


class Monitor:
    """Watches what comes in. Counting is free of scans but for a sample a second, so a batch costs microseconds."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._warned: dict[tuple[str, str, str | None], datetime] = {}
        self._lock = Lock()

    def observe(self, dataset: str, events: pa.Table, now: datetime) -> Sequence[CollectionWarning]:
        """Counts a batch; when it is the first of a new minute, what stood out in the one before."""
        number = int(now.timestamp() // 60)
        with self._lock:
            watched = self._watched.get(dataset)
            if watched is None:
                watched = self._watched[dataset] = _Watched(_Minute(number))
            found: list[CollectionWarning] = []
            if number > watched.minute.number:
                found = self._close(dataset, watched, now)
                for _ in range(min(number - watched.minute.number - 1, _MOST_SILENT_MINUTES)):
                    watched.volume.learn(0.0)
                watched.minute = _Minute(number)
            self._count(watched, events, now)
            return [warning for warning in found if self._may_warn(warning)]

    def forget(self, warnings: Sequence[CollectionWarning]) -> None:
        """These could not be told: the same may be told again at once."""
        with self._lock:
            for warning in warnings:
                self._warned.pop((warning.dataset, warning.kind, warning.field), None)

    def _count(self, watched: _Watched, events: pa.Table, now: datetime) -> None:
        minute = watched.minute
        minute.rows += events.num_rows
        if watched.sampled_at is not None and (now - watched.sampled_at).total_seconds() < _SAMPLE_EVERY_S:
            return
        watched.sampled_at = now
        # Every k-th row, so that a batch sorted by anything is still seen whole.
        step = max(1, events.num_rows // _SAMPLE_ROWS)
        rows = events if step == 1 else events.take(pa.array(range(0, events.num_rows, step), pa.int64()))
        own = [name for name in events.column_names if name not in SYSTEM_COLUMNS]
        for name in own[:_MOST_FIELDS]:
            column = rows[name]
            minute.sampled[name] = minute.sampled.get(name, 0) + len(column)
            minute.nulls[name] = minute.nulls.get(name, 0) + column.null_count
            if pa.types.is_string(column.type):
                self._count_unseen(watched, name, column)

    def _count_unseen(self, watched: _Watched, name: str, column: pa.ChunkedArray) -> None:
        if name not in watched.categories:
            watched.categories[name] = set()
            watched.minute.first_seen.add(name)
        known = watched.categories[name]
        if known is None:
            return
        counted = pc.value_counts(column)
        for entry in counted.to_pylist():
            value = entry["values"]
            if value is None or value in known:
                continue
            watched.minute.unseen[name] = watched.minute.unseen.get(name, 0) + entry["counts"]
            if len(known) < _MOST_CATEGORIES:
                known.add(value)
            elif not self._is_usual(watched, name):
                watched.categories[name] = None
                watched.minute.unseen.pop(name, None)
                return

    def _is_usual(self, watched: _Watched, name: str) -> bool:
        usual = watched.shares.get(("unseen_share", name))
        return usual is not None and usual.seen >= _LEAST_MINUTES

    def _close(self, dataset: str, watched: _Watched, now: datetime) -> list[CollectionWarning]:
        minute = watched.minute
        found: list[CollectionWarning] = []

        def compare(kind: str, name: str | None, usual: Baseline, value: float, least: float, change: float) -> None:
            score = usual.score(value, least)
            if usual.seen >= _LEAST_MINUTES and score > _SCORE and abs(value - usual.mean) > change:
                found.append(CollectionWarning(dataset, kind, name, value, usual.mean, score, now))
            usual.learn(value)

        expected = watched.volume.mean
        compare("volume", None, watched.volume, minute.rows, math.sqrt(expected + 1), _LEAST_VOLUME_CHANGE * expected)
        for name, sampled in minute.sampled.items():
            if sampled < _LEAST_ROWS:
                continue
            shares = [("null_share", minute.nulls[name])]
            if watched.categories.get(name) is not None and name not in minute.first_seen:
                shares.append(("unseen_share", minute.unseen.get(name, 0)))
            if len(watched.categories.get(name) or ()) >= _MOST_CATEGORIES:
                watched.categories[name] = None  # compared once more, below, and then no category any longer
            for kind, count in shares:
                usual = watched.shares.setdefault((kind, name), Baseline())
                share = count / sampled
                # As uncertain as a sample of this size is, at the least.
                least = math.sqrt((usual.mean * (1 - usual.mean) + 1 / sampled) / sampled)
                compare(kind, name, usual, share, least, _LEAST_SHARE_CHANGE)
        return found

    def _may_warn(self, warning: CollectionWarning) -> bool:
        place = (warning.dataset, warning.kind, warning.field)
        last = self._warned.get(place)
        if last is not None and (warning.at - last).total_seconds() < _COOL_DOWN_S:
            return False
        self._warned[place] = warning.at
        return True
