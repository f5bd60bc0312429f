"""Aggregates as SQL: at once, or as partial aggregates and their merge.

Sums of whole numbers are exact and of 64 bits: DuckDB adds them in 128, and a sum that does not fit is an error.
"""

from __future__ import annotations

from sqlglot import exp

from tenancy.analytics.query._values_sql import Values, call, cast
from tenancy.analytics.query.plan import Aggregate, Kind


def aggregate(measure: Aggregate, values: Values) -> exp.Expression:
    """The aggregate over rows."""
    if measure.of is None:
        return _filtered(exp.Count(this=exp.Star()), measure, values)
    operand = _number(measure, values)
    match measure.function:
        case "count":
            return _filtered(exp.Count(this=operand), measure, values)
        case "distinct":
            return _filtered(exp.Count(this=exp.Distinct(expressions=[operand])), measure, values)
        case "quantile":
            quantile = exp.Literal.number(str(measure.quantile))
            return _filtered(call("quantile_cont", cast(operand, Kind.FLOAT), quantile), measure, values)
        case "sum":
            return _exact(_filtered(exp.Sum(this=operand), measure, values), measure)
        case "avg":
            return _filtered(exp.Avg(this=operand), measure, values)
        case "min":
            return _filtered(exp.Min(this=operand), measure, values)
        case "max":
            return _filtered(exp.Max(this=operand), measure, values)


def partials(measure: Aggregate, values: Values) -> list[exp.Expression]:
    """What is kept of a part: one or two aggregates."""
    if measure.of is None:
        return [aggregate(measure, values)]
    operand = _number(measure, values)
    if measure.function == "sum":
        return [_filtered(exp.Sum(this=operand), measure, values)]
    if measure.function == "avg":
        return [
            _filtered(exp.Sum(this=operand), measure, values),
            _filtered(exp.Count(this=operand.copy()), measure, values),
        ]
    return [aggregate(measure, values)]


def merge(measure: Aggregate, parts: list[exp.Expression]) -> exp.Expression:
    """The aggregate of the whole from the columns that hold the parts."""
    match measure.function:
        case "count":
            counted = exp.Coalesce(this=exp.Sum(this=parts[0]), expressions=[exp.Literal.number(0)])
            return cast(counted, Kind.INTEGER)
        case "sum":
            return _exact(exp.Sum(this=parts[0]), measure)
        case "avg":
            total = cast(exp.Sum(this=parts[0]), Kind.FLOAT)
            count = call("nullif", exp.Sum(this=parts[1]), exp.Literal.number(0))
            return exp.Div(this=total, expression=count, typed=False)
        case "min":
            return exp.Min(this=parts[0])
        case "max":
            return exp.Max(this=parts[0])
        case _:
            raise AssertionError(f"{measure.function} has no parts")


def _number(measure: Aggregate, values: Values) -> exp.Expression:
    assert measure.of is not None
    operand = values.operand(measure.of)
    if measure.of.kind is Kind.BOOLEAN and measure.function in ("sum", "avg", "quantile"):
        return cast(operand, Kind.INTEGER)
    return operand


def _exact(total: exp.Expression, measure: Aggregate) -> exp.Expression:
    return cast(total, Kind.INTEGER) if measure.kind is Kind.INTEGER else total


def _filtered(total: exp.Expression, measure: Aggregate, values: Values) -> exp.Expression:
    if measure.where is None:
        return total
    return exp.Filter(this=total, expression=exp.Where(this=values.predicate(measure.where)))
