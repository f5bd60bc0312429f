"""Brings the tables up to date, once, however many processes start at the same time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from tenancy.analytics.errors import ConfigurationError
from tenancy.analytics.storage.catalog._database import Database

LATEST = "0004"
"""The newest revision in `migrations/versions`; a test holds the two together."""

SCRIPTS = Path(__file__).with_name("migrations")

_LOCK = 0x74656E616E6379
"""Any number that nothing else on the server locks: 'tenancy' in ASCII."""


def migrate(database: Database) -> None:
    """Run the migrations that `database` lacks, all in one transaction.

    Raises ConfigurationError when the tables were made by a newer version than this one.
    """
    if database.read(_revision) == LATEST:
        return
    database.write(_upgrade)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    # Imported here because Alembic takes 0.2 s to import, which every host would pay at every start for
    # what happens once for each new version.
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    present = _revision(connection)
    scripts = ScriptDirectory(str(SCRIPTS))
    try:
        missing = list(scripts.iterate_revisions("head", present or "base"))
    except RevisionError as error:
        raise ConfigurationError(
            "storage.catalog_url",
            present,
            f"the catalog's tables were made by another version than this one, which knows {LATEST!r}; upgrade it",
        ) from error
    context = MigrationContext.configure(connection)
    with Operations.context(context):
        for revision in reversed(missing):
            revision.module.upgrade()
    context.stamp(scripts, "head")
