from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from actors.fleet import TenantHostActor
from actors.placement import HostCondition, HostSight, TenantSight
from actors.tenant_directory import TenantDirectory
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import Backing
from tenancy.analytics.engine.limits import Standing
from tenancy.analytics.errors import ConfigurationError, ConflictError, UnavailableError, UnknownNameError
from tenancy.analytics.testing import ManualClock


@dataclass(eq=False)
class Host:
    name: str
    condition: HostCondition = HostCondition.SERVING
    tenants: dict[str, TenantSight] = field(default_factory=dict)
    dies_opening: bool = False
    why: str = ""
    told: list[str] = field(default_factory=list)
    """Tenants whose limits it was told to read."""

    def answers(self) -> None:
        if self.condition in (HostCondition.DEAD, HostCondition.SILENT):
            raise UnavailableError(f"host {self.name!r}", self.why)


class HostsInMemory:
    """A fleet whose hosts are values; like the real ones they raise the epoch when they open a tenant."""

    def __init__(self, backing: Backing) -> None:
        self.backing = backing
        self.hosts: dict[str, Host] = {}
        self.started: list[Host] = []
        self.die_opening = 0
        self.fail_making = ""

    async def start(self, name: str) -> TenantHostActor:
        await asyncio.sleep(0)
        if name not in self.hosts:
            self.hosts[name] = Host(name, dies_opening=len(self.started) < self.die_opening)
            if self.fail_making:
                self.hosts[name].condition, self.hosts[name].why = HostCondition.DEAD, self.fail_making
            self.started.append(self.hosts[name])
        return cast("TenantHostActor", self.hosts[name])

    async def find(self, name: str) -> TenantHostActor | None:
        return cast("TenantHostActor | None", self.hosts.get(name))

    async def up(self, name: str, host: TenantHostActor) -> HostSight:
        await self.beat(name, host)
        return await self.look(name, host)

    async def beat(self, _name: str, host: TenantHostActor) -> None:
        await asyncio.sleep(0)
        _of(host).answers()

    async def look(self, name: str, host: TenantHostActor) -> HostSight:
        await asyncio.sleep(0)
        seen = _of(host)
        tenants = tuple(seen.tenants.values())
        return HostSight(name, seen.condition, "", tenants, sum(each.work for each in tenants), why=seen.why)

    async def serves(self, _name: str, host: TenantHostActor, tenant: str) -> int | None:
        await asyncio.sleep(0)
        _of(host).answers()
        seen = _of(host).tenants.get(tenant)
        return None if seen is None or seen.fenced else seen.epoch

    async def open(self, name: str, host: TenantHostActor, tenant: str) -> int:
        opening = _of(host)
        await asyncio.sleep(0)
        if opening.dies_opening:
            opening.condition, opening.why = HostCondition.DEAD, "it died"
        opening.answers()
        if opening.condition is HostCondition.DRAINING:
            raise UnavailableError(f"host {name!r}", "it is being drained")
        epoch = self.backing.catalog.tenant(tenant).raise_epoch(name)
        opening.tenants[tenant] = TenantSight(tenant, epoch, 0.0, 0, 0.0, 0)
        return epoch

    async def release(self, _name: str, host: TenantHostActor, tenant: str) -> None:
        await asyncio.sleep(0.01)
        _of(host).answers()
        _of(host).tenants.pop(tenant, None)

    async def read_limits(self, _name: str, host: TenantHostActor, tenant: str) -> None:
        await asyncio.sleep(0)
        _of(host).answers()
        _of(host).told.append(tenant)

    async def standings(self, _name: str, host: TenantHostActor, tenant: str) -> tuple[Standing, ...] | None:
        await asyncio.sleep(0)
        _of(host).answers()
        return (Standing("events_per_second", 5, 0),) if tenant in _of(host).tenants else None

    async def retire(self, _name: str, host: TenantHostActor, idle_seconds: float) -> list[str]:
        await asyncio.sleep(0.01)
        idle = [tenant for tenant, seen in _of(host).tenants.items() if seen.idle_s >= idle_seconds]
        for tenant in idle:
            del _of(host).tenants[tenant]
        return idle

    async def drain(self, _name: str, host: TenantHostActor) -> list[str]:
        _of(host).condition = HostCondition.DRAINING
        gone, _of(host).tenants = list(_of(host).tenants), {}
        return gone

    async def drain_if_empty(self, _name: str, host: TenantHostActor) -> bool:
        if not _of(host).tenants:
            _of(host).condition = HostCondition.DRAINING
        return not _of(host).tenants

    async def end(self, host: TenantHostActor) -> None:
        _of(host).condition = HostCondition.DEAD
        if self.hosts.get(_of(host).name) is _of(host):
            del self.hosts[_of(host).name]

    async def running(self) -> list[str]:
        return list(self.hosts)

    async def cores(self) -> int:
        return 2

    def change(self, tenant: str, **changes: Any) -> None:
        """Something about a tenant is seen differently from now on."""
        for host in self.hosts.values():
            if tenant in host.tenants:
                host.tenants[tenant] = replace(host.tenants[tenant], **changes)


