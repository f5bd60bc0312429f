"""What one tenant writes, no other sees: as a law over histories, over the statements sent, and over the source."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage import catalog as package
from tenancy.analytics.storage.catalog import (
    ApiKeyRow,
    Catalog,
    Change,
    DedupRun,
    IdempotencyRecord,
    ShardLayout,
    TenantCatalog,
    UsageAddition,
    WalPosition,
)
from tenancy.analytics.storage.catalog._scoped import Scoped
from tenancy.analytics.storage.catalog._tables import datasets, metadata, segments, tenants
from tenancy.analytics.storage.snapshot import Segment
from tenancy.analytics.testing import ManualClock

NOON = ManualClock().now()
_numbers = itertools.count()

# Few names on purpose: tenants that use the same ones are those that could meet.
_names = st.sampled_from(["plays", "skips"])
_ids = st.sampled_from(["1", "2", "3"])


@dataclass(frozen=True)
class Step:
    """One call; the law does not care which."""

    what: str
    dataset: str
    id: str
    number: int

    def take(self, rows: TenantCatalog) -> None:
        epoch, when = rows.epoch(), NOON + timedelta(hours=self.number)
        match self.what:
            case "raise":
                rows.raise_epoch()
            case "schema":
                fields = {f"f{self.id}": FieldSpec(type=FieldType.STRING)}
                rows.save_dataset(DatasetSchema(name=self.dataset, fields=fields), epoch)
            case "model":
                rows.save_model(f"model {self.number}", epoch)
            case "add":
                new = Segment(self.id, f"{self.dataset}/{self.id}", self.number, 1, None, when, {})
                record = IdempotencyRecord(self.id, b"f", bytes([self.number]), when)
                run = DedupRun(self.id, f"{self.dataset}/{self.id}.ids", self.number, when, when)
                position = WalPosition(epoch, self.number)
                rows.commit(Change(self.dataset, {self.dataset: (new,)}, {}, position, (record,), (run,)), epoch)
            case "remove":
                rows.commit(Change(self.dataset, remove={self.dataset: (self.id,)}), epoch)
            case "expire":
                rows.expire(when)
            case "forget":
                rows.forget_dead(rows.dead_segments()[:1])
            case "use":
                amounts = {(NOON + timedelta(hours=int(self.id)), self.dataset): self.number}
                rows.add_usage(UsageAddition(f"source {self.id}", self.number, amounts), epoch)
            case "limits":
                rows.set_limits({"events_per_second": self.number})
            case "offset":
                rows.save_source_offset(self.id, str(self.number))


_WHAT = [
    "raise",
    "schema",
    "model",
    "add",
    "add",
    "add",
    "remove",
    "expire",
    "forget",
    "offset",
    "use",
    "use",
    "limits",
]
_steps = st.builds(Step, st.sampled_from(_WHAT), _names, _ids, st.integers(0, 9))


def view(rows: TenantCatalog) -> list[Any]:
    """All that a tenant can see."""
    found: list[Any] = [rows.epoch(), rows.datasets(), rows.model(), rows.model_version(), rows.dead_segments()]
    for dataset in ("plays", "skips"):
        found += [rows.segments(dataset), rows.wal_position(dataset), rows.dedup_runs(dataset, NOON)]
        found += [rows.usage(NOON, NOON + timedelta(hours=99)), rows.record().limits, rows.stored_bytes()]
        found += [rows.dataset_version(dataset), *(rows.idempotency(dataset, id) for id in "123")]
    return found + [rows.source_offset(id) for id in "123"]


@given(st.lists(st.tuples(st.booleans(), _steps), max_size=25))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_others_do_makes_no_difference_to_a_tenant(catalog: Catalog, history: list[tuple[bool, Step]]) -> None:
    """A tenant among others ends as one that was alone all the time."""

    def tenant() -> TenantCatalog:
        name = f"t{next(_numbers)}"
        catalog.create_tenant(name)
        return catalog.tenant(name)

    mine, other, alone = tenant(), tenant(), tenant()
    for is_mine, step in history:
        step.take(mine if is_mine else other)
    for is_mine, step in history:
        if is_mine:
            step.take(alone)
    assert view(mine) == view(alone)
    catalog.delete_tenant(other.tenant)
    assert view(mine) == view(alone), "also when the others are deleted"


CALLS: dict[str, Callable[[TenantCatalog], object]] = {
    "add_usage": lambda rows: Step("use", "plays", "1", 1).take(rows),
    "commit": lambda rows: Step("add", "plays", "1", 1).take(rows),
    "dataset": lambda rows: rows.dataset("plays"),
    "dataset_version": lambda rows: rows.dataset_version("plays"),
    "datasets": lambda rows: rows.datasets(),
    "dead_segments": lambda rows: rows.dead_segments(),
    "dedup_runs": lambda rows: rows.dedup_runs("plays", NOON),
    "epoch": lambda rows: rows.epoch(),
    "expire": lambda rows: rows.expire(NOON),
    "forget_dead": lambda rows: rows.forget_dead(["plays/1"]),
    "idempotency": lambda rows: rows.idempotency("plays", "1"),
    "model": lambda rows: rows.model(),
    "model_version": lambda rows: rows.model_version(),
    "raise_epoch": lambda rows: rows.raise_epoch(),
    "record": lambda rows: rows.record(),
    "save_dataset": lambda rows: Step("schema", "plays", "1", 1).take(rows),
    "save_model": lambda rows: rows.save_model("a: 1", rows.epoch()),
    "save_source_offset": lambda rows: rows.save_source_offset("1", "2"),
    "segments": lambda rows: rows.segments("plays"),
    "source_offset": lambda rows: rows.source_offset("1"),
    "set_limits": lambda rows: rows.set_limits({}),
    "stored_bytes": lambda rows: rows.stored_bytes(),
    "usage": lambda rows: rows.usage(NOON, NOON),
    "wal_position": lambda rows: rows.wal_position("plays"),
}


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that goes through SQLAlchemy meanwhile."""
    seen: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", remember)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", remember)


