"""Which host takes a cold tenant: the least loaded of those that run, or another one while they are busy.

>>> from actors.placement.sights import HostCondition
>>> host_for("tenant_001", [], Rules(shared_hosts=2, idle_seconds=300))
'shared-0'
>>> seen = [HostSight("shared-0", HostCondition.SERVING, work=0.9), HostSight("shared-1", HostCondition.SERVING)]
>>> host_for("tenant_001", seen, Rules(shared_hosts=2, idle_seconds=300))
'shared-1'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.placement.rules import Rules
from actors.placement.sights import HostCondition, HostSight, dedicated_to, shared_name


def host_for(tenant: str, hosts: Sequence[HostSight], rules: Rules) -> str:
    """The name of the host that shall serve a cold `tenant`; it may be one that does not run yet.

    A dedicated host that still stands is for its tenant. A laptop with a few light tenants has one host; more are
    started, up to `rules.shared_hosts`, as those that run have enough to do.
    """
    serving = [host for host in hosts if host.condition is HostCondition.SERVING]
    own = next((host.name for host in serving if dedicated_to(host.name) == tenant), None)
    if own is not None:
        return own
    shared = [host for host in serving if dedicated_to(host.name) is None]
    return free_name(hosts) if wants_another(shared, rules) else least_loaded(shared)


def wants_another(shared: Sequence[HostSight], rules: Rules) -> bool:
    """Whether another shared host may be started, and all that serve have enough to do."""
    return len(shared) < rules.shared_hosts and all(
        host.work >= rules.busy_work or len(host.tenants) >= rules.busy_tenants for host in shared
    )


def least_loaded(shared: Sequence[HostSight]) -> str:
    """The name of the one of these hosts that does least; of equals, of the one with fewer tenants."""
    return min(shared, key=lambda host: (host.work, len(host.tenants), host.name)).name


def free_name(hosts: Iterable[HostSight]) -> str:
    """The first name of a shared host that none of `hosts` has."""
    taken = {host.name for host in hosts}
    number = 0
    while shared_name(number) in taken:
        number += 1
    return shared_name(number)
