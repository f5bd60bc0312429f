"""Filters of a request as predicates of a plan: fields resolved, values checked against the field's type."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.query.filters import MAX_VALUES, AllOf, AnyOf, Condition, FilterSpec, Operator
from tenancy.analytics.query.plan import And, Compare, Comparison, Kind, Not, Operand, Or, Predicate, Scalar
from tenancy.analytics.query.time_range import instant, zone_of

_TEXT = (Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH)
_ORDERED = (Operator.LT, Operator.LE, Operator.GT, Operator.GE, Operator.BETWEEN)
_SAID = {
    Kind.STRING: "holds text; give a string",
    Kind.INTEGER: "holds whole numbers; give a number",
    Kind.FLOAT: "holds numbers; give a finite number",
    Kind.BOOLEAN: "holds truth values; give true or false",
    Kind.DATE: "holds dates; give an ISO 8601 date such as '2025-07-01'",
    Kind.STRINGS: "holds lists of text; give one string to look for",
}


def predicate(place: str, given: FilterSpec, field: Callable[[str], Operand], zone: str) -> Predicate:
    """The predicate that `given` is, its fields resolved by `field`.

    Raises InvalidRequestError that names the field where a value does not fit it.
    """
    if isinstance(given, AllOf):
        return And(tuple(predicate(place, part, field, zone) for part in given.parts))
    if isinstance(given, AnyOf):
        return Or(tuple(predicate(place, part, field, zone) for part in given.parts))
    if isinstance(given, Condition):
        return _compare(f"{place}.{given.field}", given, field(given.field), zone)
    return Not(predicate(place, given.part, field, zone))


def scalar(place: str, kind: Kind, given: object, zone: str) -> Scalar:
    """`given` as a value of a column of this kind. Raises InvalidRequestError that names `place`."""
    value: Scalar | None = None
    if kind is Kind.TIMESTAMP:
        return instant(place, given, zone_of(zone))
    if kind in (Kind.STRING, Kind.STRINGS):
        value = _text(place, given) if isinstance(given, str) else None
    elif kind is Kind.BOOLEAN:
        value = given if isinstance(given, bool) else None
    elif kind is Kind.DATE:
        value = _date(given)
    elif kind.is_number and isinstance(given, int | float) and not isinstance(given, bool):
        value = given if math.isfinite(given) else None
        if isinstance(given, int) and not -(2**63) <= given < 2**63:
            raise InvalidRequestError(place, given, "give a number of at most 64 bits")
    if value is None:
        raise InvalidRequestError(place, given, f"the field {_SAID.get(kind, 'cannot be compared with values')}")
    return value


def _compare(place: str, given: Condition, operand: Operand, zone: str) -> Predicate:
    op, kind = given.op, operand.kind
    if op is Operator.IS_NULL:
        if not isinstance(given.value, bool | None):
            raise InvalidRequestError(place, given.value, "is_null takes true (the default) or false")
        null = Compare(operand, Comparison.IS_NULL)
        return Not(null) if given.value is False else null
    _check_operator(place, op, kind)
    if op in (Operator.IN, Operator.NOT_IN):
        values = _values(place, given.value, kind, zone, 1, MAX_VALUES)
        chosen = Compare(operand, Comparison.IN, values)
        return Not(chosen) if op is Operator.NOT_IN else chosen
    if op is Operator.BETWEEN:
        return Compare(operand, Comparison.BETWEEN, _values(place, given.value, kind, zone, 2, 2))
    if given.value is None:
        raise InvalidRequestError(place, None, f"give a value to {op.value}; use is_null for nulls")
    value = scalar(place, kind, given.value, zone)
    if op is Operator.NE:
        return Not(Compare(operand, Comparison.EQ, (value,)))
    return Compare(operand, Comparison(op.value), (value,))


def _check_operator(place: str, op: Operator, kind: Kind) -> None:
    if kind in (Kind.MAP, Kind.BINARY) or (kind is Kind.STRINGS and op is not Operator.CONTAINS):
        allowed = "contains and is_null" if kind is Kind.STRINGS else "is_null"
        raise InvalidRequestError(place, op.value, f"the field is of type {kind.value}, which knows only {allowed}")
    if op in _TEXT and kind not in (Kind.STRING, Kind.STRINGS):
        raise InvalidRequestError(place, op.value, f"it works on text, and the field is of type {kind.value}")
    if op in _ORDERED and kind is Kind.BOOLEAN:
        raise InvalidRequestError(place, op.value, "truth values have no order; use eq, ne or is_null")


def _values(place: str, given: object, kind: Kind, zone: str, least: int, most: int) -> tuple[Scalar, ...]:
    if not isinstance(given, list | tuple | set | frozenset) or not least <= len(given) <= most:
        remedy = "give [low, high]" if most == 2 else f"give a list of 1 to {most:,} values"
        raise InvalidRequestError(place, given if isinstance(given, str) else repr(given)[:200], remedy)
    return tuple(scalar(place, kind, value, zone) for value in given)


def _text(place: str, given: str) -> str:
    if "\0" in given:
        raise InvalidRequestError(place, given, "text cannot hold the character NUL")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError(place, ascii(given), "text must be valid Unicode") from None
    return given


def _date(given: object) -> date | None:
    if isinstance(given, date) and not isinstance(given, datetime):
        return given
    try:
        return date.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None
