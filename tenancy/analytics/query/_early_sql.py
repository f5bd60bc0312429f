"""The SQL of a plan that aggregates before it joins: see `rules.aggregate_before_join`.

SELECT <groups>, <merged measures> FROM (
    SELECT <groups of events>, <join keys>, <partial measures> FROM <scan> GROUP BY …
) LEFT JOIN <tables> WHERE … GROUP BY …
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from tenancy.analytics.query._measures_sql import merge, partials
from tenancy.analytics.query._scan_sql import scan
from tenancy.analytics.query._values_sql import Values, column_of, identifier, named
from tenancy.analytics.query.plan import Plan, is_of_events
from tenancy.analytics.query.time_range import Interval

_PARTIAL = "partial"


def early(plan: Plan, bounds: Interval, lookup: Callable[[int], str]) -> exp.Select:
    """The select of groups and measures; it gives what the plain one gives."""
    values = Values(lambda column: column_of(column.source, column.name), bounds)
    first: list[exp.Expression] = []
    groups: list[exp.Expression] = []
    for index, group in enumerate(plan.outputs):
        if is_of_events(group.of):
            first.append(named(values.operand(group.of), f"group_{index}"))
            groups.append(named(column_of(_PARTIAL, f"group_{index}"), group.name))
        else:
            groups.append(named(values.operand(group.of), group.name))
    for index, join in enumerate(plan.joins):
        first.append(named(values.operand(join.on), f"key_{index}"))
    kept: list[exp.Expression] = []
    measures: list[exp.Expression] = []
    for index, measure in enumerate(plan.measures):
        parts = partials(measure.of, values)
        names = [f"part_{index}_{number}" for number in range(len(parts))]
        kept += [named(part, name) for part, name in zip(parts, names, strict=True)]
        measures.append(named(merge(measure.of, [column_of(_PARTIAL, name) for name in names]), measure.name))
    inner = exp.Select(expressions=first + kept)
    inner.set("from_", exp.From(this=scan(plan.scan, bounds)))
    inner.set("group", _positions(len(first)))
    outer = exp.Select(expressions=groups + measures)
    outer.set("from_", exp.From(this=exp.Subquery(this=inner, alias=exp.TableAlias(this=identifier(_PARTIAL)))))
    outer.set("joins", [_join(index, plan, lookup) for index in range(len(plan.joins))])
    if plan.where is not None:
        outer.set("where", exp.Where(this=values.predicate(plan.where)))
    if groups:
        outer.set("group", _positions(len(groups)))
    return outer


def _join(index: int, plan: Plan, lookup: Callable[[int], str]) -> exp.Join:
    join = plan.joins[index]
    table = exp.Table(this=identifier(lookup(index)), alias=exp.TableAlias(this=identifier(join.alias)))
    match = exp.EQ(this=column_of(_PARTIAL, f"key_{index}"), expression=column_of(join.alias, join.key))
    return exp.Join(this=table, side="LEFT", on=match)


def _positions(count: int) -> exp.Group:
    return exp.Group(expressions=[exp.Literal.number(position) for position in range(1, count + 1)])
