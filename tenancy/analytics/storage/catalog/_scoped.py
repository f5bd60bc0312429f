"""Row-level tenant scoping: the one place that reads and writes rows of tenants.

Every statement is made here, from a table and conditions, and every one gets `tenant = :tenant`. Callers never
see a connection, so they have no way to forget it; conditions that look into another table are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.util import find_tables

from tenancy.analytics.storage.catalog._database import Database

T = TypeVar("T")
Existing = Literal["refuse", "keep", "replace", "add"]

NAMES_AT_ONCE = 10_000
"""Names in one IN list; SQLite takes 32,766 parameters, PostgreSQL 65,535."""


class Scoped:
    """The rows of one tenant, inside one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self.tenant = tenant
        self._connection = connection

    def select(
        self,
        table: Table,
        *where: ColumnElement[bool],
        order_by: Sequence[ColumnElement[Any]] = (),
        limit: int | None = None,
        lock: bool = False,
    ) -> Sequence[Row[Any]]:
        """The rows that satisfy every condition. `lock` makes other writers of them wait for this transaction.

        (SQLite has one writer at a time, so there the lock is the transaction itself.)
        """
        statement = selection(table, *table.c).where(*_within(table, where)).order_by(*order_by).limit(limit)
        if lock:
            statement = statement.with_for_update(key_share=True)
        return self._connection.execute(statement, {"scope": self.tenant}).all()

    def first(
        self, table: Table, *where: ColumnElement[bool], order_by: Sequence[ColumnElement[Any]] = (), lock: bool = False
    ) -> Row[Any] | None:
        """The first of the rows that satisfy every condition."""
        found = self.select(table, *where, order_by=order_by, limit=1, lock=lock)
        return found[0] if found else None

    def total(self, column: Column[Any]) -> int:
        """The sum of a column over all rows of the tenant."""
        table = _table_of(column)
        statement = select(func.coalesce(func.sum(column), 0)).where(_mine(table))
        return int(self._connection.execute(statement, {"scope": self.tenant}).scalar_one())

    def insert(self, table: Table, rows: Iterable[Mapping[str, Any]], existing: Existing = "refuse") -> None:
        """Add `rows`; of one whose primary key is there, refuse it, keep the old, take the new, or add both up."""
        values = [{**row, "tenant": self.tenant} for row in rows]
        if not values:
            return
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        statement = dialect.insert(table)
        key = [column.name for column in table.primary_key]
        if existing == "keep":
            statement = statement.on_conflict_do_nothing(index_elements=key)
        elif existing != "refuse":
            new = {name: statement.excluded[name] for name in values[0] if name not in key}
            if existing == "add":
                new = {name: table.c[name] + value for name, value in new.items()}
            # Without the condition, a table whose key does not begin with the tenant would let one overwrite another's.
            statement = statement.on_conflict_do_update(
                index_elements=key, set_=new, where=table.c.tenant == statement.excluded.tenant
            )
        self._connection.execute(statement, values)

    def update(self, table: Table, values: Mapping[str, Any], *where: ColumnElement[bool]) -> int:
        """Change the rows that satisfy every condition; returns how many."""
        if "tenant" in values:
            raise ValueError("a row cannot be moved to another tenant")
        statement = update(table).where(_mine(table), *_within(table, where)).values(**values)
        return self._connection.execute(statement, {"scope": self.tenant}).rowcount

    def delete(self, table: Table, *where: ColumnElement[bool]) -> int:
        """Remove the rows that satisfy every condition; returns how many."""
        statement = delete(table).where(_mine(table), *_within(table, where))
        return self._connection.execute(statement, {"scope": self.tenant}).rowcount

    def delete_named(self, column: Column[Any], names: Iterable[str], *where: ColumnElement[bool]) -> int:
        """Remove the rows whose `column` is one of `names`, however many there are."""
        table = _table_of(column)
        return sum(self.delete(table, column.in_(part), *where) for part in _parts(names))

    def select_named(self, column: Column[Any], names: Iterable[str], *where: ColumnElement[bool]) -> list[Row[Any]]:
        """The rows whose `column` is one of `names`, however many there are."""
        table = _table_of(column)
        return [row for part in _parts(names) for row in self.select(table, column.in_(part), *where)]


class TenantRows:
    """The way to one tenant's rows: each call is one transaction over a `Scoped`."""

    def __init__(self, database: Database, tenant: str) -> None:
        self.tenant = tenant
        self._database = database

    def read(self, work: Callable[[Scoped], T]) -> T:
        """Run `work`, which reads with one statement."""
        return self._database.read(lambda connection: work(Scoped(connection, self.tenant)))

    def write(self, work: Callable[[Scoped], T]) -> T:
        """Run `work` in one transaction: all of it or nothing. It may be run again after contention."""
        return self._database.write(lambda connection: work(Scoped(connection, self.tenant)))


class ScopedValue:
    """One column of a tenant's row in a table, read by a statement that is compiled once.

    `by` are the columns that tell the tenant's rows in this table apart.
    """

    def __init__(self, database: Database, column: Column[Any], by: Sequence[Column[Any]] = ()) -> None:
        table = _table_of(column)
        conditions = _within(table, [part == bindparam(part.name) for part in by])
        self._run = database.prepared(selection(table, column).where(*conditions))

    def of(self, tenant: str, **values: str) -> Any:
        """The value, or None where the tenant has no such row."""
        return self._run({"scope": tenant, **values})


def selection(table: Table, *columns: Column[Any]) -> Select[Any]:
    """`columns` of the rows of the tenant that the parameter `scope` names."""
    return select(*columns).where(_mine(table))


def _mine(table: Table) -> ColumnElement[bool]:
    return table.c.tenant == bindparam("scope")


def _within(table: Table, where: Sequence[ColumnElement[bool]]) -> Sequence[ColumnElement[bool]]:
    for condition in where:
        columns = find_tables(condition, check_columns=True, include_selects=True)
        if any(found is not table for found in columns):
            raise ValueError(f"a condition on {table.name!r} looks into another table: {condition}")
    return where


def _table_of(column: Column[Any]) -> Table:
    table = column.table
    if not isinstance(table, Table):
        raise TypeError(f"{column!r} belongs to no table")
    return table


def _parts(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while part := list(islice(rest, NAMES_AT_ONCE)):
        yield part
