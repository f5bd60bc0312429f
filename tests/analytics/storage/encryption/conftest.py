"""An encrypted filesystem over a folder, and the places where its bytes really are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.testing import MemoryKeys


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def fs(tmp_path: Path, keys: MemoryKeys) -> EncryptedFileSystem:
    return EncryptedFileSystem(LocalFileSystem(), str(tmp_path), keys)


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[str], Path]:
    """The file on disk that holds what a URL names."""
    return lambda url: tmp_path / "tenants" / url.removeprefix("tenancy://")
