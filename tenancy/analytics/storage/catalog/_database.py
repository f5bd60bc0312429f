"""A pooled connection to SQLite or PostgreSQL: how transactions begin, what is repeated, what errors become.

The driver never opens a transaction of its own accord. A read is one statement and needs none, so it costs one
round trip; a write begins explicitly, on SQLite with `BEGIN IMMEDIATE`: taking the write lock first makes two
writers wait for one another, where upgrading from a read lock would make one of them fail.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, exc, make_url
from sqlalchemy.pool import PoolProxiedConnection

from tenancy.analytics.deadlines import Deadlines
from tenancy.analytics.errors import CatalogUnavailableError, ConfigurationError, StorageFullError
from tenancy.analytics.storage.catalog._failures import FAILURES, Failure
from tenancy.analytics.storage.catalog._outage import Breaker

BUSY_TIMEOUT_S = 15.0
"""How long SQLite waits for another process to finish writing."""

ATTEMPTS = 4
"""How often a transaction is tried when another one is in its way."""

CONNECT_S, READ_S, WRITE_S = 3, 3.0, 10.0
"""How long a server may take to answer before it counts as out of reach."""

POOL_SIZE = 16
OVERFLOW = 48
POOL_TIMEOUT_S = 30.0

_SETTING = "storage.catalog_url"
_FORMS = "use sqlite:////path/to/catalog.db or postgresql://user@host/database"

T = TypeVar("T")


class Database:
    """Runs work in transactions, from any thread. `place` names the database, without its password."""

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self.place = parsed.render_as_string(hide_password=True)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        self._engine = _sqlite(parsed) if self.sqlite else _postgresql(parsed)
        event.listen(self._engine, "begin", _begin_immediate if self.sqlite else _begin)
        # SQLite lets one writer in and makes the others poll; a lock lets the threads of this process queue
        # instead, so that only other processes are polled for.
        self._writers: AbstractContextManager[Any] = threading.Lock() if self.sqlite else nullcontext()
        # SQLite is a file here; a server may be gone, or hang.
        self._server = None if self.sqlite else _Server()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which reads with one statement. Repeated once when the connection turns out to be dead."""

        def attempt() -> T:
            with self._engine.connect() as connection, self._answering(connection.connection, READ_S):
                return work(connection)

        return self._repeated(attempt, lambda failure: failure.contention or failure.lost)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: all of it or, when anything fails, nothing.

        `work` may be run again. It is not when the connection was lost after the commit was sent, since
        then the commit may have been made and only its answer was lost.
        """
        committing = False

        def attempt() -> T:
            nonlocal committing
            committing = False
            with self._writers, self._engine.connect() as fresh:
                connection = fresh.execution_options(writes=True)
                with self._answering(fresh.connection, WRITE_S), connection.begin():
                    result = work(connection)
                    committing = True
            return result

        return self._repeated(attempt, lambda failure: failure.contention or (failure.lost and not committing))

    def prepared(self, statement: Select[Any]) -> Callable[[Mapping[str, Any]], Any]:
        """A function that runs `statement` and gives its first column, compiled once; for reads that must be quick.

        It goes through a pooled driver connection without SQLAlchemy's own bookkeeping, which on SQLite is
        worth a factor of ten. When that fails, the ordinary way is taken, with all it knows of failures.
        """
        compiled = statement.compile(dialect=self._engine.dialect)
        sql, order = str(compiled), tuple(compiled.positiontup or ())
        driver_error = self._engine.dialect.loaded_dbapi.Error

        def run(parameters: Mapping[str, Any]) -> Any:
            given = tuple(parameters[name] for name in order) if order else dict(parameters)
            if self._server is not None:
                self._server.breaker.enter()
            try:
                with closing(self._engine.raw_connection()) as connection, self._answering(connection, READ_S):
                    cursor = connection.cursor()
                    cursor.execute(sql, given)
                    row = cursor.fetchone()
                    cursor.close()
            except (driver_error, exc.TimeoutError):
                return self.read(lambda connection: connection.exec_driver_sql(sql, given).scalar())
            return None if row is None else row[0]

        return run

    def clock_skew_s(self, now: datetime) -> float:
        """Seconds that the server's clock is ahead of `now`."""
        if self.sqlite:
            return 0.0
        there = self.read(
            lambda connection: connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
        )
        return float(there) - now.timestamp()

    def scrub(self) -> None:
        """Make what was deleted unreadable in the files of SQLite, as far as no reader is in the way.

        Deleted rows are overwritten (`secure_delete`), but older copies stay in the journal until it is
        folded back. PostgreSQL keeps them until its own vacuum and its own write-ahead log have moved on.
        """
        if self.sqlite:
            self.read(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all())

    def close(self) -> None:
        self._engine.dispose()
        if self._server is not None:
            self._server.deadlines.close()

    @contextmanager
    def _answering(self, connection: PoolProxiedConnection, within_s: float) -> Iterator[None]:
        """Cut the connection when the server does not answer for so long; CatalogUnavailableError then."""
        if self._server is None:
            yield
            return
        with self._server.deadlines.within(within_s, lambda: _cut(connection)) as deadline:
            try:
                yield
            except Exception as error:
                if deadline.passed:
                    self._server.breaker.failed(reason := f"no answer for {within_s:g} s")
                    raise CatalogUnavailableError(reason) from error
                raise
        self._server.breaker.succeeded()

    def _repeated(self, attempt: Callable[[], T], again: Callable[[Failure], bool]) -> T:
        if self._server is not None:
            self._server.breaker.enter()
        for left in reversed(range(ATTEMPTS)):
            try:
                return attempt()
            except FAILURES as error:
                failure = Failure.of(error, self.place)
                if not left or not again(failure):
                    if self._server is not None and isinstance(failure.error, CatalogUnavailableError):
                        self._server.breaker.failed(failure.error.reason)
                    raise failure.error from error
            # Full jitter, so that two that met do not meet again.
            time.sleep(random.uniform(0.0, 0.02 * 2 ** (ATTEMPTS - left)))  # noqa: S311 - a delay, not a secret
        raise AssertionError("the last attempt returns or raises")


