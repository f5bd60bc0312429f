from __future__ import annotations

from actors.placement import HostCondition, HostSight, Rules, TenantSight, host_for, shared_name

RULES = Rules(shared_hosts=2, idle_seconds=300)


def host(name: str, *works: float, condition: HostCondition = HostCondition.SERVING) -> HostSight:
    tenants = tuple(TenantSight(f"{name}/{n}", 1, 0.0, 0, work, 0) for n, work in enumerate(works))
    return HostSight(name, condition, "", tenants, sum(works))


def test_the_first_tenant_starts_the_first_host() -> None:
    assert host_for("a", [], RULES) == "shared-0"


def test_light_tenants_stay_on_one_host_while_it_has_little_to_do() -> None:
    assert host_for("a", [host("shared-0", *[0.001] * 20)], RULES) == "shared-0"


def test_another_host_is_started_beside_one_with_enough_to_do() -> None:
    assert host_for("a", [host("shared-0", 0.4)], RULES) == "shared-1"
    assert host_for("a", [host("shared-0", *[0.0] * RULES.busy_tenants)], RULES) == "shared-1"


def test_there_are_never_more_shared_hosts_than_there_may_be() -> None:
    busy = [host("shared-0", 0.9), host("shared-1", 0.8)]
    assert host_for("a", busy, RULES) == "shared-1"


def test_the_least_loaded_host_takes_a_tenant_and_of_equals_the_one_with_fewer() -> None:
    assert host_for("a", [host("shared-0", 0.5), host("shared-1", 0.4)], RULES) == "shared-1"
    assert host_for("a", [host("shared-0", 0.2, 0.2), host("shared-1", 0.4)], RULES) == "shared-1"


def test_a_host_that_drains_or_fails_takes_nobody() -> None:
    for condition in (HostCondition.DRAINING, HostCondition.SILENT, HostCondition.DEAD):
        found = host_for("a", [host("shared-0", condition=condition), host("shared-1", 0.9)], RULES)
        assert found == "shared-1" or found == shared_name(2)


def test_a_dedicated_host_is_for_its_tenant_alone() -> None:
    hosts = [host("shared-0", 0.2), host("dedicated-a")]
    assert host_for("a", hosts, RULES) == "dedicated-a"
    assert host_for("b", hosts, RULES) == "shared-0"
