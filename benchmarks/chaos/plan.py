"""What happens when: a pure function of the seed, so that a run can be replayed."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Harm(StrEnum):
    """What may happen to a system."""

    KILL_HOST = "kill a host"
    FREEZE_HOST = "freeze a host"
    """SIGSTOP, and SIGCONT a few seconds later, if it is there still."""
    END_HOST = "tell a host to end"
    """SIGTERM."""
    KILL_DIRECTORY = "kill the directory"
    KILL_REPLICA = "kill a replica"
    KILL_CONTROLLER = "kill Serve's controller"
    KILL_PROXY = "kill the proxy"
    """HAProxy, or Serve's own where there is none."""
    KILL_NODE = "kill a node"
    """Every process of a node of its own; another node joins."""
    STOP_CATALOG = "stop the catalog"
    """PostgreSQL, as in a crash; it is started again a few seconds later."""
    MOVE_TENANT = "move a tenant"
    REDEPLOY = "redeploy"


WEIGHTS: Mapping[Harm, float] = {
    Harm.KILL_HOST: 8,
    Harm.FREEZE_HOST: 4,
    Harm.END_HOST: 2,
    Harm.KILL_DIRECTORY: 3,
    Harm.KILL_REPLICA: 3,
    Harm.KILL_CONTROLLER: 1,
    Harm.KILL_PROXY: 1,
    Harm.KILL_NODE: 2,
    Harm.STOP_CATALOG: 1,
    Harm.MOVE_TENANT: 4,
    Harm.REDEPLOY: 0.5,
}
KILLS = frozenset({Harm.KILL_HOST, Harm.FREEZE_HOST, Harm.KILL_REPLICA, Harm.KILL_NODE, Harm.KILL_DIRECTORY})
"""What the issue calls kills: of an actor, a replica, a node, and a freeze."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing that happens. `pick` and `seconds` decide whom it meets and how long it lasts."""

    at_s: float
    harm: Harm
    pick: float
    """In [0, 1): which of those there are."""
    seconds: float


def plan(
    seed: int, seconds: float, every_s: float, harms: Collection[Harm] = tuple(Harm), *, quiet_s: float = 5.0
) -> tuple[Blow, ...]:
    """Blows about `every_s` apart, none in the first and the last `quiet_s`.

    Each kind comes once, in an order of chance, before any comes by its weight.

    >>> plan(1, seconds=60, every_s=5) == plan(1, seconds=60, every_s=5)
    True
    """
    dice = random.Random(seed)
    kinds = sorted(harms)
    first = dice.sample(kinds, len(kinds))
    weights = [WEIGHTS[kind] for kind in kinds]
    found: list[Blow] = []
    at = quiet_s
    while at < seconds - quiet_s:
        harm = first.pop() if first else dice.choices(kinds, weights)[0]
        found.append(Blow(at, harm, dice.random(), dice.uniform(1.0, 6.0)))
        at += every_s * dice.uniform(0.5, 1.5)
    return tuple(found)
