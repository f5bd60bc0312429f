"""What TenantBench needs of a system: a few calls, and faults where it can inflict them. One class for each system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from benchmarks.tenantbench.client import Answer
from benchmarks.tenantbench.ledger import Tally
from benchmarks.tenantbench.workload import Batch, Question


class Fault(StrEnum):
    """What can be done to a system while it works."""

    KILL_HOST = "kill_host"
    """SIGKILL to one process that serves tenants."""
    KILL_NODE = "kill_node"
    """SIGKILL to all processes of one machine, or of what stands for one."""
    REDEPLOY = "redeploy"
    """Replace every part that can be replaced while it works, with the same version."""
    COOL = "cool"
    """Not harm, but a state: every tenant is only in storage when the call returns."""


class NotSupportedError(Exception):
    """The system has no way to do this; the scenario says so in its report."""


@dataclass(frozen=True, slots=True)
class Injury:
    """What a fault did, in words, and how long inflicting it took where the system does it itself (a deployment)."""

    what: str
    seconds: float = 0.0


class Caller(Protocol):
    """A pool of connections to a system. One try a call: repeating is the client's business (`client.persist`)."""

    @property
    def busy(self) -> bool:
        """Whether a request would have to wait for a connection."""
        ...

    async def send(self, batch: Batch, *, key: int = 0, keyed: bool = True) -> Answer:
        """Store a batch, with its name as idempotency key where `keyed`. `key` says which of the tenant's keys."""
        ...

    async def ask(self, tenant: str, question: Question, *, key: int = 0) -> Answer:
        """Ask a tenant's events a question."""
        ...

    async def tally(self, tenant: str) -> Tally | None:
        """Count and sum of `n` by marker and batch; empty where there are no events, None where no answer came."""
        ...

    async def trespass(self, tenant: str, other: str) -> bool:
        """Whether the first tenant's key got anything out of the other tenant. It must not."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Door(Protocol):
    """How to reach the system from any process: it is pickled into the one that floods."""

    def open(self, connections: int, timeout_s: float = 30.0) -> Caller:
        """Connections of its own."""
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What the system's processes use now."""

    memory_bytes: int
    """Proportional set size where there is one: shared pages count once."""
    cpu_s: float
    """CPU seconds so far of the processes that live."""
    processes: int
    parts: Mapping[str, int] = field(default_factory=dict)
    """Memory in bytes by kind of process."""


class System(Protocol):
    """A running system. Opened with `async with`, and gone afterwards."""

    name: str

    async def register(self, tenants: Sequence[str]) -> None:
        """Make tenants, ready for events."""
        ...

    async def issue(self, tenant: str, count: int = 1) -> None:
        """Make keys of a tenant that both write and ask; doors made afterwards know them."""
        ...

    def door(self) -> Door:
        """A door that knows the keys issued so far."""
        ...

    async def erase(self, tenant: str) -> None:
        """Remove a tenant with everything it has. Returns when nobody can reach it any more."""
        ...

    async def inflict(self, fault: Fault) -> Injury:
        """Returns when it is done. Raises NotSupportedError."""
        ...

    def usage(self) -> Usage:
        """What its processes use. Raises NotSupportedError."""
        ...
