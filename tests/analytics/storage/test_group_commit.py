"""Group commit: company is written together, failure is shared by what came later, nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from tenancy.analytics.errors import StorageFullError, UnavailableError
from tenancy.analytics.storage.group_commit import GROUP_BYTES, GroupCommit


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Disk:
    """Remembers groups; writing waits while `open` is not set, and fails while `error` is."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.undone: list[int] = []
        self.started = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None

    def write(self, items: Sequence[int]) -> None:
        self.started.set()
        assert self.open.wait(10)
        if self.error is not None:
            raise self.error
        self.groups.append(list(items))

    def undo(self, items: Sequence[int]) -> None:
        self.undone += items


def commits(disk: Disk, executor: Executor) -> GroupCommit[int]:
    return GroupCommit(disk.write, disk.undo, executor, linger_s=0.0)


def test_what_arrives_during_a_write_is_the_next_group(executor: ThreadPoolExecutor) -> None:
    disk = Disk()
    disk.open.clear()
    commit = commits(disk, executor)
    first = commit.submit(0, 1, 1)
    assert disk.started.wait(10)
    others = [commit.submit(n, 1, 1) for n in range(1, 6)]
    assert (commit.pending_rows, commit.pending_bytes) == (6, 6)
    disk.open.set()
    for future in [first, *others]:
        future.result(10)
    assert disk.groups == [[0], [1, 2, 3, 4, 5]]
    assert (commit.pending_rows, commit.pending_bytes) == (0, 0)


def test_a_failed_group_fails_everything_admitted_after_it(executor: ThreadPoolExecutor) -> None:
    disk = Disk()
    disk.open.clear()
    commit = commits(disk, executor)
    disk.error = StorageFullError("disk")
    futures = [commit.submit(0, 1, 1)]
    assert disk.started.wait(10)
    futures += [commit.submit(n, 1, 1) for n in range(1, 4)]
    disk.open.set()
    for future in futures:
        with pytest.raises(StorageFullError):
            future.result(10)
    assert disk.undone == [0, 1, 2, 3]
    disk.error = None
    commit.submit(4, 1, 1).result(10)
    assert disk.groups == [[4]]


def test_claims_are_undone_before_the_caller_knows(executor: ThreadPoolExecutor) -> None:
    disk = Disk()
    disk.error = StorageFullError("disk")
    seen: list[list[int]] = []
    future = commits(disk, executor).submit(7, 1, 1)
    future.add_done_callback(lambda _: seen.append(list(disk.undone)))
    assert isinstance(future.exception(10), StorageFullError)
    disk.open.wait(1)
    assert seen == [[7]]


def test_a_group_ends_where_it_would_be_too_large_to_replay(executor: ThreadPoolExecutor) -> None:
    disk = Disk()
    disk.open.clear()
    commit = commits(disk, executor)
    futures = [commit.submit(0, 1, 1)]
    assert disk.started.wait(10)
    futures += [commit.submit(n, 1, GROUP_BYTES // 2) for n in (1, 2, 3)]
    futures.append(commit.submit(4, 1, 2 * GROUP_BYTES))
    disk.open.set()
    for future in futures:
        future.result(10)
    assert disk.groups == [[0], [1, 2], [3], [4]]


def test_a_waiting_thread_writes_the_group_when_no_worker_is_free(executor: ThreadPoolExecutor) -> None:
    disk, busy = Disk(), threading.Event()
    executor.submit(busy.wait, 10)
    try:
        commit = commits(disk, executor)
        future = commit.submit(1, 1, 1)
        commit.drive()
        assert future.done()
    finally:
        busy.set()


def test_what_is_queued_when_it_closes_is_written_and_the_rest_is_refused(executor: ThreadPoolExecutor) -> None:
    disk, busy = Disk(), threading.Event()
    executor.submit(busy.wait, 10)
    try:
        commit = commits(disk, executor)
        future = commit.submit(1, 1, 1)
        commit.close()
        assert future.done()
        late = commit.submit(2, 1, 1)
        assert isinstance(late.exception(10), UnavailableError)
        assert disk.undone == [2]
    finally:
        busy.set()


def test_it_works_without_its_executor() -> None:
    disk = Disk()
    with ThreadPoolExecutor(1) as pool:
        commit = commits(disk, pool)
    commit.submit(1, 1, 1).result(10)
    assert disk.groups == [[1]]
