"""What goes wrong in a database arrives as an error of ours, and what may pass is tried again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import errors as pg

from tenancy.analytics.errors import (
    AnalyticsError,
    CatalogUnavailableError,
    ConfigurationError,
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    StorageFullError,
    UnavailableError,
)
from tenancy.analytics.storage.catalog import Catalog, TenantCatalog, _database
from tenancy.analytics.storage.catalog._database import Database
from tenancy.analytics.storage.catalog._failures import Failure


def _sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("said by sqlite")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("wrapper", "origin", "kind", "contention"),
    [
        (sa.exc.OperationalError, _sqlite(sqlite3.SQLITE_BUSY), CatalogUnavailableError, True),
        (sa.exc.OperationalError, _sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), CatalogUnavailableError, True),
        (sa.exc.OperationalError, _sqlite(sqlite3.SQLITE_IOERR_FSYNC), CatalogUnavailableError, False),
        (sa.exc.OperationalError, _sqlite(sqlite3.SQLITE_FULL), StorageFullError, False),
        (sa.exc.DatabaseError, _sqlite(sqlite3.SQLITE_CORRUPT), IntegrityError, False),
        (sa.exc.OperationalError, pg.DeadlockDetected("deadlock"), CatalogUnavailableError, True),
        (sa.exc.OperationalError, pg.SerializationFailure("again"), CatalogUnavailableError, True),
        (sa.exc.OperationalError, pg.AdminShutdown("bye"), CatalogUnavailableError, False),
        (sa.exc.OperationalError, pg.DiskFull("no space left on device"), StorageFullError, False),
        (sa.exc.InternalError, pg.DataCorrupted("invalid page"), IntegrityError, False),
        (sa.exc.IntegrityError, pg.UniqueViolation("twice"), ConflictError, False),
        (sa.exc.DataError, pg.DataError("U+0000"), InvalidRequestError, False),
    ],
)
def test_every_failure_has_one_meaning(
    wrapper: type[sa.exc.DBAPIError], origin: Exception, kind: type[AnalyticsError], contention: bool
) -> None:
    failure = Failure.of(wrapper("SELECT 1", {}, origin), "sqlite:///catalog.db")
    assert type(failure.error) is kind
    assert (failure.contention, failure.lost) == (contention, False)


def test_a_full_disk_is_storage_full_and_changes_nothing(tmp_path: Path) -> None:
    """SQLite's own limit of pages gives the very error that a full disk does."""
    url = f"sqlite:///{tmp_path}/catalog.db"
    with closing(Catalog(url)) as catalog:
        catalog.migrate()
        catalog.create_tenant("tenant_001")

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite makes it the present size

    sa.event.listen(sa.Pool, "connect", limit)
    try:
        with closing(Catalog(url)) as full:
            rows = full.tenant("tenant_001")
            with pytest.raises(StorageFullError, match=r"catalog\.db"):
                rows.save_model("x" * 1_000_000, 0)
            assert rows.model() is None
            assert rows.save_model("small", 0) == 1, "it goes on where there is room"
    finally:
        sa.event.remove(sa.Pool, "connect", limit)


def test_a_place_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="can be written"):
        Catalog(f"sqlite:///{tmp_path}/file/catalog.db")


def test_a_file_that_is_no_database_is_an_integrity_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"not a database at all" * 100)
    with (
        closing(Catalog(f"sqlite:///{tmp_path}/catalog.db")) as catalog,
        pytest.raises(IntegrityError, match="catalog"),
    ):
        catalog.migrate()


def test_a_writer_that_does_not_end_makes_others_unavailable_but_not_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_database, "BUSY_TIMEOUT_S", 0.02)
    with closing(Catalog(f"sqlite:///{tmp_path}/catalog.db")) as catalog:
        catalog.migrate()
        catalog.create_tenant("tenant_001")
        rows = catalog.tenant("tenant_001")
        with closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(UnavailableError, match="locked"):
                rows.save_model("a", 0)
            assert rows.epoch() == 0
            assert rows.model() is None
            writer.execute("COMMIT")
        assert rows.save_model("a", 0) == 1


def test_contention_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other writer lets go when this one has failed for the first time."""
    monkeypatch.setattr(_database, "BUSY_TIMEOUT_S", 0.0)
    failures: list[str] = []
    with (
        closing(Database(f"sqlite:///{tmp_path}/catalog.db")) as database,
        closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as other,
    ):
        database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)"))
        other.execute("BEGIN IMMEDIATE")

        def let_go(context: sa.ExceptionContext) -> None:
            failures.append(str(context.original_exception))
            other.rollback()

        sa.event.listen(database._engine, "handle_error", let_go)
        database.write(lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (1)"))
        found = database.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM t").scalar())
    assert (failures, found) == (["database is locked"], 1)


def test_a_write_holds_the_lock_before_it_reads(tmp_path: Path) -> None:
    """Two that read first and write then could neither go on: each would wait for the other to stop reading."""
    with closing(Database(f"sqlite:///{tmp_path}/catalog.db")) as database:

        def work(_connection: sa.Connection) -> None:
            with closing(sqlite3.connect(tmp_path / "catalog.db", timeout=0, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            database.write(work)


def test_connections_that_died_in_the_pool_are_replaced(postgresql_url: str) -> None:
    with closing(Catalog(postgresql_url)) as catalog:
        catalog.migrate()
        catalog.create_tenant("tenant_001")
        rows = catalog.tenant("tenant_001")
        for call in (rows.epoch, rows.model, lambda: rows.save_source_offset("s", "1"), rows.raise_epoch):
            with psycopg.connect(postgresql_url, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            call()
        assert (rows.epoch(), rows.source_offset("s")) == (1, "1")


def test_a_server_that_is_not_there_is_unavailable_and_its_password_is_not_told() -> None:
    with closing(Catalog("postgresql://user:hush@127.0.0.1:1/db")) as catalog:
        with pytest.raises(UnavailableError, match="catalog") as caught:
            catalog.has_tenant("tenant_001")
        assert "hush" not in str(caught.value)


def test_text_that_postgresql_cannot_hold_is_refused_as_such(postgresql_url: str) -> None:
    with closing(Catalog(postgresql_url)) as catalog:
        catalog.migrate()
        catalog.create_tenant("tenant_001")
        rows: TenantCatalog = catalog.tenant("tenant_001")
        with pytest.raises(InvalidRequestError, match="catalog"):
            rows.save_source_offset("a\x00b", "1")
