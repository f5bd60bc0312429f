"""Moves into the scan what can be decided from the events alone, so that rows are dropped before they are joined."""

from __future__ import annotations

from dataclasses import replace

from tenancy.analytics.query.plan import Plan, conjunction, conjuncts, is_of_events


def push_filters(plan: Plan) -> Plan:
    """Conjuncts of `where` that read no joined column become the scan's."""
    parts = conjuncts(plan.where)
    pushed = tuple(part for part in parts if is_of_events(part))
    if not pushed:
        return plan
    rest = tuple(part for part in parts if part not in pushed)
    scan = replace(plan.scan, where=conjunction((*conjuncts(plan.scan.where), *pushed)))
    return replace(plan, scan=scan, where=conjunction(rest))
