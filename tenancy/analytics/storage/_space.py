"""What a full disk means, decided in one place."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tenancy.analytics.errors import StorageFullError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def full_disk_is_an_error_of_ours(place: str) -> Iterator[None]:
    """Turn the system's "no space left" and "quota exceeded" into a StorageFullError that names `place`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(place) from error
        raise
