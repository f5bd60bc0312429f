"""Which event ids were seen within the window: exact, across restarts, in memory that is bounded.

An id goes through four places: claimed (its batch is being made durable), recent (durable, in the buffer),
frozen (being flushed), and a run (a sorted file, listed in the catalog).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from fsspec import AbstractFileSystem

from tenancy.analytics.clock import Clock
from tenancy.analytics.errors import IntegrityError, UnavailableError
from tenancy.analytics.storage._wal_format import DIGEST_BYTES, micros, moment
from tenancy.analytics.storage.append import id_list
from tenancy.analytics.storage.catalog import DedupRun
from tenancy.analytics.storage.id_runs import Digests, IdFilter, IdRun, digest, digested, read_filter, read_run

CACHE_BYTES = 32 * 1024 * 1024
"""Bytes of runs kept in memory for one dataset; their filters are kept besides, 4 bytes an id."""

MERGED_ROWS = 2_000_000
"""Runs are merged up to this size, so that merging them takes less than 200 MB."""

_MERGE_FROM = 3
"""So many runs of one tier are merged with the next of that tier, so there are few runs to look into."""

_WAIT_S = 30.0
"""How long a call waits for another one that holds the same ids."""

_ID_BYTES = 120
"""What an id takes in memory before it is in a run: a digest of 16 bytes, its time, and their place in a dict."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be written, and the runs it replaces."""

    run: IdRun
    replaced: tuple[DedupRun, ...]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last time in it."""
        return moment(int(self.run.times.min())), moment(int(self.run.times.max()))


class DedupIndex:
    """The ids of one dataset. From any thread.

    `drive` is called while a claim waits for a batch that another caller has in flight; it should get that
    batch written, since the waiting thread may be the one that a shared executor would need for it.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        window: timedelta,
        clock: Clock,
        runs: Iterable[DedupRun],
        drive: Callable[[], None],
    ) -> None:
        self._fs, self._window, self._clock, self._drive = fs, window, clock, drive
        self._runs = tuple(runs)
        self._claimed: dict[str, bytes] = {}
        self._recent: dict[bytes, int] = {}
        self._frozen: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._files = _RunFiles(fs)

    def claim(self, ids: Sequence[str] | pa.Array) -> Mask:
        """Which of `ids` are duplicates: seen within the window, or earlier in `ids`. Claims the others.

        All or none are claimed. An id that another caller has in flight is waited for, since nobody can say
        yet whether it will be stored. Null is never a duplicate. Raises UnavailableError after 30 s of that.
        """
        texts = ids.to_pylist() if isinstance(ids, pa.Array | pa.ChunkedArray) else list(ids)
        duplicate = np.zeros(len(texts), dtype=np.bool_)
        digests = digested(text for text in texts if text is not None)
        # Where each id comes first; looked for in reverse, so that the first one is what is left.
        first = {text: index for index, text in zip(range(len(texts) - 1, -1, -1), reversed(texts), strict=True)}
        if len(digests) < len(texts):
            duplicate[:] = [text is not None and first[text] != index for index, text in enumerate(texts)]
        if not digests:
            return duplicate
        since = micros(self._clock.now() - self._window)
        self._reserve(digests)
        seen: set[str] = set()
        try:
            seen = self._seen(digests, since)
        except BaseException:
            seen = set(digests)
            raise
        finally:
            self._free(seen)
        for text in seen:
            duplicate[first[text]] = True
        return duplicate

    def release(self, ids: Sequence[str] | pa.Array) -> None:
        """Give claims back: their rows were not stored after all."""
        self._free(id_list(ids if isinstance(ids, pa.Array | pa.ChunkedArray) else tuple(ids)))

    def digests(self, ids: Sequence[str]) -> bytes:
        """The digests of claimed ids, one after another."""
        with self._lock:
            known = [self._claimed.get(id) for id in ids]
        return b"".join(known or digest(id) for id, known in zip(ids, known, strict=True))

    def keep(self, ids: Sequence[str], digests: bytes, at: datetime) -> None:
        """The rows of claimed `ids` are durable since `at`."""
        with self._lock:
            self._recent.update(dict.fromkeys(_split(digests), micros(at)))
            for id in ids:
                self._claimed.pop(id, None)
            self._freed.notify_all()

    def known(self, digests: bytes) -> list[bool]:
        """Which digests were seen within the window; claims nothing. For recovery."""
        named = {str(index): value for index, value in enumerate(_split(digests))}
        since = micros(self._clock.now() - self._window)
        seen = self._seen(named, since)
        return [name in seen for name in named]

    @property
    def unflushed_bytes(self) -> int:
        """Bytes in memory, about, of the ids that are in no run yet."""
        return _ID_BYTES * (len(self._claimed) + len(self._recent) + len(self._frozen))

    @property
    def cached_bytes(self) -> int:
        """Bytes of runs in memory, which are in their files as well."""
        return self._files.bytes

    def evict(self) -> None:
        """Give up what is in files as well."""
        self._files.clear()

    def freeze(self) -> None:
        """What is recent now belongs to a flush."""
        with self._lock:
            self._frozen, self._recent = self._recent, {}

    def thaw(self) -> None:
        """The flush failed; its ids are recent again."""
        with self._lock:
            self._recent = {**self._frozen, **self._recent}
            self._frozen = {}

    def new_run(self) -> NewRun | None:
        """What is frozen as a run, together with runs of its size that are better merged with it."""
        with self._lock:
            frozen, runs = self._frozen, self._runs
        if not frozen:
            return None
        since = micros(self._clock.now() - self._window)
        replaced = mergeable(runs, len(frozen))
        own = Digests.of(b"".join(frozen)), np.fromiter(frozen.values(), dtype=np.int64, count=len(frozen))
        parts = [(run.digests, run.times) for run in map(self._files.run, replaced)]
        # The frozen ids are kept even when the flush came so late that they are past the window already:
        # a run that is empty has no times.
        return NewRun(IdRun.of([*parts, own], min(since, int(own[1].min()))), replaced)

    def fold(self, added: Iterable[DedupRun], replaced: Sequence[DedupRun]) -> None:
        """What was frozen is in `added` now, as is all that was in `replaced`."""
        gone = {run.id for run in replaced}
        with self._lock:
            self._runs = (*(run for run in self._runs if run.id not in gone), *added)
            self._frozen = {}
        self._files.forget(run.url for run in replaced)

    def expire(self, before: datetime) -> None:
        """Forget runs whose last id was accepted before `before`."""
        with self._lock:
            gone = [run.url for run in self._runs if run.max_ingest < before]
            self._runs = tuple(run for run in self._runs if run.max_ingest >= before)
        self._files.forget(gone)

    def refers_to(self, url: str) -> bool:
        """Whether the run at `url` is in use."""
        with self._lock:
            return any(run.url == url for run in self._runs)

    def _reserve(self, digests: dict[str, bytes]) -> None:
        deadline = time.monotonic() + _WAIT_S
        while True:
            with self._lock:
                if self._claimed.keys().isdisjoint(digests):
                    self._claimed.update(digests)
                    return
            self._drive()
            with self._lock:
                if not self._claimed.keys().isdisjoint(digests):
                    self._freed.wait(0.02)
            if time.monotonic() > deadline:
                raise UnavailableError("an event id", "another call with the same id has not finished")

    def _free(self, ids: Iterable[str]) -> None:
        with self._lock:
            for id in ids:
                self._claimed.pop(id, None)
            self._freed.notify_all()

    def _seen(self, digests: dict[str, bytes], since: int) -> set[str]:
        with self._lock:
            # At one instant: between two, a flush could move an id from what is frozen into a run.
            runs = self._runs
            seen = {
                text
                for held in (self._recent, self._frozen)
                if held and not held.keys().isdisjoint(digests.values())
                for text, value in digests.items()
                if held.get(value, -1) >= since
            }
        rest = [text for text in digests if text not in seen] if seen else list(digests)
        if runs and rest:
            found = self._in_runs(Digests.of(b"".join(digests[text] for text in rest)), runs, since)
            seen.update(rest[index] for index in np.flatnonzero(found))
        return seen

    def _in_runs(self, digests: Digests, runs: tuple[DedupRun, ...], since: int) -> Mask:
        found = np.zeros(len(digests), dtype=np.bool_)
        for run in runs:
            if micros(run.max_ingest) < since:
                continue
            try:
                maybe = self._files.filter(run).may_hold(digests)
                if maybe.any():
                    found[maybe] |= self._files.run(run).seen(digests.where(maybe), since)
            except FileNotFoundError as error:
                with self._lock:
                    current = self._runs
                if run in current:
                    raise IntegrityError(run.url, "it is not there") from error
                # It was merged or expired meanwhile, and its file is deleted.
                return self._in_runs(digests, current, since)
        return found


