"""Deficit round robin over tenants, with one account for each and a ring for each kind of work.

Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round Robin" (SIGCOMM 1995), in the variant that serves
while the account is positive and charges afterwards what the job took (surplus round robin; Adiseshu, Parulkar
and Varghese, 1996): the cost of a job is only guessed before it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
J = TypeVar("J")

MOST_DEBT = 100.0
"""Quanta that a tenant may be in debt, so that no job keeps it waiting for ever."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn(Generic[K, J]):
    """A job whose turn has come; give it back with `settle` once it is done."""

    tenant: str
    kind: K
    job: J
    charged: float
    """What was charged for it in advance."""


@dataclass(slots=True, eq=False)
class _Account(Generic[K, J]):
    weight: float
    balance: float = 0.0
    queues: dict[K, deque[tuple[float, J]]] = field(default_factory=dict)
    running: dict[K, int] = field(default_factory=dict)
    visits: dict[K, float] = field(default_factory=dict)
    """Where it is its turn: how much of this turn is left."""
    left_at: dict[K, float] = field(default_factory=dict)
    """While it is idle and in debt: how many rounds each ring had gone when it became so."""
    closed: bool = False

    @property
    def idle(self) -> bool:
        return not any(self.queues.values()) and not any(self.running.values())


class DeficitRoundRobin(Generic[K, J]):
    """Jobs of many tenants, in fair order. Not for several threads at once.

    >>> queue = DeficitRoundRobin[str, str](quantum=1.0, most_each={"asking": 9})
    >>> queue.open("loud", weight=1.0); queue.open("quiet", weight=1.0)
    >>> for number in range(3):
    ...     queue.push("loud", "asking", 1.0, f"loud {number}")
    >>> queue.push("quiet", "asking", 1.0, "quiet")
    >>> [queue.pop("asking").job for _ in range(4)]
    ['loud 0', 'quiet', 'loud 1', 'loud 2']
    """

    def __init__(self, quantum: float, most_each: Mapping[K, int]) -> None:
        self._quantum = quantum
        self._most_each = most_each
        self._accounts: dict[str, _Account[K, J]] = {}
        self._rings: dict[K, deque[str]] = {kind: deque() for kind in most_each}
        self._rounds: dict[K, float] = dict.fromkeys(most_each, 0.0)

    def __len__(self) -> int:
        """Jobs that wait."""
        return sum(len(queue) for account in self._accounts.values() for queue in account.queues.values())

    def open(self, tenant: str, weight: float) -> None:
        """Let a tenant take part with this weight, or change it."""
        account = self._accounts.get(tenant)
        if account is None:
            self._accounts[tenant] = _Account(weight)
        else:
            account.weight, account.closed = weight, False

    def close(self, tenant: str) -> None:
        """Forget a tenant, once nothing of it waits or runs."""
        account = self._accounts.get(tenant)
        if account is not None:
            account.closed = True
            self._rest(tenant, account)

    def waiting(self, tenant: str) -> int:
        """Jobs of one tenant that wait."""
        account = self._accounts.get(tenant)
        return 0 if account is None else sum(map(len, account.queues.values()))

    def push(self, tenant: str, kind: K, cost: float, job: J) -> None:
        """Queue a job that is guessed to cost `cost`. A tenant's jobs of one kind keep their order."""
        account = self._accounts[tenant]
        if account.left_at:
            # While it wanted nothing it earned nothing, but the turns it did not take count against its debt.
            missed = (self._rounds[kind] - account.left_at[kind]) * self._quantum * account.weight
            account.balance = min(account.balance + missed, 0.0)
            account.left_at = {}
        queue = account.queues.setdefault(kind, deque())
        queue.append((cost, job))
        if len(queue) == 1:
            self._rings[kind].append(tenant)

    def pop(self, kind: K) -> Turn[K, J] | None:
        """The next job of this kind; None where no tenant has one that may run now."""
        ring = self._rings[kind]
        while True:
            ready = 0
            for _ in range(len(ring)):
                tenant = ring[0]
                account = self._accounts[tenant]
                if account.running.get(kind, 0) >= self._most_each[kind]:
                    ring.rotate(-1)
                    continue
                ready += 1
                left = account.visits.get(kind)
                if left is None:
                    left = self._visit(account, kind)
                if left > 0 and account.balance > 0:
                    return self._serve(account, tenant, kind, left)
                # Also where what it took was underestimated, or another kind of its work took the rest.
                del account.visits[kind]
                ring.rotate(-1)
            if not ready:
                return None
            self._forward(kind)

    def settle(self, turn: Turn[K, J], cost: float) -> None:
        """A job is done and has cost `cost`: what it was charged is put right."""
        account, error = self._accounts[turn.tenant], turn.charged - cost
        account.running[turn.kind] -= 1
        account.balance = max(account.balance + error, -MOST_DEBT * self._quantum * account.weight)
        if turn.kind in account.visits:
            account.visits[turn.kind] += error
        self._rest(turn.tenant, account)

    def _visit(self, account: _Account[K, J], kind: K) -> float:
        """The turn of a tenant begins: what it may take before the next one's."""
        quantum = self._quantum * account.weight
        if account.balance <= 0:
            account.balance += quantum
        account.visits[kind] = quantum
        self._rounds[kind] += 1 / len(self._rings[kind])
        return quantum

    def _serve(self, account: _Account[K, J], tenant: str, kind: K, left: float) -> Turn[K, J]:
        queue = account.queues[kind]
        cost, job = queue.popleft()
        account.balance -= cost
        account.visits[kind] = left - cost
        account.running[kind] = account.running.get(kind, 0) + 1
        if not queue:
            self._rings[kind].popleft()
            del account.visits[kind]
        return Turn(tenant, kind, job, cost)

    def _forward(self, kind: K) -> None:
        """Nobody who is ready has anything left: as many whole rounds at once as make the first one positive."""
        ready = [
            account
            for account in map(self._accounts.__getitem__, self._rings[kind])
            if account.running.get(kind, 0) < self._most_each[kind]
        ]
        rounds = max(0.0, min(-account.balance // (self._quantum * account.weight) for account in ready))
        self._rounds[kind] += rounds
        for account in ready:
            account.balance += rounds * self._quantum * account.weight

    def _rest(self, tenant: str, account: _Account[K, J]) -> None:
        """Note when a tenant became idle, or forget it if it is closed."""
        if not account.idle:
            return
        if not account.closed:
            account.left_at = self._rounds.copy()
        elif self._accounts.get(tenant) is account:
            del self._accounts[tenant]
