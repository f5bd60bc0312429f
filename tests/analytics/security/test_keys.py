"""A tenant's key is made once, can be renewed, and when it is destroyed nothing can be read."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from fsspec.implementations.local import LocalFileSystem

from tenancy.analytics.errors import IntegrityError, UnknownNameError
from tenancy.analytics.security.keys import MasterKey, TenantKeyRing
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.testing import ManualClock

MASTER = MasterKey(bytes(range(32)))
URL = "tenancy://tenant_001/plays/wal/1.wal"


@pytest.fixture
def ring(catalog: Catalog, clock: ManualClock) -> TenantKeyRing:
    ring = TenantKeyRing(catalog, MASTER, clock)
    ring.create("tenant_001")
    ring.create("tenant_002")
    return ring


def test_each_tenant_has_a_key_of_its_own(ring: TenantKeyRing) -> None:
    version, key = ring.current("tenant_001")
    assert (version, len(key)) == (1, 32)
    assert ring.key("tenant_001", 1) == key
    assert ring.current("tenant_002")[1] != key


def test_a_key_is_kept_only_wrapped(ring: TenantKeyRing, catalog: Catalog, tmp_path: Path) -> None:
    key = ring.current("tenant_001")[1]
    catalog.close()
    assert not any(key in file.read_bytes() for file in tmp_path.iterdir())


def test_creating_again_changes_nothing(ring: TenantKeyRing) -> None:
    before = ring.current("tenant_001")
    ring.create("tenant_001")
    assert ring.current("tenant_001") == before


def test_creating_at_once_makes_one_key(catalog: Catalog) -> None:
    rings = [TenantKeyRing(catalog, MASTER) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda ring: ring.create("tenant_001"), rings))
    assert len({ring.current("tenant_001") for ring in rings}) == 1


def test_a_tenant_without_a_key_is_a_clear_error(catalog: Catalog) -> None:
    ring = TenantKeyRing(catalog, MASTER)
    with pytest.raises(UnknownNameError, match="unknown key of tenant 'tenant_001'; it was destroyed or never made"):
        ring.current("tenant_001")
    with pytest.raises(UnknownNameError):
        ring.key("tenant_001", 1)
    with pytest.raises(UnknownNameError):
        ring.rotate("tenant_001")
    with pytest.raises(UnknownNameError):
        ring.create("nobody")


def test_rotation_makes_a_new_version_and_keeps_the_old(ring: TenantKeyRing) -> None:
    old = ring.current("tenant_001")[1]
    assert ring.rotate("tenant_001") == 2
    version, new = ring.current("tenant_001")
    assert version == 2
    assert new != old
    assert ring.key("tenant_001", 1) == old


def test_destruction_leaves_nothing_readable_and_nothing_in_memory(ring: TenantKeyRing, tmp_path: Path) -> None:
    fs = EncryptedFileSystem(LocalFileSystem(), str(tmp_path), ring)
    fs.write_durable(URL, b"hello")
    fs.write_durable(URL.replace("001", "002"), b"others")
    ring.rotate("tenant_001")
    ring.destroy("tenant_001")
    for call in (lambda: ring.current("tenant_001"), lambda: ring.key("tenant_001", 1)):
        with pytest.raises(UnknownNameError):
            call()
    with pytest.raises(IntegrityError, match=URL):
        fs.open(URL)
    with pytest.raises(UnknownNameError):
        fs.write_durable(f"{URL}2", b"more")
    assert fs.cat_file(URL.replace("001", "002")) == b"others"


def test_a_tenant_made_anew_does_not_get_its_old_files_back(ring: TenantKeyRing, tmp_path: Path) -> None:
    fs = EncryptedFileSystem(LocalFileSystem(), str(tmp_path), ring)
    fs.write_durable(URL, b"hello")
    ring.destroy("tenant_001")
    ring.create("tenant_001")
    with pytest.raises(IntegrityError, match="does not open with its tenant's key"):
        fs.open(URL)


def test_keys_are_unwrapped_once_and_remembered_for_a_while(catalog: Catalog, clock: ManualClock) -> None:
    class Counting:
        unwrapped = 0

        def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
            return MASTER.wrap(key, context)

        def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
            self.unwrapped += 1
            return MASTER.unwrap(wrapped, context)

    provider = Counting()
    ring = TenantKeyRing(catalog, provider, clock, cache_seconds=60)
    ring.create("tenant_001")
    for _ in range(10):
        ring.current("tenant_001")
        ring.key("tenant_001", 1)
    assert provider.unwrapped == 1
    clock.advance(timedelta(seconds=61))
    ring.current("tenant_001")
    assert provider.unwrapped == 2


def test_what_another_process_did_is_noticed_in_time(catalog: Catalog, clock: ManualClock) -> None:
    here, there = (TenantKeyRing(catalog, MASTER, clock, cache_seconds=60) for _ in range(2))
    here.create("tenant_001")
    assert here.current("tenant_001")[0] == 1
    there.rotate("tenant_001")
    clock.advance(timedelta(seconds=61))
    assert here.current("tenant_001")[0] == 2
    there.destroy("tenant_001")
    clock.advance(timedelta(seconds=61))
    for call in (lambda: here.current("tenant_001"), lambda: here.key("tenant_001", 1)):
        with pytest.raises(UnknownNameError):
            call()


def test_a_key_being_read_while_it_is_destroyed_does_not_stay_in_memory(catalog: Catalog) -> None:
    reading, destroyed = Event(), Event()

    class Slow:
        def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
            return MASTER.wrap(key, context)

        def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
            reading.set()
            assert destroyed.wait(10)
            return MASTER.unwrap(wrapped, context)

    ring = TenantKeyRing(catalog, Slow())
    ring.create("tenant_001")
    reader = Thread(target=ring.current, args=("tenant_001",))
    reader.start()
    assert reading.wait(10)
    ring.destroy("tenant_001")
    destroyed.set()
    reader.join()
    with pytest.raises(UnknownNameError):
        ring.current("tenant_001")


def test_a_wrapped_key_of_another_tenant_is_refused(ring: TenantKeyRing, catalog: Catalog) -> None:
    row = catalog.key("tenant_002", 1)
    assert row is not None
    catalog.add_key("tenant_001", 2, row.wrapped)
    with pytest.raises(IntegrityError, match="'tenant_001'"):
        ring.current("tenant_001")


def test_a_ring_masks_itself(ring: TenantKeyRing) -> None:
    assert repr(ring) == "TenantKeyRing(***)"
