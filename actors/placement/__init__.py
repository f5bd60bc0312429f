"""Where tenants are served: decided from what was seen of hosts, values in and values out."""

from __future__ import annotations

from actors.placement.balancing import End, History, Move, Start, Step, rebalance
from actors.placement.choosing import free_name, host_for
from actors.placement.pauses import Setback, pauses, set_back
from actors.placement.rules import Rules
from actors.placement.sights import (
    HostCondition,
    HostSight,
    TenantSight,
    dedicated_name,
    dedicated_to,
    shared_name,
)

__all__ = [
    "End",
    "History",
    "HostCondition",
    "HostSight",
    "Move",
    "Rules",
    "Setback",
    "Start",
    "Step",
    "TenantSight",
    "dedicated_name",
    "dedicated_to",
    "free_name",
    "host_for",
    "pauses",
    "rebalance",
    "set_back",
    "shared_name",
]
