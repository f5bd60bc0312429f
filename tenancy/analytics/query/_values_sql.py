"""Operands, predicates and values of a plan as sqlglot expressions.

Names become quoted identifiers and values literals, both escaped by the generator: no text of a caller is ever SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from typing import TypeAlias

from sqlglot import exp

from tenancy.analytics.query import _time_sql
from tenancy.analytics.query.plan import (
    And,
    Bucket,
    Column,
    Compare,
    Comparison,
    Kind,
    Not,
    Operand,
    Or,
    Predicate,
    Scalar,
    TimePart,
)
from tenancy.analytics.query.time_range import Interval

TYPES = {
    Kind.STRING: exp.DataType.build("VARCHAR", dialect="duckdb"),
    Kind.INTEGER: exp.DataType.build("BIGINT", dialect="duckdb"),
    Kind.FLOAT: exp.DataType.build("DOUBLE", dialect="duckdb"),
    Kind.BOOLEAN: exp.DataType.build("BOOLEAN", dialect="duckdb"),
    Kind.TIMESTAMP: exp.DataType.build("TIMESTAMPTZ", dialect="duckdb"),
    Kind.STRINGS: exp.DataType.build("VARCHAR[]", dialect="duckdb"),
    Kind.DATE: exp.DataType.build("DATE", dialect="duckdb"),
    Kind.BINARY: exp.DataType.build("BLOB", dialect="duckdb"),
    Kind.MAP: exp.DataType.build("MAP(VARCHAR, VARCHAR)", dialect="duckdb"),
}

ColumnSQL: TypeAlias = Callable[[Column], exp.Expression]

_BINARY: dict[Comparison, Callable[..., exp.Expression]] = {
    Comparison.EQ: exp.EQ,
    Comparison.LT: exp.LT,
    Comparison.LE: exp.LTE,
    Comparison.GT: exp.GT,
    Comparison.GE: exp.GTE,
}
_FUNCTIONS = {
    Comparison.CONTAINS: "contains",
    Comparison.STARTS_WITH: "starts_with",
    Comparison.ENDS_WITH: "ends_with",
}


def identifier(name: str) -> exp.Identifier:
    """A quoted name."""
    return exp.Identifier(this=name, quoted=True)


def column_of(source: str, name: str) -> exp.Column:
    """A column of a table."""
    return exp.Column(this=identifier(name), table=identifier(source))


def named(expression: exp.Expression, name: str) -> exp.Alias:
    """An expression of a select list with its name."""
    return exp.Alias(this=expression, alias=identifier(name))


def call(function: str, *arguments: exp.Expression) -> exp.Expression:
    """A call of a DuckDB function; `function` is a constant of this package."""
    return exp.Anonymous(this=function, expressions=list(arguments))


def cast(expression: exp.Expression, kind: Kind) -> exp.Expression:
    """The expression as this type."""
    return exp.Cast(this=expression, to=TYPES[kind].copy())


def literal(value: Scalar) -> exp.Expression:
    """A value, typed."""
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, datetime):
        return cast(exp.Literal.string(value.isoformat(sep=" ")), Kind.TIMESTAMP)
    if isinstance(value, date):
        return cast(exp.Literal.string(value.isoformat()), Kind.DATE)
    if isinstance(value, float):
        return cast(exp.Literal.string(repr(value)), Kind.FLOAT)
    if isinstance(value, int):
        # As text, since -9223372036854775808 is no literal: DuckDB reads the digits first and negates them after.
        return cast(exp.Literal.string(str(value)), Kind.INTEGER) if value < 0 else exp.Literal.number(value)
    return exp.Literal.string(value)


@dataclass(frozen=True, slots=True)
class Values:
    """Turns operands and predicates into SQL where columns are what `column` says."""

    column: ColumnSQL
    bounds: Interval
    """Between which instants the event times are, where it is known; it makes local times cheap."""

    def operand(self, operand: Operand) -> exp.Expression:
        if isinstance(operand, Column):
            return self.column(operand)
        moment = self.column(operand.of)
        bounds = self.bounds if operand.of.name == "event_time" else Interval()
        if isinstance(operand, Bucket):
            return _time_sql.bucket(moment, operand.unit, operand.zone, bounds)
        assert isinstance(operand, TimePart)
        return _time_sql.part(moment, operand.part, operand.zone, bounds)

    def predicate(self, predicate: Predicate) -> exp.Expression:
        if isinstance(predicate, And | Or):
            return self._joined(predicate)
        if isinstance(predicate, Not):
            return self._negated(predicate.part)
        this = self.operand(predicate.operand)
        if predicate.by is Comparison.IS_NULL:
            return exp.Is(this=this, expression=exp.Null())
        values = [literal(value) for value in predicate.values]
        if predicate.by is Comparison.IN:
            return exp.In(this=this, expressions=values)
        if predicate.by is Comparison.BETWEEN:
            return exp.Between(this=this, low=values[0], high=values[1])
        if predicate.by is Comparison.CONTAINS and predicate.operand.kind is Kind.STRINGS:
            return call("list_contains", this, values[0])
        if predicate.by in _FUNCTIONS:
            return call(_FUNCTIONS[predicate.by], this, values[0])
        return _BINARY[predicate.by](this=this, expression=values[0])

    def _joined(self, predicate: And | Or) -> exp.Expression:
        connector = exp.And if isinstance(predicate, And) else exp.Or
        parts: list[exp.Expression] = [exp.Paren(this=self.predicate(part)) for part in predicate.parts]
        return reduce(lambda left, right: connector(this=left, expression=right), parts[1:], parts[0])

    def _negated(self, part: Predicate) -> exp.Expression:
        if isinstance(part, Compare) and part.by is Comparison.IS_NULL:
            return exp.Not(this=exp.Is(this=self.operand(part.operand), expression=exp.Null()))
        if isinstance(part, Compare) and part.by is Comparison.EQ:
            return exp.NullSafeNEQ(this=self.operand(part.operand), expression=literal(part.values[0]))
        # A comparison with null is null in SQL and false here, so its negation is true.
        return exp.Not(this=exp.Is(this=exp.Paren(this=self.predicate(part)), expression=exp.Boolean(this=True)))
