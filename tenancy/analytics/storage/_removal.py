"""Deleting a file that nothing needs any more, where it does no harm if that has to wait."""

from __future__ import annotations

import logging

from fsspec import AbstractFileSystem

_log = logging.getLogger(__name__)


def removed(fs: AbstractFileSystem, url: str) -> bool:
    """Whether the file at `url` is gone now. One that cannot be deleted is logged, for the caller to try again."""
    try:
        fs.rm_file(url)
    except FileNotFoundError:
        return True
    except OSError as error:
        _log.warning("%s is not needed any more and cannot be deleted yet: %s", url, error)
        return False
    return True
