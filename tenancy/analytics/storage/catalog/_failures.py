"""What the database's own errors mean here, decided in one place from the codes the drivers give."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlalchemy import exc

from tenancy.analytics.errors import (
    AnalyticsError,
    CatalogUnavailableError,
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    StorageFullError,
)

FAILURES = (exc.DBAPIError, exc.TimeoutError)
"""What a statement may raise; the second when every connection is busy."""

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PG_CONTENTION = {"40001", "40P01", "55P03"}  # serialization_failure, deadlock_detected, lock_not_available
_PG_FULL = "53100"
_PG_DAMAGED = {"XX001", "XX002"}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of ours, and whether trying again at once can help."""

    error: AnalyticsError
    contention: bool = False
    """Another transaction was in the way."""
    lost: bool = False
    """The connection was dead, as all of a pool are after a restart of the server."""

    @classmethod
    def of(cls, error: Exception, place: str) -> Failure:
        """What `error` means; `place` names the database."""
        origin = error.orig if isinstance(error, exc.DBAPIError) else error
        reason = (str(origin).strip() or type(origin).__name__).splitlines()[0]
        lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
        # The low byte is the primary code: https://www.sqlite.org/rescode.html
        code = (getattr(origin, "sqlite_errorcode", None) or 0) & 0xFF
        state = getattr(origin, "sqlstate", None) or ""
        if code == sqlite3.SQLITE_FULL or state == _PG_FULL:
            return cls(StorageFullError(place))
        if code in _SQLITE_DAMAGED or state in _PG_DAMAGED:
            return cls(IntegrityError(place, reason))
        if isinstance(error, exc.IntegrityError):
            return cls(ConflictError(f"the catalog refused a row ({reason})", "read it again and repeat the call"))
        if isinstance(error, exc.DataError):
            return cls(InvalidRequestError("catalog", reason, "use text without U+0000 and numbers of 64 bits"))
        contention = code in _SQLITE_BUSY or state in _PG_CONTENTION
        return cls(CatalogUnavailableError(reason), contention, lost)
