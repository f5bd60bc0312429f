"""The numbers that placement goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """When a host is full, a tenant heavy, and a move worth its cost. Work is counted in cores."""

    shared_hosts: int
    """Shared hosts there may be at most."""
    idle_seconds: float
    """A tenant without calls for so long goes cold; a host without tenants ends."""
    busy_work: float = 0.3
    """Another shared host is started only while every one that runs does so much,"""
    busy_tenants: int = 50
    """or serves so many."""
    promote_share: float = 0.5
    """A tenant that does so much of the work of its host,"""
    promote_work: float = 0.5
    """and so much in all,"""
    promote_after_s: float = 30.0
    """for so long, with others beside it, gets a host of its own."""
    demote_work: float = 0.15
    """A tenant that does less"""
    demote_after_s: float = 300.0
    """for so long goes back to a shared host."""
    most_dedicated: int = 8
    """Dedicated hosts there may be at most: each is a process."""
    imbalance: float = 0.25
    """Shared hosts are evened out when the busiest does so many cores more than the least busy."""
    rest_s: float = 120.0
    """A tenant that moved stays for so long."""
    most_moves: int = 4
    """Moves in one round."""
