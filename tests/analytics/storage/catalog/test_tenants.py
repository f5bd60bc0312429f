"""Tenants are registered once, found by name, listed in order, and deleted whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import ConfigurationError, ConflictError, InvalidRequestError, UnknownNameError
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.catalog import Catalog, Change, TenantCatalog
from tenancy.analytics.testing import ManualClock


def test_a_new_tenant_has_its_settings_and_no_owner(catalog: Catalog, clock: ManualClock) -> None:
    record = catalog.create_tenant("tenant_001", {"time_zone": "Europe/Vienna", "limits": {"rows": 5}})
    assert (record.id, record.epoch, record.created_at) == ("tenant_001", 0, clock.now())
    assert record.settings == {"limits": {"rows": 5}, "time_zone": "Europe/Vienna"}
    assert catalog.tenant("tenant_001").record() == record


def test_creating_again_with_the_same_settings_changes_nothing(catalog: Catalog) -> None:
    first = catalog.create_tenant("tenant_001", {"a": 1, "b": 2})
    epoch = catalog.tenant("tenant_001").raise_epoch()
    again = catalog.create_tenant("tenant_001", {"b": 2, "a": 1})
    assert (again.created_at, again.epoch) == (first.created_at, epoch)


def test_creating_again_with_other_settings_is_a_conflict(catalog: Catalog) -> None:
    catalog.create_tenant("tenant_001", {"a": 1})
    with pytest.raises(ConflictError, match="tenant_001"):
        catalog.create_tenant("tenant_001", {"a": 2})
    assert catalog.tenant("tenant_001").record().settings == {"a": 1}


def test_a_name_that_could_leave_its_folder_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="tenant id"):
        catalog.create_tenant("../other")


def test_settings_that_json_cannot_hold_are_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="tenant settings"):
        catalog.create_tenant("tenant_001", {"a": object()})
    assert not catalog.has_tenant("tenant_001")


def test_an_unknown_tenant_is_answered_with_near_ones(catalog: Catalog) -> None:
    catalog.create_tenant("tenant_001")
    catalog.create_tenant("other")
    with pytest.raises(UnknownNameError) as caught:
        catalog.tenant("tenant_01")
    assert caught.value.suggestions == ("tenant_001",)


def test_paging_sees_every_tenant_once_in_order_of_bytes(catalog: Catalog) -> None:
    names = ["a-b", "a_b", "ab", "b", "0", "a", "a-c", "a_a"]
    for name in names:
        catalog.create_tenant(name)
    seen: list[str] = []
    while page := catalog.tenants(after=seen[-1] if seen else "", limit=3):
        seen += [record.id for record in page]
    assert seen == sorted(names)


def test_each_take_over_raises_the_epoch_by_one(rows: TenantCatalog) -> None:
    assert [rows.epoch(), rows.raise_epoch(), rows.raise_epoch(), rows.epoch()] == [0, 1, 2, 2]


def test_handles_of_a_deleted_tenant_say_that_it_is_gone(catalog: Catalog, rows: TenantCatalog) -> None:
    epoch = rows.raise_epoch()
    catalog.delete_tenant("tenant_001")
    assert not catalog.has_tenant("tenant_001")
    for call in (
        rows.epoch,
        rows.record,
        rows.raise_epoch,
        lambda: rows.save_model("{}", epoch),
        lambda: rows.save_source_offset("s", "1"),
        lambda: rows.save_dataset(DatasetSchema(name="plays"), epoch),
        lambda: rows.commit(Change("plays"), epoch),
    ):
        with pytest.raises(UnknownNameError, match="tenant_001"):
            call()


def test_deleting_twice_is_no_error(catalog: Catalog, rows: TenantCatalog) -> None:
    catalog.delete_tenant(rows.tenant)
    catalog.delete_tenant(rows.tenant)


def test_the_database_is_below_the_root_unless_a_url_is_given(tmp_path: Path) -> None:
    root = tmp_path / "a root with spaces & %41?"
    Catalog.open(StorageConfig(root=str(root))).close()
    database = root / "catalog.db"
    assert database.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("config", [
    {"root": "s3://bucket/prefix"},
    {"catalog_url": "mysql://user:hush@host/db"},
    {"catalog_url": "sqlite://"},
    {"catalog_url": "not a url, hush"},
])  # fmt: skip
def test_a_place_that_cannot_hold_a_catalog_is_a_configuration_error(config: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"storage\.catalog_url") as caught:
        Catalog.open(StorageConfig.model_validate(config))
    assert "hush" not in str(caught.value)


def test_a_name_registered_anew_goes_on_with_higher_epochs(catalog: Catalog) -> None:
    catalog.create_tenant("tenant_001")
    last = [catalog.tenant("tenant_001").raise_epoch() for _ in range(3)][-1]
    catalog.delete_tenant("tenant_001")

    assert catalog.create_tenant("tenant_001").epoch == last
    assert catalog.tenant("tenant_001").raise_epoch() == last + 1
    catalog.delete_tenant("tenant_001")
    assert catalog.create_tenant("tenant_001").epoch == last + 1


def test_who_took_a_tenant_over_last_is_known(catalog: Catalog) -> None:
    assert catalog.create_tenant("tenant_001").owner == ""
    rows = catalog.tenant("tenant_001")
    rows.raise_epoch("shared-0")
    rows.raise_epoch("shared-1")

    assert (rows.record().epoch, rows.record().owner) == (2, "shared-1")
