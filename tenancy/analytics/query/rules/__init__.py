"""Rules of the optimiser: each takes a plan and gives one with the same answer; applied once, in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tenancy.analytics.query.plan import Plan
from tenancy.analytics.query.rules.aggregate_before_join import aggregate_before_join
from tenancy.analytics.query.rules.prune_columns import prune_columns
from tenancy.analytics.query.rules.prune_segments import prune_segments
from tenancy.analytics.query.rules.push_filters import push_filters

Rule: TypeAlias = Callable[[Plan], Plan]

RULES: tuple[Rule, ...] = (push_filters, prune_columns, prune_segments, aggregate_before_join)


def optimise(plan: Plan, rules: tuple[Rule, ...] = RULES) -> tuple[Plan, tuple[str, ...]]:
    """The plan after every rule, and the names of those that changed it."""
    fired = []
    for rule in rules:
        changed = rule(plan)
        if changed != plan:
            fired.append(rule.__name__)
        plan = changed
    return plan, tuple(fired)


__all__ = ["RULES", "Rule", "aggregate_before_join", "optimise", "prune_columns", "prune_segments", "push_filters"]
