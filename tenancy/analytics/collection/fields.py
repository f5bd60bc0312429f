"""Which column a field of an event belongs to.

Nested objects flatten by joining names with `_`, as `{"user": {"age": 7}}` to `user_age`. Where one event
gives the same column twice (`user_age` as well), the shallower field has it and the deeper one goes to the
overflow map under its dotted path, `user.age`. Names of columns are letters and digits of any script,
`_`, `.`, `-` and spaces, 128 at most, and unique whatever their case, as SQL reads them; everything else
is kept in the overflow map.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import cached_property, lru_cache

from tenancy.analytics.schema import EVENT_TIME, SYSTEM_COLUMNS, DatasetSchema, FieldType
from tenancy.analytics.types import DatasetKind

Path = tuple[str, ...]

_COLUMN_NAME = re.compile(r"\w(?:[\w .-]{0,126}[\w.-])?")
MAX_ID_LENGTH = 256
"""Characters of an event id that a caller gives."""


class Role(Enum):
    """What a field of an event is to the dataset."""

    TIME = auto()
    """The event's time."""
    TIME_FALLBACK = auto()
    """The event's time where the field declared for it is absent."""
    ID = auto()
    """The event's own id."""
    COLUMN = auto()
    """A value of a column that exists."""
    RESERVED = auto()
    """Named like something else's column: it can only go to the overflow map."""
    UNKNOWN = auto()
    """A field without a column, as yet."""


class Fields:
    """The fields of one schema, resolved by path.

    >>> Fields(DatasetSchema(name="plays")).role(("timestamp",))
    <Role.TIME: 1>
    """

    def __init__(self, schema: DatasetSchema) -> None:
        self.schema = schema
        self.timed = schema.kind is DatasetKind.EVENTS
        self._reserved = {name.lower() for name in SYSTEM_COLUMNS} | {schema.id_field.lower()}
        if self.timed:
            self._reserved.add(schema.time_field.lower())

    def role(self, path: Path) -> Role:
        schema = self.schema
        if len(path) == 1:
            if self.timed and path[0] == schema.time_field:
                return Role.TIME
            if path[0] == schema.id_field:
                return Role.ID
            if self.timed and path[0] == EVENT_TIME:
                return Role.TIME_FALLBACK
        name = column_name(path)
        lowered = name.lower()
        if lowered in self._reserved:
            return Role.RESERVED
        if name in schema.fields:
            return Role.COLUMN
        return Role.RESERVED if lowered in self._folded else Role.UNKNOWN

    @cached_property
    def _folded(self) -> set[str]:
        return {name.lower() for name in self.schema.fields}

    def type_of(self, name: str) -> FieldType | None:
        """The declared or grown type of a column; None when there is none."""
        spec = self.schema.fields.get(name)
        return spec.type if spec is not None else None


def column_name(path: Path) -> str:
    """The column that a field flattens to."""
    return path[0] if len(path) == 1 else "_".join(path)


@lru_cache(maxsize=4096)
def may_name_a_column(name: str) -> bool:
    """Whether a new field of this name becomes a column.

    >>> may_name_a_column("größe (cm)"), may_name_a_column("größe-cm")
    (False, True)
    """
    return _COLUMN_NAME.fullmatch(name) is not None
