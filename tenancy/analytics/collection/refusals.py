"""Why a row is quarantined: one constructor a reason, so that every path gives the same words."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from tenancy.analytics.errors import near
from tenancy.analytics.schema import FieldSpec
from tenancy.analytics.types import Refusal

_SHOWN = 200


def shown(value: object) -> str:
    """`value` as text for people, cut at 200 characters, valid as UTF-8 whatever came in."""
    if isinstance(value, str):
        text = value[: _SHOWN + 1]
    elif isinstance(value, bytes):
        text = value[: _SHOWN * 4].decode("utf-8", "replace")
    else:
        try:
            text = orjson.dumps(value, default=str).decode() if not isinstance(value, float) else repr(value)
        except TypeError:
            text = repr(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def malformed(line: bytes, reason: str) -> Refusal:
    """The line is not JSON."""
    return Refusal("malformed_json", None, shown(line), f"send one JSON object a line ({reason})")


def not_an_object(value: object) -> Refusal:
    """It is JSON, but not an object."""
    return Refusal("not_an_object", None, shown(value), "send an object with a field for each value")


def duplicate_key(name: str) -> Refusal:
    """One object has a key twice."""
    return Refusal("duplicate_key", shown(name), shown(name), "give each field once")


def invalid_utf8(field: str | None, value: object) -> Refusal:
    """Text that cannot be written as UTF-8."""
    field = field and shown(field)
    return Refusal("invalid_utf8", field, shown(value), "send text as valid UTF-8, surrogates in pairs")


def too_large(line: bytes, limit: int) -> Refusal:
    """More bytes than an event may have."""
    return Refusal(
        "too_large", None, shown(line), f"send events of at most {limit:,} bytes (data_collection.max_row_bytes)"
    )


def too_deep(field: str | None, limit: int) -> Refusal:
    """More levels of nesting than an event may have."""
    return Refusal("too_deep", field, "", f"nest at most {limit} levels (data_collection.max_depth)")


def type_conflict(field: str, value: object, expected: str) -> Refusal:
    """A value of another type than its column."""
    return Refusal("type_conflict", field, shown(value), f"send {field!r} as {expected}, or under another name")


def integer_overflow(field: str, value: object) -> Refusal:
    """A whole number beyond 64 bits."""
    return Refusal("integer_overflow", field, shown(value), "send whole numbers of 64 bits, or larger ones as text")


def not_finite(field: str, value: object) -> Refusal:
    """NaN, an infinity, or a number too large for any float."""
    return Refusal("not_finite", field, shown(value), "send a finite number, or null where there is none")


def invalid_time(field: str, value: object) -> Refusal:
    """A value that is no time."""
    return Refusal(
        "invalid_time", field, shown(value), "send ISO 8601 as 2025-07-15T10:30:00Z, or epoch s, ms, µs or ns"
    )


def time_out_of_range(field: str, value: object, latest: str) -> Refusal:
    """A time before 1970, or too far ahead."""
    return Refusal(
        "time_out_of_range", field, shown(value), f"send a time from 1970-01-01 to {latest} ahead of the clock"
    )


def missing_required(field: str) -> Refusal:
    """A field that every event must have is absent."""
    return Refusal("missing_required", field, "", f"send {field!r} with every event")


def unknown_field(field: str, value: object, known: Iterable[str]) -> Refusal:
    """A field the schema does not know, where it may not grow."""
    close = near(field, known)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "declare it in the schema or leave it out"
    return Refusal("unknown_field", shown(field), shown(value), hint)


def not_in_enum(field: str, value: object, spec: FieldSpec) -> Refusal:
    """A value that is not one of those declared."""
    allowed = spec.enum or ()
    listed = ", ".join(allowed[:10]) + (", …" if len(allowed) > 10 else "")
    return Refusal("not_in_enum", field, shown(value), f"send one of {listed}")


def below_minimum(field: str, value: object, spec: FieldSpec) -> Refusal:
    """A number below the declared minimum."""
    return Refusal("below_minimum", field, shown(value), f"send at least {spec.minimum:g}")


def above_maximum(field: str, value: object, spec: FieldSpec) -> Refusal:
    """A number above the declared maximum."""
    return Refusal("above_maximum", field, shown(value), f"send at most {spec.maximum:g}")


def pattern_mismatch(field: str, value: object, spec: FieldSpec) -> Refusal:
    """Text that the declared pattern does not match as a whole."""
    return Refusal("pattern_mismatch", field, shown(value), f"send text that matches {spec.pattern} as a whole")


def too_long(field: str, value: object, limit: int) -> Refusal:
    """Text with more characters than declared."""
    return Refusal("too_long", field, shown(value), f"send at most {limit:,} characters")