def _of(host: TenantHostActor) -> Host:
    return cast("Host", host)


@pytest.fixture
def config(tmp_path: Path) -> AnalyticsConfig:
    return AnalyticsConfig.load({"storage": {"root": str(tmp_path)}, "placement": {"idle_seconds": 60}}, {})


@pytest.fixture
def backing(config: AnalyticsConfig) -> Iterator[Backing]:
    opened = Backing.open(config)
    opened.register("tenant_001", {})
    yield opened
    opened.close()


@pytest.fixture
def fleet(backing: Backing) -> HostsInMemory:
    return HostsInMemory(backing)


@pytest.fixture
def directory(config: AnalyticsConfig, backing: Backing, fleet: HostsInMemory) -> TenantDirectory:
    return TenantDirectory(config, backing, fleet)


async def test_however_many_ask_at_once_one_host_is_started(directory: TenantDirectory, fleet: HostsInMemory) -> None:
    placements = await asyncio.gather(*(directory.locate("tenant_001", None) for _ in range(50)))

    assert len(fleet.started) == 1
    assert {placement.epoch for placement in placements} == {1}


async def test_a_host_that_died_is_replaced_under_a_higher_epoch(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)
    fleet.hosts["shared-0"].condition = HostCondition.DEAD

    again = await asyncio.gather(*(directory.locate("tenant_001", first.epoch) for _ in range(20)))

    assert {placement.epoch for placement in again} == {first.epoch + 1}
    assert len(fleet.started) == 2


async def test_a_silent_host_is_ended_before_another_one_starts(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)
    silent = fleet.hosts["shared-0"]
    silent.condition = HostCondition.SILENT

    second = await directory.locate("tenant_001", first.epoch)

    assert silent.condition is HostCondition.DEAD
    assert second.epoch > first.epoch


async def test_a_host_that_serves_well_is_kept_when_a_caller_doubts_it(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)

    assert await directory.locate("tenant_001", first.epoch) == first
    assert len(fleet.started) == 1


async def test_a_host_fenced_off_from_elsewhere_is_replaced_when_it_is_doubted(
    directory: TenantDirectory, backing: Backing
) -> None:
    first = await directory.locate("tenant_001", None)
    elsewhere = backing.catalog.tenant("tenant_001").raise_epoch()

    assert (await directory.locate("tenant_001", first.epoch)).epoch > elsewhere


async def test_a_host_that_dies_while_it_opens_is_replaced(directory: TenantDirectory, fleet: HostsInMemory) -> None:
    fleet.die_opening = 2

    assert (await directory.locate("tenant_001", None)).epoch == 1
    assert len(fleet.started) == 3


async def test_a_host_that_never_opens_is_an_error_that_says_why(
    config: AnalyticsConfig, backing: Backing, fleet: HostsInMemory
) -> None:
    hasty = config.placement.model_copy(update={"call_timeout_seconds": 0.1})
    fleet.die_opening = 1_000

    with pytest.raises(UnavailableError, match=r"'tenant_001' is not available \(it died\)"):
        await TenantDirectory(config.model_copy(update={"placement": hasty}), backing, fleet).locate("tenant_001", None)


