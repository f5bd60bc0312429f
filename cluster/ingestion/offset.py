"""How far a file was loaded, as the service keeps it for its loader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tenancy.analytics.errors import ConflictError

_FORM = "rows"


@dataclass(frozen=True, slots=True)
class Offset:
    """Everything before row `rows` has its receipt; from there to row `until`, batches of `batch_rows` may have one.

    Those must be sent with the same cut again, so that their idempotency keys are the same. Nothing was ever sent
    of what comes after `until`.

    >>> Offset.parse(str(Offset(rows=15_000, batch_rows=5_000, until=35_000)))
    Offset(rows=15000, batch_rows=5000, until=35000)
    """

    rows: int
    batch_rows: int
    until: int

    def __str__(self) -> str:
        return f"{_FORM}:{self.rows}:{self.batch_rows}:{self.until}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The offset that `text` is. Raises ConflictError for what another loader put there."""
        form, *numbers = text.split(":")
        if form != _FORM or len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            raise ConflictError(f"this source was loaded by something else ({text!r})", "load it under another name")
        return cls(*map(int, numbers))
