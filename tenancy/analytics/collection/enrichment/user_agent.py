"""Browser, operating system and device from a User-Agent text, by ua-parser's rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import pyarrow as pa
import ua_parser

from tenancy.analytics.collection.enrichment.step import Context, Options, column_or_nulls
from tenancy.analytics.schema import FieldSpec, FieldType

_TEXT = FieldSpec(type=FieldType.STRING)
_REMEMBERED = 10_000
_LONGEST = 1_000  # characters; longer ones are no browser's, and rules are regular expressions


class UserAgentOptions(Options):
    """Options of `user_agent`."""

    field: str = "user_agent"
    """The column that holds the text."""
    prefix: str = ""
    """Before the names of the new columns `browser`, `os` and `device`."""


class UserAgent:
    """Writes `browser`, `os` and `device`; null where the text is missing or says nothing."""

    def __init__(self, options: Mapping[str, object], _context: Context) -> None:
        read: UserAgentOptions = UserAgentOptions.read("user_agent", options)
        self._field = read.field
        self._names = tuple(read.prefix + name for name in ("browser", "os", "device"))

    @property
    def columns(self) -> Mapping[str, FieldSpec]:
        return dict.fromkeys(self._names, _TEXT)

    def apply(self, events: pa.Table) -> Mapping[str, pa.Array]:
        # A batch has few different agents: each is parsed once, and the rest is a gather.
        texts = column_or_nulls(events, self._field, pa.string()).dictionary_encode()
        parsed = [_parse(text[:_LONGEST]) for text in texts.dictionary.to_pylist()]
        return {
            name: pa.array([found[part] for found in parsed], pa.string()).take(texts.indices)
            for part, name in enumerate(self._names)
        }


@lru_cache(maxsize=_REMEMBERED)
def _parse(text: str) -> tuple[str | None, str | None, str | None]:
    found = ua_parser.parse(text)
    return (
        found.user_agent.family if found.user_agent else None,
        found.os.family if found.os else None,
        found.device.family if found.device else None,
    )