@dataclass(eq=False)
class Failing:
    """A directory on a clock that only its own pauses move, while no host can be made."""

    directory: TenantDirectory
    fleet: HostsInMemory
    clock: ManualClock
    pauses: list[float]

    async def refused(self) -> None:
        with pytest.raises(UnavailableError, match=r"'tenant_001' is not available \(KeyError: 'no such key'\)"):
            await self.directory.locate("tenant_001", None)


@pytest.fixture
def failing(config: AnalyticsConfig, backing: Backing, fleet: HostsInMemory) -> Failing:
    clock, paused = ManualClock(), list[float]()

    async def sleep(seconds: float) -> None:
        paused.append(seconds)
        clock.advance(timedelta(seconds=seconds))

    fleet.fail_making = "KeyError: 'no such key'"
    hasty = config.model_copy(update={"placement": config.placement.model_copy(update={"call_timeout_seconds": 30.0})})
    return Failing(TenantDirectory(hasty, backing, fleet, clock, sleep), fleet, clock, paused)


async def test_hosts_that_cannot_be_made_are_started_after_growing_pauses(failing: Failing) -> None:
    await failing.refused()

    assert failing.pauses == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8])
    assert len(failing.fleet.started) == 10


async def test_callers_who_ask_again_do_not_make_failing_hosts_start_more_often(failing: Failing) -> None:
    await failing.refused()
    began, started = failing.clock.monotonic(), len(failing.fleet.started)

    for _ in range(300):
        await failing.refused()
        failing.clock.advance(timedelta(seconds=0.5))

    pauses = failing.pauses[started - 1 :]
    assert 12.8 < max(pauses) <= 15.0
    assert len(failing.fleet.started) - started <= (failing.clock.monotonic() - began) / 15.0 + 1


async def test_callers_who_waited_in_line_too_long_start_no_host(failing: Failing) -> None:
    await asyncio.gather(*(failing.refused() for _ in range(20)))

    assert len(failing.fleet.started) == 10
    assert failing.clock.monotonic() <= 30.0


async def test_a_host_that_serves_makes_the_setbacks_before_it_forgotten(failing: Failing) -> None:
    await failing.refused()
    failing.fleet.fail_making = ""
    failing.clock.advance(timedelta(seconds=15))
    first = await failing.directory.locate("tenant_001", None)
    failing.fleet.hosts["shared-0"].condition = HostCondition.DEAD
    failing.pauses.clear()

    assert (await failing.directory.locate("tenant_001", first.epoch)).epoch == first.epoch + 1
    assert sum(failing.pauses) == 0.0


