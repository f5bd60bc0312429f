"""Whether storage and catalog would take a write now and give it back: tried, the way that events take."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem

from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import IntegrityError, UnavailableError
from tenancy.analytics.storage import _local
from tenancy.analytics.storage._space import full_disk_is_an_error_of_ours
from tenancy.analytics.storage.filesystem import base_filesystem

PREFIX = ".probe-"


@dataclass(frozen=True, slots=True)
class StorageProbe:
    """How long storage took for a small object, in seconds."""

    write_s: float
    """Until it was durable, with its name."""
    read_s: float


def probe_storage(config: StorageConfig) -> StorageProbe:
    """Write a small object durably, read it back, remove it.

    Raises StorageFullError, UnavailableError when storage refuses, IntegrityError when it gives back something else.
    """
    filesystem, root = base_filesystem(config)
    path, sent = f"{root.rstrip('/')}/{PREFIX}{uuid4().hex}", uuid4().bytes
    local = isinstance(filesystem, LocalFileSystem)
    if local and not os.path.isdir(root):  # made by whoever stores first, and not by who looks
        raise UnavailableError("storage", f"there is no folder {root}")
    try:
        began = time.perf_counter()
        with full_disk_is_an_error_of_ours(config.root):
            if local:
                _local.write_durable(path, sent)
            else:
                filesystem.pipe_file(path, sent)
        written = time.perf_counter()
        found = filesystem.cat_file(path)
        read = time.perf_counter()
        filesystem.rm_file(path)
    except OSError as error:
        raise UnavailableError("storage", error.strerror or str(error)) from error
    if found != sent:
        raise IntegrityError(config.root, "an object that was just written came back changed")
    return StorageProbe(written - began, read - written)


def free_bytes(config: StorageConfig) -> int | None:
    """Space left where events are kept; None where that is no local folder."""
    filesystem, root = base_filesystem(config)
    if not isinstance(filesystem, LocalFileSystem):
        return None
    space = os.statvfs(root)
    return space.f_bavail * space.f_frsize
