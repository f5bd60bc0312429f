"""A full disk is an error of ours, keeps what was there, leaves nothing half-made, and passes."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tenancy.analytics.errors import StorageFullError
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.testing import MemoryKeys

URL = "tenancy://tenant_001/plays/segments/1.parquet"
MEGABYTE = 1024 * 1024


@pytest.fixture
def tiny() -> Iterator[Path]:
    """A real filesystem of one megabyte."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"a small filesystem cannot be mounted here: {mounted.stderr.decode().strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.fixture
def fs(tiny: Path, keys: MemoryKeys) -> EncryptedFileSystem:
    return EncryptedFileSystem(LocalFileSystem(), str(tiny), keys)


def all_files(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names]


def test_a_durable_write_without_space_is_refused_and_works_when_space_returns(
    fs: EncryptedFileSystem, tiny: Path
) -> None:
    fs.write_durable("tenancy://tenant_001/plays/wal/1.wal", bytes(MEGABYTE // 2))
    with pytest.raises(StorageFullError) as caught:
        fs.write_durable("tenancy://tenant_001/plays/wal/2.wal", bytes(MEGABYTE * 3 // 4))
    assert caught.value.place == "tenancy://tenant_001/plays/wal/2.wal"
    assert all_files(tiny) == ["1.wal"]
    assert fs.cat_file("tenancy://tenant_001/plays/wal/1.wal") == bytes(MEGABYTE // 2)
    fs.rm("tenancy://tenant_001/plays/wal/1.wal")
    fs.write_durable("tenancy://tenant_001/plays/wal/2.wal", bytes(MEGABYTE * 3 // 4))


@pytest.mark.parametrize("piece", [MEGABYTE // 16, 3 * MEGABYTE])
def test_a_stream_without_space_is_refused_and_leaves_nothing(fs: EncryptedFileSystem, tiny: Path, piece: int) -> None:
    def write() -> None:
        with fs.open(URL, "wb") as file:
            for _ in range(3 * MEGABYTE // piece):
                file.write(bytes(piece))

    with pytest.raises(StorageFullError, match=URL):
        write()
    assert all_files(tiny) == []


def test_a_stream_that_fills_the_disk_only_at_its_end_is_refused_by_close(fs: EncryptedFileSystem, tiny: Path) -> None:
    fs.write_durable("tenancy://tenant_001/plays/wal/1.wal", bytes(MEGABYTE // 2))
    file = fs.open(URL, "wb")
    file.write(bytes(MEGABYTE * 3 // 4))  # waits in memory still
    with pytest.raises(StorageFullError, match=URL):
        file.close()
    file.close()
    assert all_files(tiny) == ["1.wal"]


def test_folders_without_space_are_refused(tmp_path: Path, keys: MemoryKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = EncryptedFileSystem(LocalFileSystem(), str(tmp_path), keys)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # A tmpfs takes folders when it is full, so here the system's answer is given by hand.
    monkeypatch.setattr(os, "mkdir", full)
    for call in (fs.makedirs, lambda url: fs.open(url, "wb"), lambda url: fs.write_durable(url, b"x")):
        with pytest.raises(StorageFullError, match="tenant_001"):
            call("tenancy://tenant_001/plays/segments/1")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_remote_store_that_is_full_or_over_quota_is_the_same_error(keys: MemoryKeys, code: int) -> None:
    class Full(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        cachable = False

        def _open(self, *_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

    fs = EncryptedFileSystem(Full(global_store=False), "/root", keys)
    with pytest.raises(StorageFullError, match=URL):
        fs.write_durable(URL, b"x")
    with pytest.raises(StorageFullError, match=URL), fs.open(URL, "wb") as file:
        file.write(b"x")


def test_any_other_failure_of_the_disk_is_itself(fs: EncryptedFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        fs.write_durable(URL, b"x")
    assert not fs.exists(URL)
