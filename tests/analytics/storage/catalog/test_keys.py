"""Keys of tenants and API keys: kept by version and id, destroyed and revoked for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tenancy.analytics.errors import ConflictError, UnknownNameError
from tenancy.analytics.security.api_keys import ApiKeyRows, ApiKeys
from tenancy.analytics.security.keys import FileKeyProvider, KeyRows, TenantKeyRing
from tenancy.analytics.storage.catalog import ApiKeyRow, Catalog, KeyRow, TenantCatalog
from tenancy.analytics.storage.catalog.values import EVERY_TENANT
from tenancy.analytics.testing import ManualClock


@pytest.fixture
def api_key(clock: ManualClock) -> ApiKeyRow:
    return ApiKeyRow("id1", "tenant_001", ("writer", "analyst"), b"\x00s", b"\xffh", {"n": 2**14}, "CI", clock.now())


def test_keys_are_found_by_version_and_the_latest_is_the_highest(
    catalog: Catalog, rows: TenantCatalog, clock: ManualClock
) -> None:
    assert catalog.latest_key(rows.tenant) is None
    for version in (9, 10):
        catalog.add_key(rows.tenant, version, b"\x00wrapped %d" % version)
    assert catalog.latest_key(rows.tenant) == KeyRow(rows.tenant, 10, b"\x00wrapped 10", clock.now())
    nine = catalog.key(rows.tenant, 9)
    assert nine is not None
    assert nine.wrapped == b"\x00wrapped 9"
    assert catalog.key(rows.tenant, 8) is None


def test_a_version_of_a_key_is_never_overwritten(catalog: Catalog, rows: TenantCatalog) -> None:
    catalog.add_key(rows.tenant, 1, b"first")
    with pytest.raises(ConflictError, match="version 1"):
        catalog.add_key(rows.tenant, 1, b"second")
    kept = catalog.key(rows.tenant, 1)
    assert kept is not None
    assert kept.wrapped == b"first"


def test_a_tenant_that_does_not_exist_gets_no_key(catalog: Catalog, rows: TenantCatalog, api_key: ApiKeyRow) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{rows.tenant}'"):
        catalog.add_key("tenant_01", 1, b"wrapped")
    with pytest.raises(UnknownNameError):
        catalog.add_api_key(replace(api_key, tenant="tenant_01"))


def test_destroyed_keys_are_in_no_file_any_more(tmp_path: Path) -> None:
    catalog = Catalog(f"sqlite:///{tmp_path}/catalog.db")
    catalog.migrate()
    catalog.create_tenant("tenant_001")
    wrapped = b"wrapped key that must not survive"
    catalog.add_key("tenant_001", 1, wrapped)

    def on_disk() -> bool:
        return any(wrapped in file.read_bytes() for file in tmp_path.iterdir())

    assert on_disk()
    catalog.destroy_keys("tenant_001")
    assert catalog.latest_key("tenant_001") is None
    assert not on_disk()
    catalog.close()


def test_wrapped_keys_and_hashes_are_not_shown(catalog: Catalog, rows: TenantCatalog, api_key: ApiKeyRow) -> None:
    catalog.add_key(rows.tenant, 1, b"hush")
    assert "hush" not in repr(catalog.latest_key(rows.tenant))
    assert repr(api_key.hash) not in repr(api_key)


def test_an_api_key_comes_back_as_it_was(catalog: Catalog, rows: TenantCatalog, api_key: ApiKeyRow) -> None:
    catalog.add_api_key(api_key)
    assert catalog.api_key("id1") == api_key
    assert catalog.api_key("id2") is None
    with pytest.raises(ConflictError):
        catalog.add_api_key(replace(api_key, label="another of the same id"))


def test_api_keys_are_listed_for_their_tenant_only(
    catalog: Catalog, rows: TenantCatalog, api_key: ApiKeyRow, clock: ManualClock
) -> None:
    clock.advance(timedelta(seconds=1))
    later = replace(api_key, id="id0", created_at=clock.now())
    operator = replace(api_key, id="id2", tenant=EVERY_TENANT, roles=("admin",))
    for key in (later, api_key, operator):
        catalog.add_api_key(key)
    assert catalog.api_keys(rows.tenant) == [api_key, later]
    assert catalog.api_keys(EVERY_TENANT) == [operator]


def test_a_key_is_revoked_once_and_by_its_tenant_only(
    catalog: Catalog, rows: TenantCatalog, api_key: ApiKeyRow, clock: ManualClock
) -> None:
    catalog.add_api_key(api_key)
    assert not catalog.revoke_api_key("other", "id1")
    assert catalog.api_key("id1") == api_key
    clock.advance(timedelta(hours=1))
    assert catalog.revoke_api_key(rows.tenant, "id1")
    revoked = replace(api_key, revoked_at=clock.now())
    clock.advance(timedelta(hours=1))
    assert not catalog.revoke_api_key(rows.tenant, "id1"), "the first revocation is the one that counts"
    assert catalog.api_key("id1") == revoked


def test_the_catalog_is_what_security_keeps_its_keys_in(catalog: Catalog, rows: TenantCatalog, tmp_path: Path) -> None:
    """Typed by the protocols of `security`, which this assignment holds the catalog to."""
    key_rows: KeyRows = catalog
    api_key_rows: ApiKeyRows = catalog
    ring = TenantKeyRing(key_rows, FileKeyProvider(str(tmp_path / "master.key")))
    ring.create(rows.tenant)
    first = ring.current(rows.tenant)
    assert ring.rotate(rows.tenant) == 2
    assert (ring.key(rows.tenant, 1), ring.current(rows.tenant)[0]) == (first[1], 2)
    made = ApiKeys(api_key_rows).create(rows.tenant, ["analyst"])
    assert ApiKeys(api_key_rows).verify(made.text).tenant == rows.tenant