def test_the_list_of_calls_is_whole() -> None:
    assert {name for name, member in vars(TenantCatalog).items() if callable(member) and name[0] != "_"} == set(CALLS)


def test_every_statement_of_a_tenant_names_the_tenant(catalog: Catalog, rows: TenantCatalog) -> None:
    Step("add", "plays", "9", 1).take(rows)
    for name in sorted(CALLS.keys() - {"epoch"}):  # which goes past SQLAlchemy: see the next test
        with statements() as seen:
            CALLS[name](rows)
        about_rows = [sql for sql in seen if not sql.startswith(("BEGIN", "PRAGMA"))]
        assert about_rows, name
        for sql in about_rows:
            assert re.search(r"WHERE .*\.tenant = |INSERT INTO \w+ \([^)]*\btenant\b", sql, re.DOTALL), sql


def test_each_tenant_has_an_epoch_of_its_own(catalog: Catalog) -> None:
    for name, times in (("a", 1), ("b", 2), ("c", 0)):
        catalog.create_tenant(name)
        for _ in range(times):
            catalog.tenant(name).raise_epoch()
    assert [catalog.tenant(name).epoch() for name in "abc"] == [1, 2, 0]


def test_a_condition_cannot_look_into_another_table(catalog_url: str) -> None:
    engine = sa.create_engine(catalog_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        scoped = Scoped(connection, "tenant_001")
        foreign = sa.exists().where(tenants.c.epoch > 0)
        for condition in (datasets.c.name == "plays", foreign, segments.c.id.in_(sa.select(tenants.c.tenant))):
            for call in (scoped.select, scoped.delete, lambda *given: scoped.update(given[0], {"rows": 1}, given[1])):
                with pytest.raises(ValueError, match="another table"):
                    call(segments, condition)
    engine.dispose()


def test_rows_are_given_to_their_tenant_whatever_they_say(catalog: Catalog, catalog_url: str) -> None:
    for name in ("a", "b"):
        catalog.create_tenant(name)
    engine = sa.create_engine(catalog_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        scoped = Scoped(connection, "a")
        scoped.insert(metadata.tables["models"], [{"tenant": "b", "version": 1, "text": "t", "created_at": 0}])
        with pytest.raises(ValueError, match="another tenant"):
            scoped.update(tenants, {"tenant": "b"})
    engine.dispose()
    assert (catalog.tenant("a").model(), catalog.tenant("b").model()) == ("t", None)


MAY_EXECUTE = {"_database.py", "_directory.py", "_migrate.py", "_scoped.py"}
MAKES_STATEMENTS = {"select", "insert", "update", "delete", "text", "union", "exists", "literal_column"}
RUNS_STATEMENTS = {"execute", "exec_driver_sql", "scalar", "scalars", "connect", "raw_connection", "_connection"}


def test_no_other_module_makes_or_runs_a_statement() -> None:
    """The rows of tenants are reached through `_scoped.py`; `_directory.py` reads across them and says what for."""
    folder = Path(str(package.__file__)).parent
    modules = [file for file in folder.glob("*.py") if file.name not in MAY_EXECUTE]
    assert {"tenant_catalog.py", "catalog.py"} <= {file.name for file in modules}
    for file in modules:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                assert not {alias.name for alias in node.names} & MAKES_STATEMENTS, file.name
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("sqlalchemy") for alias in node.names), file.name
            if isinstance(node, ast.Attribute):
                assert node.attr not in RUNS_STATEMENTS, f"{file.name}:{node.lineno}"


def test_what_reads_across_tenants_reads_two_tables_only() -> None:
    source = (Path(str(package.__file__)).parent / "_directory.py").read_text()
    imported = {
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("_tables")
        for alias in node.names
    }
    assert imported == {"tenants", "api_keys"}


def test_every_table_has_a_tenant() -> None:
    for table in metadata.tables.values():
        assert "tenant" in table.c
        assert table.name == "api_keys" or next(iter(table.primary_key)).name == "tenant"


def test_deleting_a_tenant_removes_its_rows_from_every_table_and_nobody_elses(
    catalog: Catalog, catalog_url: str, clock: ManualClock
) -> None:
    for name in ("gone", "kept"):
        catalog.create_tenant(name)
        rows = catalog.tenant(name)
        catalog.add_key(name, 1, b"wrapped")
        catalog.add_api_key(ApiKeyRow(f"of-{name}", name, ("admin",), b"", b"", {}, "", clock.now()))
        for what, id in (
            ("schema", "1"),
            ("model", "1"),
            ("add", "1"),
            ("add", "2"),
            ("remove", "2"),
            ("offset", "1"),
            ("use", "1"),
        ):
            Step(what, "plays", id, 1).take(rows)
        catalog.change_layout(name, ShardLayout(1, 2, 2), {name: rows.epoch()}, {})
    engine = sa.create_engine(catalog_url.replace("postgresql:", "postgresql+psycopg:"))

    def counts(name: str) -> dict[str, int]:
        with engine.connect() as connection:
            return {
                table.name: connection.execute(
                    sa.select(sa.func.count()).select_from(table).where(table.c.tenant == name)
                ).scalar_one()
                for table in metadata.sorted_tables
                if table.name != "tombstones"  # outlives the tenant, by intention
            }

    before = counts("kept")
    assert all(before.values()), f"a table this test leaves empty proves nothing: {before}"
    assert counts("gone") == before
    catalog.delete_tenant("gone")
    assert not any(counts("gone").values())
    assert counts("kept") == before
    engine.dispose()
