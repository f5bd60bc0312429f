"""Fair turns: one queue of a host for the work of all its tenants, and the threads that do it."""

from __future__ import annotations

from tenancy.analytics.engine.scheduling.crew_clock import CrewClock
from tenancy.analytics.engine.scheduling.deficit_round_robin import DeficitRoundRobin, Turn
from tenancy.analytics.engine.scheduling.lanes import Lane, Lanes
from tenancy.analytics.engine.scheduling.scheduler import FairScheduler, give_way
from tenancy.analytics.engine.scheduling.work import Work, slots

__all__ = ["CrewClock", "DeficitRoundRobin", "FairScheduler", "Lane", "Lanes", "Turn", "Work", "give_way", "slots"]
