"""Alembic migrations of the catalog, shipped with it and run by `Catalog.migrate`: there is no `alembic.ini`.

To change a table: edit `_tables.py`, add a file to `versions/` that gets there from the revision before it, and
name it in `_migrate.LATEST`. Tests compare the result with `_tables.py` on every database.
"""
