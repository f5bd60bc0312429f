"""A plan as one statement of DuckDB's SQL.

    SELECT * FROM (SELECT <groups>, <measures> FROM <scan> LEFT JOIN <tables> WHERE … GROUP BY …) ORDER BY … LIMIT …

One row more than the limit is asked for, which tells whether there are more.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from tenancy.analytics.query._early_sql import early
from tenancy.analytics.query._measures_sql import aggregate
from tenancy.analytics.query._scan_sql import scan
from tenancy.analytics.query._values_sql import Values, column_of, identifier, named
from tenancy.analytics.query.plan import EVENTS, RESULT, Column, Join, Plan
from tenancy.analytics.query.time_range import Interval


def lookup(index: int) -> str:
    """The name the table of a plan's join is registered by."""
    return f"lookup_{index}"


def statement(plan: Plan, bounds: Interval) -> exp.Select:
    """The SQL of `plan`, whose event times are within `bounds` where these are known."""
    return cut(plan, early(plan, bounds, lookup) if plan.aggregate_early else _select(plan, bounds), bounds)


def cut(plan: Plan, inner: exp.Select, bounds: Interval) -> exp.Select:
    """The rows of `inner` as the plan wants them: what `having` lets through, in order, up to one beyond the limit."""
    outer = exp.Select(expressions=[exp.Star()])
    outer.set("from_", exp.From(this=exp.Subquery(this=inner, alias=exp.TableAlias(this=identifier(RESULT)))))
    if plan.having is not None:
        outer.set("where", exp.Where(this=Values(_plainly, bounds).predicate(plan.having)))
    if plan.order:
        keys = [
            exp.Ordered(this=column_of(RESULT, key.name), desc=key.descending, nulls_first=False) for key in plan.order
        ]
        outer.set("order", exp.Order(expressions=keys))
    outer.set("limit", exp.Limit(expression=exp.Literal.number(plan.limit + 1)))
    if plan.offset:
        outer.set("offset", exp.Offset(expression=exp.Literal.number(plan.offset)))
    return outer


def _select(plan: Plan, bounds: Interval) -> exp.Select:
    values = Values(_plainly, bounds)
    groups = [named(values.operand(group.of), group.name) for group in (*plan.outputs, *plan.hidden)]
    measures = [named(aggregate(measure.of, values), measure.name) for measure in plan.measures]
    select = exp.Select(expressions=groups + measures)
    select.set("from_", exp.From(this=scan(plan.scan, bounds)))
    select.set("joins", joins(plan.joins, EVENTS))
    if plan.where is not None:
        select.set("where", exp.Where(this=values.predicate(plan.where)))
    if plan.shape == "groups" and groups:
        positions = [exp.Literal.number(position) for position in range(1, len(groups) + 1)]
        select.set("group", exp.Group(expressions=positions))
    return select


def joins(made: Sequence[Join], source: str) -> list[exp.Join]:
    """Left joins of the registered tables to the events in `source`."""
    found = []
    for index, join in enumerate(made):
        table = exp.Table(this=identifier(lookup(index)), alias=exp.TableAlias(this=identifier(join.alias)))
        match = exp.EQ(this=column_of(source, join.on.name), expression=column_of(join.alias, join.key))
        found.append(exp.Join(this=table, side="LEFT", on=match))
    return found


def _plainly(column: Column) -> exp.Expression:
    return column_of(column.source, column.name)
