"""Paths stay inside their tenant."""

from __future__ import annotations

import pytest

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.location import Location, relative


@pytest.mark.parametrize(
    "path",
    [
        "tenancy://tenant_001/../tenant_002/plays/1.parquet",
        "tenancy://tenant_001/plays/../../../etc/passwd",
        "tenancy://tenant_001/plays//1.parquet",
        "tenancy:///tenant_001/plays/1.parquet",
        "tenancy://tenant_001/plays/./1.parquet",
        "tenancy://tenant_001/plays/.partial-0",
        "tenancy://tenant_001/plays/a\0b",
        "tenancy://tenant_001/plays/..\\1.parquet",
        "tenancy://Tenant 1/plays/1.parquet",
        "tenancy://tenant_001/pl'ays/1.parquet",
        "/etc/passwd",
        "..",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(path: str, fs: EncryptedFileSystem) -> None:
    with pytest.raises(InvalidRequestError):
        relative(path)
    for call in (fs.open, fs.ls, fs.info, fs.exists, fs.rm, fs.makedirs):
        with pytest.raises(InvalidRequestError):
            call(path)
    with pytest.raises(InvalidRequestError):
        fs.write_durable(path, b"")


@pytest.mark.parametrize("path", ["", "tenancy://", "tenancy://tenant_001", "tenancy://tenant_001/plays/"])
def test_a_folder_is_no_file(path: str) -> None:
    with pytest.raises(InvalidRequestError, match="<tenant>/<dataset>/<name>"):
        Location.parse(path)


def test_the_url_of_a_location_names_it_again() -> None:
    place = Location("tenant_001", "plays", "wal/0000000001-000000000002.wal")
    assert Location.parse(place.url) == place
