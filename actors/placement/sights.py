"""What was seen of hosts and of the tenants they serve: values, from which everything is decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_SHARED = "shared-"
_DEDICATED = "dedicated-"


class HostCondition(StrEnum):
    """How a host was found."""

    SERVING = "serving"
    DRAINING = "draining"
    """It lets its tenants go and takes no other."""
    SILENT = "silent"
    """Its process is there, but it did not answer in time."""
    DEAD = "dead"
    """Its process ended."""


@dataclass(frozen=True, slots=True)
class TenantSight:
    """One tenant at one moment, as its host sees it."""

    tenant: str
    epoch: int
    idle_s: float
    """Since its last call ended; 0 while one runs."""
    in_flight: int
    work: float
    """Cores that it used of late: a moving average over about 30 s."""
    memory_bytes: int
    fenced: bool = False
    """Whether a newer owner is known to have taken over."""


@dataclass(frozen=True, slots=True)
class HostSight:
    """One host at one moment."""

    name: str
    condition: HostCondition
    node: str = ""
    tenants: tuple[TenantSight, ...] = ()
    work: float = 0.0
    """Cores that it used of late."""
    memory_bytes: int = 0
    """Resident memory of its process."""
    why: str = ""
    """Of a host that is dead or silent, what is known about it."""


def shared_name(number: int) -> str:
    """What the shared host of this number is called.

    >>> shared_name(0)
    'shared-0'
    """
    return f"{_SHARED}{number}"


def dedicated_name(tenant: str) -> str:
    """What the host is called that serves `tenant` alone.

    >>> dedicated_name("tenant_001")
    'dedicated-tenant_001'
    """
    return f"{_DEDICATED}{tenant}"


def dedicated_to(name: str) -> str | None:
    """The tenant whose dedicated host is called `name`; None for a shared one.

    >>> dedicated_to("dedicated-tenant_001"), dedicated_to("shared-0")
    ('tenant_001', None)
    """
    return name.removeprefix(_DEDICATED) if name.startswith(_DEDICATED) else None
