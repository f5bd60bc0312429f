"""What is done as memory runs short: from numbers to decisions, and nothing else.

First the largest buffers are flushed, then caches are given up, and what does not help any more is refused, those
who hold most before the others. Limits with a gap between coming and going, so that nothing flutters (a Schmitt
trigger); shares as in max-min fairness: nobody is held to his part while the others leave theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tenancy.analytics.engine.memory.budget import Budget


class Level(IntEnum):
    """How short memory is; each level does what those below it do."""

    NORMAL = 0
    FLUSH = 1
    """The largest buffers become segments, no segments are merged,"""
    EVICT = 2
    """caches are given up,"""
    REFUSE = 3
    """and nothing is let in."""


_COMES_AT = {Level.FLUSH: 0.75, Level.EVICT: 0.85, Level.REFUSE: 0.95}
_GAP = 0.07
_AIM = 0.6
"""Down to this share of what is allowed; not lower, so that segments do not get small for nothing."""
_CONTESTED = 0.5
"""From here on a tenant is held to its part of a share."""
_LEAST_PART = 1 / 16
"""A tenant's part is never smaller."""
_BODIES_UP_TO = 0.9
"""What is expected to be used may come to this share of the budget where a body is let in; queries get the rest."""
_NOT_WORTH_A_SEGMENT = 1 / 2000


@dataclass(frozen=True, slots=True)
class Holding:
    """What one tenant holds, in bytes."""

    tenant: str
    buffers: int = 0
    caches: int = 0


@dataclass(frozen=True, slots=True)
class Relief:
    """What to do now, in this order."""

    evict: tuple[str, ...] = ()
    """Tenants whose caches are given up."""
    flush: tuple[str, ...] = ()
    """Tenants whose largest buffers are flushed."""
    release: bool = False
    """Whether allocators give back what they keep."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What somebody wants, and how the host stands at this moment; bytes."""

    wanted: int
    resident: int
    in_flight: int
    """Reserved by bodies that are worked on."""
    query_room: int
    """What queries that run may still take."""
    own_in_flight: int = 0
    in_flight_tenants: int = 1
    buffers: int = 0
    own_buffers: int = 0
    buffer_tenants: int = 1
    query: bool = False
    """Whether it is a query, for which bodies leave some room."""
    alone: bool = False
    """Whether nothing else is worked on: then memory that is not given back must not keep a host shut for ever."""


def level_of(budget: Budget, resident: int, buffers: int, before: Level = Level.NORMAL) -> Level:
    """The level now; it falls only once its cause is well below where it came.

    >>> budget = Budget(total=1000, query=400, bodies=300, buffers=220, caches=80)
    >>> level_of(budget, resident=760, buffers=0)
    <Level.FLUSH: 1>
    >>> level_of(budget, resident=740, buffers=0, before=Level.FLUSH)
    <Level.FLUSH: 1>
    >>> level_of(budget, resident=600, buffers=0, before=Level.FLUSH)
    <Level.NORMAL: 0>
    """
    strain = max(resident / budget.total, buffers / max(1, budget.buffers))
    reached = [level for level, at in _COMES_AT.items() if strain >= at - (_GAP if level <= before else 0.0)]
    return max(reached, default=Level.NORMAL)


def relief(budget: Budget, level: Level, resident: int, holdings: Iterable[Holding]) -> Relief:
    """What to do at `level`: the largest first, and no more than is needed."""
    held = list(holdings)
    caches = sum(each.caches for each in held)
    over_caches = caches - budget.caches
    evict: tuple[str, ...] = ()
    flush: tuple[str, ...] = ()
    too_much = resident - int(_AIM * budget.total)
    if level >= Level.EVICT or over_caches > 0:
        goal = max(over_caches + int(budget.caches * (1 - _AIM)), too_much if level >= Level.EVICT else 0)
        evict = _largest([(each.caches, each.tenant) for each in held], goal)
    if level >= Level.FLUSH:
        buffers = sum(each.buffers for each in held)
        least = int(_NOT_WORTH_A_SEGMENT * budget.buffers)
        goal = max(buffers - int(_AIM * budget.buffers), too_much)
        flush = _largest([(each.buffers, each.tenant) for each in held if each.buffers > least], goal)
    return Relief(evict, flush, level >= Level.FLUSH or bool(evict))


def refusal(budget: Budget, level: Level, demand: Demand) -> str | None:
    """Which part is short for what is wanted, or None where it may be let in.

    >>> budget = Budget(total=1000, query=400, bodies=300, buffers=220, caches=80)
    >>> refusal(budget, Level.NORMAL, Demand(wanted=80, resident=300, in_flight=0, query_room=0))
    >>> refusal(budget, Level.NORMAL, Demand(wanted=80, resident=500, in_flight=240, query_room=0))
    'bodies'
    """
    if demand.buffers >= budget.buffers and not demand.query:
        return "buffers"
    if demand.alone:
        return None
    expected = demand.resident + demand.in_flight + demand.query_room + demand.wanted
    allowed = budget.total if demand.query else _BODIES_UP_TO * budget.total
    if level >= Level.REFUSE or expected > allowed:
        return "resident"
    if demand.query:
        return None
    if demand.in_flight + demand.wanted > budget.bodies or _over_part(
        budget.bodies, demand.in_flight, demand.own_in_flight, demand.wanted, demand.in_flight_tenants
    ):
        return "bodies"
    if _over_part(budget.buffers, demand.buffers, demand.own_buffers, 0, demand.buffer_tenants):
        return "buffers"
    return None


def _over_part(share: int, taken: int, own: int, wanted: int, tenants: int) -> bool:
    part = max(share / max(1, tenants), share * _LEAST_PART)
    return taken + wanted > _CONTESTED * share and own > 0 and own + wanted > part


def _largest(sizes: Sequence[tuple[int, str]], goal: int) -> tuple[str, ...]:
    chosen = []
    for size, tenant in sorted(sizes, reverse=True):
        if goal <= 0 or not size:
            break
        chosen.append(tenant)
        goal -= size
    return tuple(chosen)
