"""The filesystem as DuckDB sees it: the same, but errors are remembered and open files are shared within a query.

DuckDB turns an exception of a Python filesystem into text. The caller must get the exception itself (an
IntegrityError that names the file), so it is kept here by the file's url until the query that met it asks.

DuckDB opens a file two or three times in a query, and opening an encrypted file means unwrapping its key and proving
its end. So while a query reads a file, all its handles are one; with the last query that reads it, it is closed.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fsspec import AbstractFileSystem

from tenancy.analytics.errors import AnalyticsError, IntegrityError, UnavailableError

_MOST_FAILURES = 1_000


class WatchedFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Reads through `base`, whose files must have a position for each thread. Nothing can be written through it."""

    cachable = False

    def __init__(self, base: AbstractFileSystem) -> None:
        super().__init__()
        self.base = base
        protocol = base.protocol
        self.protocol = protocol if isinstance(protocol, str) else protocol[0]
        self._failures: OrderedDict[str, Exception] = OrderedDict()
        self._readers: Counter[str] = Counter()
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()

    @contextmanager
    def reading(self, urls: Collection[str]) -> Iterator[None]:
        """While the block runs, each of these files is opened at most once."""
        with self._lock:
            self._readers.update(urls)
        try:
            yield
        finally:
            with self._lock:
                self._readers.subtract(urls)
                over = [url for url in urls if self._readers[url] <= 0]
                files = [self._open.pop(url) for url in over if url in self._open]
                for url in over:
                    del self._readers[url]
            for file in files:
                file.close()

    def open(self, path: str, mode: str = "rb", **_: Any) -> _WatchedFile:
        if mode != "rb":
            raise PermissionError(f"{path} is opened for queries, which only read")
        url = self._url(path)
        try:
            return _WatchedFile(*self._opened(url), url, self)
        except Exception as error:
            self.remember(url, error)
            raise

    def exists(self, path: str, **_: Any) -> bool:  # noqa: ARG002
        """Always; a file that is missing all the same is an error when it is opened, which names it."""
        return True

    def glob(self, path: str, **_: Any) -> list[str]:
        """The file itself: urls of segments are exact, and have no wildcards."""
        return [path]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        url = self._url(path)
        try:
            found: dict[str, Any] = self.base.info(url)
        except Exception as error:
            self.remember(url, error)
            raise
        return found

    def modified(self, path: str) -> Any:
        return self.base.modified(self._url(path))

    def remember(self, url: str, error: Exception) -> None:
        """Keeps what went wrong with a file."""
        with self._lock:
            self._failures[url] = error
            self._failures.move_to_end(url)
            while len(self._failures) > _MOST_FAILURES:
                self._failures.popitem(last=False)

    def failure(self, urls: Iterable[str], message: str) -> AnalyticsError | None:
        """What went wrong with one of these files and is meant by DuckDB's `message`, as an error of ours."""
        with self._lock:
            for url in urls:
                error = self._failures.get(url)
                if error is not None and type(error).__name__ in message:
                    return _ours(url, error)
        return None

    def _opened(self, url: str) -> tuple[Any, bool]:
        """The file and whether it is shared."""
        with self._lock:
            if url in self._open:
                return self._open[url], True
        file = self.base.open(url, "rb")
        with self._lock:
            if self._readers[url] > 0 and url not in self._open:
                self._open[url] = file
                return file, True
        return file, False

    def _url(self, path: str) -> str:
        return path if "://" in path else f"{self.protocol}://{path}"


class _WatchedFile:
    """What DuckDB uses of a file."""

    __slots__ = ("_file", "_filesystem", "_shared", "_url")

    def __init__(self, file: Any, shared: bool, url: str, filesystem: WatchedFileSystem) -> None:
        self._file, self._shared, self._url, self._filesystem = file, shared, url, filesystem

    def read(self, length: int = -1) -> bytes:
        try:
            data: bytes = self._file.read(length)
        except Exception as error:
            self._filesystem.remember(self._url, error)
            raise
        return data

    def close(self) -> None:
        if not self._shared:
            self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _ours(url: str, error: Exception) -> AnalyticsError:
    if isinstance(error, AnalyticsError):
        return error
    if isinstance(error, FileNotFoundError):
        return IntegrityError(url, "the file is missing")
    return UnavailableError(url, f"{type(error).__name__}: {error}")
