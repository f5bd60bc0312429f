"""Cursors of `rows`: where a page ended, as text that callers hand back.

A cursor holds the order's keys of the last row given and how many rows with just these keys were given, so the next
page begins at the first row not yet seen even where keys repeat.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.query.conditions import scalar
from tenancy.analytics.query.plan import And, Compare, Comparison, Kind, Operand, Or, Plan, Predicate, Scalar, SortKey

_REMEDY = "use a cursor only with the query that gave it"


def following(plan: Plan, rows: Sequence[Sequence[object]]) -> str:
    """The cursor after a page of `plan`, whose keys are `rows`."""
    keys = [[_plain(value) for value in row] for row in rows]
    last: list[object] | None = keys[-1]
    seen = next((count for count, row in enumerate(reversed(keys)) if row != last), len(keys))
    if seen == len(keys) and plan.after is None and plan.offset:
        # How many rows with these keys the offset skipped is not known, so go on counting from the beginning.
        last, seen = None, seen + plan.offset
    elif seen == len(keys) and plan.after is not None and [_plain(value) for value in plan.after] == last:
        seen += plan.offset
    text = json.dumps([_fingerprint(plan.order, plan.scan.dataset), seen, last], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(
    cursor: str, keys: Sequence[SortKey], dataset: str, kinds: Sequence[Kind]
) -> tuple[tuple[Scalar | None, ...] | None, int]:
    """The keys of the last row and how many rows of these to pass; without keys, how many rows of all.

    Raises InvalidRequestError for any other text.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        mark, seen, values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise InvalidRequestError("query.cursor", cursor, _REMEDY) from None
    whole = values is None or (isinstance(values, list) and len(values) == len(kinds))
    sound = whole and isinstance(seen, int) and 1 <= seen < 2**31
    if mark != _fingerprint(keys, dataset) or not sound:
        raise InvalidRequestError("query.cursor", cursor, _REMEDY)
    if values is None:
        return None, seen
    return tuple(_value(kind, value) for kind, value in zip(kinds, values, strict=True)), seen


def from_there_on(keys: Sequence[SortKey], operands: Mapping[str, Operand], last: Sequence[Scalar | None]) -> Predicate:
    """The rows that come with or after a row whose keys are `last`, nulls coming last."""
    found: Predicate | None = None
    for key, value in zip(reversed(keys), reversed(last), strict=True):
        operand = operands[key.name]
        null = Compare(operand, Comparison.IS_NULL)
        if value is None:
            found = null if found is None else And((null, found))
            continue
        later = Or((Compare(operand, Comparison.LT if key.descending else Comparison.GT, (value,)), null))
        same = Compare(operand, Comparison.EQ, (value,))
        # Said twice on purpose: the bound on the first key alone is what prunes segments.
        reach = Or((Compare(operand, Comparison.LE if key.descending else Comparison.GE, (value,)), null))
        found = And((reach, Or((later, same if found is None else And((same, found))))))
    assert found is not None
    return found


def _fingerprint(keys: Sequence[SortKey], dataset: str) -> str:
    return hashlib.sha256(repr((dataset, tuple(keys))).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value.isoformat() if isinstance(value, date | datetime) else value


def _value(kind: Kind, given: object) -> Scalar | None:
    if given is None:
        return None
    if kind is Kind.FLOAT and isinstance(given, dict) and given.get("float") in ("nan", "inf", "-inf"):
        return float(given["float"])
    return scalar("query.cursor", kind, given, "UTC")