async def test_an_unknown_tenant_gets_near_matches_and_no_host(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        await directory.locate("tenant_01", None)

    assert caught.value.suggestions == ("tenant_001",)
    assert fleet.started == []


async def test_a_new_directory_finds_the_hosts_that_run(
    config: AnalyticsConfig, backing: Backing, fleet: HostsInMemory, directory: TenantDirectory
) -> None:
    first = await directory.locate("tenant_001", None)

    found = await TenantDirectory(config, backing, fleet).locate("tenant_001", None)

    assert found == first
    assert len(fleet.started) == 1


async def test_a_new_directory_knows_which_host_a_tenant_moved_to(
    config: AnalyticsConfig, backing: Backing, fleet: HostsInMemory, directory: TenantDirectory
) -> None:
    await directory.locate("tenant_001", None)
    moved = await directory.move("tenant_001", "shared-1")

    assert await TenantDirectory(config, backing, fleet).locate("tenant_001", None) == moved


async def test_light_tenants_share_one_host(directory: TenantDirectory, backing: Backing, fleet: HostsInMemory) -> None:
    for number in range(2, 30):
        backing.register(f"tenant_{number:03d}", {})
        await directory.locate(f"tenant_{number:03d}", None)

    assert await fleet.running() == ["shared-0"]


async def test_tenants_of_a_host_that_died_are_served_by_the_one_that_lives(
    directory: TenantDirectory, backing: Backing, fleet: HostsInMemory
) -> None:
    backing.register("other", {})
    first = await directory.locate("tenant_001", None)
    await directory.move("other", "shared-1")
    fleet.hosts["shared-0"].condition = HostCondition.DEAD

    await directory.watch()

    assert (await directory.locate("tenant_001", None)).name == "shared-1"
    assert (await directory.locate("tenant_001", None)).epoch == first.epoch + 1
    assert [seen.name for seen in await directory.hosts()] == ["shared-1"]


async def test_a_move_ends_the_old_owner_before_the_new_one_begins(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)

    moved = await directory.move("tenant_001", "shared-1")

    assert (moved.name, moved.epoch) == ("shared-1", first.epoch + 1)
    assert fleet.hosts["shared-0"].tenants == {}
    assert await directory.locate("tenant_001", first.epoch) == moved


async def test_a_tenant_asked_for_while_it_moves_is_found_where_it_went(directory: TenantDirectory) -> None:
    first = await directory.locate("tenant_001", None)

    moved, *found = await asyncio.gather(
        directory.move("tenant_001", "shared-1"), *(directory.locate("tenant_001", first.epoch) for _ in range(10))
    )

    assert {placement.epoch for placement in found} <= {first.epoch, moved.epoch}
    assert await directory.locate("tenant_001", None) == moved


async def test_a_move_that_fails_leaves_the_tenant_to_be_placed_anew(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)
    fleet.die_opening = 2

    with pytest.raises(UnavailableError):
        await directory.move("tenant_001", "shared-1")

    assert (await directory.locate("tenant_001", None)).epoch > first.epoch


async def test_a_tenant_that_loads_its_host_for_long_gets_one_of_its_own(
    config: AnalyticsConfig, backing: Backing, fleet: HostsInMemory
) -> None:
    clock = ManualClock()
    directory = TenantDirectory(config, backing, fleet, clock)
    backing.register("quiet", {})
    await directory.locate("tenant_001", None)
    await directory.locate("quiet", None)
    fleet.change("tenant_001", work=1.5)

    for _ in range(10):
        await directory.sweep()
        clock.advance(timedelta(seconds=10))

    assert (await directory.locate("tenant_001", None)).name == "dedicated-tenant_001"
    assert (await directory.locate("quiet", None)).name == "shared-0"


async def test_a_drained_host_ends_and_its_tenants_are_placed_when_asked_for(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)

    assert await directory.drain("shared-0") == ["tenant_001"]

    assert await fleet.running() == []
    assert (await directory.locate("tenant_001", None)).epoch == first.epoch + 1
    with pytest.raises(UnknownNameError, match="shared-0"):
        await directory.drain("shared-9")


async def test_a_host_that_drains_by_itself_is_asked_once_and_then_another_one(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)
    fleet.hosts["shared-0"].condition = HostCondition.DRAINING  # as after SIGTERM
    fleet.hosts["shared-0"].tenants.clear()

    placed = await directory.locate("tenant_001", first.epoch)

    assert (placed.name, placed.epoch) == ("shared-1", first.epoch + 1)
    assert "shared-0" in fleet.hosts  # it ends when it has written everything out


async def test_a_renewed_host_hands_its_tenants_to_a_new_process_and_ends(
    directory: TenantDirectory, backing: Backing, fleet: HostsInMemory
) -> None:
    for number in range(3):
        backing.register(f"light_{number}", {})
        await directory.locate(f"light_{number}", None)
    old = fleet.hosts["shared-0"]

    assert await directory.renew("shared-0") == ["light_0", "light_1", "light_2"]

    assert list(fleet.hosts) == ["shared-1"]
    assert old.condition is HostCondition.DEAD
    placed = [await directory.locate(f"light_{number}", None) for number in range(3)]
    assert {each.name for each in placed} == {"shared-1"}


async def test_a_renewed_dedicated_host_is_dedicated_again(directory: TenantDirectory, fleet: HostsInMemory) -> None:
    await directory.move("tenant_001", "dedicated-tenant_001")
    old = fleet.hosts["dedicated-tenant_001"]

    assert await directory.renew("dedicated-tenant_001") == ["tenant_001"]

    assert (await directory.locate("tenant_001", None)).name == "dedicated-tenant_001"
    assert fleet.hosts["dedicated-tenant_001"] is not old


async def test_idle_tenants_go_cold_and_busy_ones_stay(
    directory: TenantDirectory, backing: Backing, fleet: HostsInMemory
) -> None:
    backing.register("busy", {})
    first = await directory.locate("tenant_001", None)
    busy = await directory.locate("busy", None)
    fleet.change("tenant_001", idle_s=61.0)

    await directory.sweep()

    assert list(fleet.hosts["shared-0"].tenants) == ["busy"]
    assert await directory.locate("busy", None) == busy
    assert (await directory.locate("tenant_001", None)).epoch == first.epoch + 1


async def test_a_call_that_comes_while_a_tenant_goes_cold_gets_it_opened_again(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)
    fleet.change("tenant_001", idle_s=61.0)

    retired, again = await asyncio.gather(
        directory.retire("tenant_001", 60.0), directory.locate("tenant_001", first.epoch)
    )

    assert retired
    assert again.epoch > first.epoch


async def test_a_tenant_with_a_recent_call_is_not_retired(directory: TenantDirectory, fleet: HostsInMemory) -> None:
    first = await directory.locate("tenant_001", None)
    fleet.change("tenant_001", idle_s=59.0)

    assert not await directory.retire("tenant_001", 60.0)
    assert await directory.locate("tenant_001", first.epoch) == first


async def test_registering_again_with_equal_settings_changes_nothing(directory: TenantDirectory) -> None:
    settings = {"datasets": [{"name": "plays", "fields": {"song_id": {"type": "string"}}}]}
    first = await directory.register("tenant_002", settings)

    assert await directory.register("tenant_002", settings) == first
    with pytest.raises(ConflictError):
        await directory.register("tenant_002", {"datasets": []})


async def test_a_misspelt_setting_names_the_right_one(directory: TenantDirectory) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'required'"):
        await directory.register(
            "tenant_002", {"datasets": [{"name": "plays", "fields": {"a": {"type": "string", "require": True}}}]}
        )


async def test_a_deleted_tenant_is_unknown_and_has_no_host(directory: TenantDirectory, fleet: HostsInMemory) -> None:
    await directory.locate("tenant_001", None)

    await directory.delete("tenant_001")

    assert fleet.hosts["shared-0"].tenants == {}
    with pytest.raises(UnknownNameError):
        await directory.locate("tenant_001", None)


async def test_the_host_of_a_tenant_hears_of_its_new_limits_and_no_other_one_does(
    directory: TenantDirectory, backing: Backing, fleet: HostsInMemory
) -> None:
    await directory.set_limits("tenant_001", {"queries_per_second": 1})
    assert fleet.started == [], "a cold tenant stays cold"
    assert await directory.standings("tenant_001") is None
    placed = await directory.locate("tenant_001", None)

    await directory.set_limits("tenant_001", {"events_per_second": 5})

    assert fleet.hosts[placed.name].told == ["tenant_001"]
    assert backing.catalog.tenant("tenant_001").record().limits == {"events_per_second": 5}
    assert await directory.standings("tenant_001") == (Standing("events_per_second", 5, 0),)
    with pytest.raises(ConfigurationError, match="'events_per_second'"):
        await directory.set_limits("tenant_001", {"event_per_second": 5})


async def test_limits_that_a_silent_host_did_not_hear_of_are_an_error_until_they_hold(
    directory: TenantDirectory, backing: Backing, fleet: HostsInMemory
) -> None:
    placed = await directory.locate("tenant_001", None)
    fleet.hosts[placed.name].condition = HostCondition.SILENT

    with pytest.raises(UnavailableError):
        await directory.set_limits("tenant_001", {"events_per_second": 5})

    assert backing.catalog.tenant("tenant_001").record().limits == {"events_per_second": 5}


async def test_a_tenant_whose_limits_were_changed_is_registered_again_as_before(directory: TenantDirectory) -> None:
    await directory.set_limits("tenant_001", {"events_per_second": 5})
    assert (await directory.register("tenant_001", {})).limits == {"events_per_second": 5}
    with pytest.raises(ConflictError):
        await directory.register("tenant_001", {"limits": {"events_per_second": 5}})
