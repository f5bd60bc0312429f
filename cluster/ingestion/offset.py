"""How far a file was loaded, as the service keeps it for its loader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tenancy.analytics.errors import ConflictError

_FORM = "rows"


@dataclass(frozen=True, slots=True)
class Offset:
    """Everything before row `rows` has its receipt; batches have `batch_rows` rows, now and after a break.

    >>> Offset.parse(str(Offset(rows=15_000, batch_rows=5_000)))
    Offset(rows=15000, batch_rows=5000)
    """

    rows: int
    batch_rows: int

    def __str__(self) -> str:
        return f"{_FORM}:{self.rows}:{self.batch_rows}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The offset that `text` is. Raises ConflictError for what another loader put there."""
        form, *numbers = text.split(":")
        if form != _FORM or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise ConflictError(f"this source was loaded by something else ({text!r})", "load it under another name")
        return cls(*map(int, numbers))