class _Server:
    """What is known of a database server: whether it is out of reach, and who waits for it."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.deadlines = Deadlines()


def _cut(connection: PoolProxiedConnection) -> None:
    """End the connection's socket, so that whoever waits for an answer on it is told."""
    driver: Any = connection.dbapi_connection
    with suppress(OSError), socket.socket(fileno=os.dup(driver.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        # The text may hold a password, so it is not shown.
        raise ConfigurationError(_SETTING, "a URL that cannot be read", _FORMS) from None
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"} and parsed.database not in {None, "", ":memory:"}:
        return parsed
    raise ConfigurationError(_SETTING, parsed.render_as_string(hide_password=True), _FORMS)


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Created before SQLite does, for the owner alone: it holds wrapped keys and hashes of API keys. The
        # journals take over its permissions.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError(str(path)) from error
        raise ConfigurationError(_SETTING, str(path), f"name a file that can be written ({error.strerror})") from error
    engine = create_engine(
        url,
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        pool_size=POOL_SIZE,
        max_overflow=OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit that was answered survives a power cut
            "foreign_keys = ON",
            "secure_delete = ON",  # keys and statistics of erased tenants are overwritten
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgresql(url: URL) -> Engine:
    try:
        return create_engine(
            url,
            connect_args={"autocommit": True, "connect_timeout": CONNECT_S, "application_name": "tenancy"},
            pool_size=POOL_SIZE,
            max_overflow=OVERFLOW,
            pool_timeout=POOL_TIMEOUT_S,
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            _SETTING, url.render_as_string(hide_password=True), "install 'tenancy[postgresql]' to use PostgreSQL"
        ) from error
