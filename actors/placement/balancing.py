"""What to change once hosts were seen: promotions, demotions, a more even load, hosts that nobody needs.

A pure function from what is seen and what was seen before to steps. Hysteresis in time and in level keeps a tenant from
going back and forth: what holds for a moment only is not acted upon, and what moved rests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from actors.placement.choosing import free_name, least_loaded, wants_another
from actors.placement.rules import Rules
from actors.placement.sights import HostCondition, HostSight, TenantSight, dedicated_name, dedicated_to


@dataclass(frozen=True, slots=True)
class Start:
    """Start the host of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Move:
    """Let `target` take a tenant over from `source`."""

    tenant: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class End:
    """End a host that serves nobody."""

    name: str


Step: TypeAlias = Start | Move | End


@dataclass(frozen=True, slots=True)
class History:
    """Since when what holds has been holding, on the clock that measures."""

    heavy: Mapping[str, float] = field(default_factory=dict)
    """Tenants on shared hosts that are due to be promoted, if it lasts."""
    light: Mapping[str, float] = field(default_factory=dict)
    """Tenants on dedicated hosts that are due to be demoted, if it lasts."""
    moved: Mapping[str, float] = field(default_factory=dict)
    """When a tenant was moved last."""
    empty: Mapping[str, float] = field(default_factory=dict)
    """Hosts that serve nobody."""


def rebalance(
    hosts: Sequence[HostSight], history: History, rules: Rules, now: float
) -> tuple[tuple[Step, ...], History]:
    """The steps to take now, and what to remember until the next round.

    At most `rules.most_moves` moves; each improves the host it leaves by more than it burdens the one it goes to.
    """
    serving = sorted((host for host in hosts if host.condition is HostCondition.SERVING), key=lambda host: host.name)
    shared = [host for host in serving if dedicated_to(host.name) is None]
    dedicated = [host for host in serving if dedicated_to(host.name) is not None]
    heavy = _since(history.heavy, _heavy(shared, rules), now)
    light = _since(history.light, _light(dedicated, rules), now)
    empty = _since(history.empty, {host.name for host in serving if not host.tenants}, now)
    moved = {tenant: when for tenant, when in history.moved.items() if now - when < rules.rest_s}

    steps = _promotions(shared, len(dedicated), heavy, moved, rules, now)
    steps += _demotions(shared, dedicated, light, moved, rules, now)
    steps += _evened(hosts, shared, {*heavy, *moved, *_tenants(steps)}, rules)
    steps = _bounded(steps, rules.most_moves)
    targets = {step.target for step in steps if isinstance(step, Move)}
    steps += _ends(shared, dedicated, empty, targets, rules, now)
    gone = _tenants(steps)
    return tuple(steps), History(
        {tenant: since for tenant, since in heavy.items() if tenant not in gone},
        {tenant: since for tenant, since in light.items() if tenant not in gone},
        moved | dict.fromkeys(gone, now),
        empty,
    )


def _since(before: Mapping[str, float], holds: set[str], now: float) -> dict[str, float]:
    return {name: before.get(name, now) for name in holds}


def _heavy(shared: Sequence[HostSight], rules: Rules) -> set[str]:
    return {
        seen.tenant
        for host in shared
        for seen in host.tenants
        if seen.work >= rules.promote_work
        and seen.work >= rules.promote_share * host.work
        and len(host.tenants) > 1  # alone on a shared host it has one of its own already
    }


def _light(dedicated: Sequence[HostSight], rules: Rules) -> set[str]:
    return {seen.tenant for host in dedicated for seen in host.tenants if seen.work < rules.demote_work}


def _promotions(
    shared: Sequence[HostSight],
    dedicated: int,
    heavy: Mapping[str, float],
    moved: Mapping[str, float],
    rules: Rules,
    now: float,
) -> list[Step]:
    due = [
        (seen, host)
        for host in shared
        for seen in host.tenants
        if seen.tenant in heavy and now - heavy[seen.tenant] >= rules.promote_after_s and seen.tenant not in moved
    ]
    due.sort(key=lambda each: (-each[0].work, each[0].tenant))
    steps: list[Step] = []
    for seen, host in due[: max(0, rules.most_dedicated - dedicated)]:
        steps += [Start(dedicated_name(seen.tenant)), Move(seen.tenant, host.name, dedicated_name(seen.tenant))]
    return steps


def _demotions(
    shared: Sequence[HostSight],
    dedicated: Sequence[HostSight],
    light: Mapping[str, float],
    moved: Mapping[str, float],
    rules: Rules,
    now: float,
) -> list[Step]:
    if not shared:
        return []
    target = least_loaded(shared)
    return [
        Move(seen.tenant, host.name, target)
        for host in dedicated
        for seen in host.tenants
        if seen.tenant in light and now - light[seen.tenant] >= rules.demote_after_s and seen.tenant not in moved
    ]


def _evened(hosts: Sequence[HostSight], shared: Sequence[HostSight], resting: set[str], rules: Rules) -> list[Step]:
    """Moves from the busiest to the least busy shared host, to another one first where all have enough to do."""
    steps: list[Step] = []
    work = {host.name: host.work for host in shared}
    if shared and wants_another(shared, rules):
        name = free_name(hosts)
        steps.append(Start(name))
        work[name] = 0.0
    candidates = {
        host.name: sorted(
            (seen for seen in host.tenants if seen.tenant not in resting and not seen.fenced),
            key=lambda seen: (-seen.work, seen.tenant),
        )
        for host in shared
    }
    while len(work) > 1 and len(steps) <= rules.most_moves:
        most, least = max(work, key=lambda name: (work[name], name)), min(work, key=lambda name: (work[name], name))
        gap = work[most] - work[least]
        if gap < rules.imbalance:
            break
        seen = _best(candidates.get(most, []), gap)
        if seen is None:
            break
        candidates[most].remove(seen)
        work[most] -= seen.work
        work[least] += seen.work
        steps.append(Move(seen.tenant, most, least))
    return steps


def _best(candidates: Sequence[TenantSight], gap: float) -> TenantSight | None:
    """The tenant whose move narrows `gap` the most: one whose work is nearest to half of it."""
    useful = [seen for seen in candidates if 0.05 * gap <= seen.work <= 0.9 * gap]
    return min(useful, key=lambda seen: (abs(seen.work - gap / 2), seen.tenant), default=None)


def _bounded(steps: Sequence[Step], most: int) -> list[Step]:
    """The first `most` moves, and the starts that they need."""
    moves = [step for step in steps if isinstance(step, Move)][:most]
    needed = {move.target for move in moves}
    starts = [step for step in steps if isinstance(step, Start) and step.name in needed]
    return [*starts, *moves]


def _ends(
    shared: Sequence[HostSight],
    dedicated: Sequence[HostSight],
    empty: Mapping[str, float],
    targets: set[str],
    rules: Rules,
    now: float,
) -> list[Step]:
    """Hosts that have been empty for long: all dedicated ones, and the shared ones but the first."""
    over = {name for name, since in empty.items() if now - since >= rules.idle_seconds and name not in targets}
    keep = min((host.name for host in shared), default=None)
    return [
        *(End(host.name) for host in dedicated if host.name in over),
        *(End(host.name) for host in shared if host.name in over and host.name != keep),
    ]


def _tenants(steps: Sequence[Step]) -> set[str]:
    return {step.tenant for step in steps if isinstance(step, Move)}
