"""The memory of one host: a budget with shares, and what is done when it runs short."""

from __future__ import annotations

from tenancy.analytics.engine.memory.budget import Budget, leaning
from tenancy.analytics.engine.memory.host_memory import Holder, HostMemory, Reservation
from tenancy.analytics.engine.memory.pressure import Demand, Holding, Level, Relief, level_of, refusal, relief

__all__ = [
    "Budget",
    "Demand",
    "Holder",
    "Holding",
    "HostMemory",
    "Level",
    "Relief",
    "Reservation",
    "leaning",
    "level_of",
    "refusal",
    "relief",
]
