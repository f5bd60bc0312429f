"""Reads only the columns that something needs."""

from __future__ import annotations

from dataclasses import replace

from tenancy.analytics.query.plan import EVENTS, Column, Join, Plan, columns_of


def prune_columns(plan: Plan) -> Plan:
    """Drops columns of the scan and of the joins that no output, measure, filter or join uses."""
    used: set[Column] = set(columns_of(plan.where))
    for group in (*plan.outputs, *plan.hidden):
        used.update(columns_of(group.of))
    for measure in plan.measures:
        used.update(columns_of(measure.of))
    joins = tuple(_pruned(join, used) for join in plan.joins)
    used.update(join.on for join in joins)
    scanned = tuple(column for column in plan.scan.columns if column in used and column.source == EVENTS)
    return replace(plan, joins=joins, scan=replace(plan.scan, columns=scanned))


def _pruned(join: Join, used: set[Column]) -> Join:
    return replace(join, columns=tuple(c for c in join.columns if c.name == join.key or c in used))
