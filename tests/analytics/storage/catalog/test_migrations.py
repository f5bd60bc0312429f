"""Migrations make the tables that the code means, from nothing, in place, and only once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tenancy.analytics.errors import ConfigurationError
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.storage.catalog._migrate import LATEST, SCRIPTS
from tenancy.analytics.storage.catalog._tables import PARTITIONS, metadata


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def test_the_migrations_and_the_tables_agree(catalog: Catalog, catalog_url: str) -> None:
    engine = engine_of(catalog_url)
    parts = {
        f"{table.name}_p{part:02d}" for table in metadata.tables.values() for part in range(PARTITIONS) if table.info
    }

    def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _to: object) -> bool:
        return not (kind == "table" and name in parts)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_object": is_ours}
        )
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            key = inspector.get_pk_constraint(table.name)["constrained_columns"]
            assert key == [column.name for column in table.primary_key], table.name
    engine.dispose()


def test_the_newest_revision_is_the_one_that_is_looked_for() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [LATEST]


def test_migrating_again_changes_nothing(catalog: Catalog, catalog_url: str) -> None:
    catalog.create_tenant("tenant_001")
    catalog.migrate()
    with closing(Catalog(catalog_url)) as again:
        again.migrate()
        assert again.has_tenant("tenant_001")


def test_tables_of_a_newer_version_are_left_alone(catalog: Catalog, catalog_url: str) -> None:
    engine = engine_of(catalog_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ConfigurationError, match="9999"):
        catalog.migrate()


def test_a_migration_that_fails_leaves_nothing_behind(catalog_url: str) -> None:
    """The last table's name is taken, so the migration fails near its end."""
    engine = engine_of(catalog_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE dedup_runs (mine INTEGER)"))
    with closing(Catalog(catalog_url)) as broken, pytest.raises(Exception, match="dedup_runs"):
        broken.migrate()
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == ["dedup_runs"]
        connection.execute(sa.text("DROP TABLE dedup_runs"))
    engine.dispose()
    with closing(Catalog(catalog_url)) as mended:
        mended.migrate()
        mended.create_tenant("tenant_001")


def test_large_tables_are_in_parts_and_one_tenant_reads_one_part(postgresql_url: str) -> None:
    with closing(Catalog(postgresql_url)) as catalog:
        catalog.migrate()
        catalog.create_tenant("tenant_001")
    engine = engine_of(postgresql_url)
    with engine.connect() as connection:
        for name in ("segments", "idempotency_keys", "dedup_runs"):
            parts = connection.execute(
                sa.text("SELECT count(*) FROM pg_inherits WHERE inhparent = CAST(:name AS regclass)"), {"name": name}
            ).scalar_one()
            assert parts == 16
            plan = connection.exec_driver_sql(
                f"EXPLAIN (FORMAT JSON) SELECT * FROM {name} WHERE tenant = 'tenant_001' AND dataset = 'plays'"
            ).scalar_one()
            scan = plan[0]["Plan"]
            assert "Index Scan" in scan["Node Type"] or "Bitmap" in scan["Node Type"]
            assert scan["Relation Name"].startswith(f"{name}_p"), "pruned to one part while planning"
    engine.dispose()


def test_names_are_ordered_by_bytes_whatever_the_locale_of_the_server(postgresql_url: str) -> None:
    with closing(Catalog(postgresql_url)) as catalog:
        catalog.migrate()
    engine = engine_of(postgresql_url)
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            collations = {c["name"]: getattr(c["type"], "collation", None) for c in inspector.get_columns(table.name)}
            for column in table.primary_key:
                if isinstance(column.type, sa.String):
                    assert collations[column.name] == "C", column
    engine.dispose()


def test_live_segments_are_found_by_one_scan_of_one_index(tmp_path: Path) -> None:
    seen: list[tuple[str, object]] = []

    def remember(_connection: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        seen.append((statement, parameters))

    with closing(Catalog(f"sqlite:///{tmp_path}/catalog.db")) as catalog:
        catalog.migrate()
        catalog.create_tenant("tenant_001")
        rows = catalog.tenant("tenant_001")
        sa.event.listen(sa.Engine, "before_cursor_execute", remember)
        rows.segments("plays")
        sa.event.remove(sa.Engine, "before_cursor_execute", remember)
    ((statement, parameters),) = seen
    engine = engine_of(f"sqlite:///{tmp_path}/catalog.db")
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()  # type: ignore[arg-type]
    engine.dispose()
    assert [row[3] for row in plan] == [
        "SEARCH segments USING INDEX sqlite_autoindex_segments_1 (tenant=? AND dataset=?)"
    ]
