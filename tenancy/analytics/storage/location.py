"""Where an encrypted file is: `tenancy://<tenant>/<dataset>/<name>`, taken apart and checked."""

from __future__ import annotations

from dataclasses import dataclass

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.types import NAME_PATTERN, stored_id

PROTOCOL = "tenancy"


@dataclass(frozen=True, slots=True)
class Location:
    """One file of one dataset of one tenant. All three are bound into every frame of the file.

    >>> Location.parse("tenancy://tenant_001/plays/segments/1.parquet")
    Location(tenant='tenant_001', dataset='plays', name='segments/1.parquet')
    >>> Location.parse("tenancy://tenant_001/plays/../../tenant_002/plays/1.parquet")
    Traceback (most recent call last):
    tenancy.analytics.errors.InvalidRequestError: path: \
'tenant_001/plays/../../tenant_002/plays/1.parquet' is not valid; use names that are not empty and do not begin with '.'
    """

    tenant: str
    dataset: str
    name: str

    @property
    def url(self) -> str:
        return f"{PROTOCOL}://{self.tenant}/{self.dataset}/{self.name}"

    @classmethod
    def parse(cls, path: str) -> Location:
        """The location of a file; InvalidRequestError where `path` names a folder or nothing at all."""
        tenant, _, rest = (path := relative(path)).partition("/")
        dataset, _, name = rest.partition("/")
        if not name:
            raise InvalidRequestError("path", path, f"name a file as {PROTOCOL}://<tenant>/<dataset>/<name>")
        return cls(tenant, dataset, name)


def relative(path: str) -> str:
    """`path`, of a file or folder, below the root, without the protocol.

    >>> relative("tenancy://tenant_001/plays/")
    'tenant_001/plays'

    Raises InvalidRequestError for a path that could lead out of its tenant or that names a hidden file, which is
    how partial files are told from whole ones.
    """
    path = path.removeprefix(f"{PROTOCOL}://").rstrip("/")
    if not path:
        return path
    parts = path.split("/")
    for part in parts:
        if not part or part[0] == "." or "\0" in part or "\\" in part:
            raise InvalidRequestError("path", path, "use names that are not empty and do not begin with '.'")
    stored_id(parts[0])
    if len(parts) > 1 and not NAME_PATTERN.fullmatch(parts[1]):
        raise InvalidRequestError("path", path, f"use {PROTOCOL}://<tenant>/<dataset>/<name>")
    return path