class _RunFiles:
    """Runs read from their files: every filter kept, of the rest as much as fits."""

    def __init__(self, fs: AbstractFileSystem) -> None:
        self._fs = fs
        self._lock = threading.Lock()
        self._filters: dict[str, IdFilter] = {}
        self._held: OrderedDict[str, IdRun] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes of the runs in memory, without their filters."""
        return self._bytes

    def clear(self) -> None:
        """Forget what was read; it is read again when it is asked for."""
        with self._lock:
            self._filters.clear()
            self._held.clear()
            self._bytes = 0

    def filter(self, run: DedupRun) -> IdFilter:
        with self._lock:
            known = self._filters.get(run.url)
        if known is None:
            known = read_filter(self._fs, run.url)
            with self._lock:
                self._filters[run.url] = known
        return known

    def run(self, run: DedupRun) -> IdRun:
        with self._lock:
            if run.url in self._held:
                self._held.move_to_end(run.url)
                return self._held[run.url]
        read = read_run(self._fs, run.url)
        with self._lock:
            if run.url not in self._held:
                self._held[run.url] = read
                self._bytes += read.nbytes
            while self._bytes > CACHE_BYTES and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
        return read

    def forget(self, urls: Iterable[str]) -> None:
        with self._lock:
            for url in urls:
                self._filters.pop(url, None)
                held = self._held.pop(url, None)
                self._bytes -= held.nbytes if held else 0


def mergeable(runs: Sequence[DedupRun], rows: int) -> tuple[DedupRun, ...]:
    """The newest runs that a run of `rows` ids should be merged with; often none.

    Tiers are powers of four: an id is rewritten once in every tier, and no tier has more than three runs.
    """
    found: list[DedupRun] = []
    total = rows
    for run in reversed(runs):
        if _tier(run.rows) > _tier(total) or total + run.rows > MERGED_ROWS:
            break
        found.append(run)
        total += run.rows
    return tuple(reversed(found)) if len(found) >= _MERGE_FROM else ()


def _tier(rows: int) -> int:
    return rows.bit_length() // 2


def _split(digests: bytes) -> list[bytes]:
    return [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]
