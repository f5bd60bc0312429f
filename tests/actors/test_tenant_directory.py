from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from actors.fleet import TenantHostActor
from actors.placement import Condition, Sight
from actors.tenant_directory import TenantDirectory
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import Backing
from tenancy.analytics.errors import ConfigurationError, ConflictError, UnavailableError, UnknownNameError
from tenancy.analytics.testing import ManualClock


@dataclass(eq=False)
class Host:
    tenant: str
    condition: Condition = Condition.NEW
    epoch: int | None = None
    idle_s: float = 0.0
    dies_opening: bool = False
    why: str = ""


class HostsInMemory:
    """A fleet whose hosts are values; like the real ones they raise the epoch when they open."""

    def __init__(self, backing: Backing) -> None:
        self.backing = backing
        self.hosts: dict[str, Host] = {}
        self.started: list[Host] = []
        self.die_opening = 0
        self.fail_making = ""

    async def start(self, tenant: str) -> TenantHostActor:
        await asyncio.sleep(0)
        if tenant not in self.hosts:
            self.hosts[tenant] = Host(tenant, dies_opening=len(self.started) < self.die_opening)
            if self.fail_making:
                self.hosts[tenant].condition, self.hosts[tenant].why = Condition.DEAD, self.fail_making
            self.started.append(self.hosts[tenant])
        return cast("TenantHostActor", self.hosts[tenant])

    async def look(self, _tenant: str, host: TenantHostActor) -> Sight:
        seen = cast("Host", host)
        await asyncio.sleep(0)
        return Sight(seen.condition, seen.epoch, seen.idle_s, why=seen.why)

    async def open(self, tenant: str, host: TenantHostActor) -> int:
        opened = cast("Host", host)
        await asyncio.sleep(0)
        if opened.dies_opening:
            opened.condition = Condition.DEAD
            raise UnavailableError("host", "it died")
        opened.epoch = self.backing.catalog.tenant(tenant).raise_epoch()
        opened.condition = Condition.SERVING
        return opened.epoch

    async def retire(self, _tenant: str, host: TenantHostActor, idle_seconds: float) -> bool:
        asked = cast("Host", host)
        await asyncio.sleep(0.01)
        if asked.idle_s < idle_seconds:
            return False
        asked.condition = Condition.RETIRED
        return True

    async def end(self, host: TenantHostActor) -> None:
        ended = cast("Host", host)
        ended.condition = Condition.DEAD
        self.hosts.pop(ended.tenant, None)

    async def running(self) -> list[str]:
        return list(self.hosts)


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
    fleet.hosts["tenant_001"].condition = Condition.DEAD

    again = await asyncio.gather(*(directory.locate("tenant_001", first.epoch) for _ in range(20)))

    assert {placement.epoch for placement in again} == {first.epoch + 1}
    assert len(fleet.started) == 2


async def test_a_silent_host_is_ended_before_another_one_starts(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)
    silent = fleet.hosts["tenant_001"]
    silent.condition = Condition.SILENT

    second = await directory.locate("tenant_001", first.epoch)

    assert silent.condition is Condition.DEAD
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
    failing.fleet.hosts["tenant_001"].condition = Condition.DEAD
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


async def test_a_host_left_unopened_by_a_dead_directory_is_opened_by_the_next(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    await fleet.start("tenant_001")

    assert (await directory.locate("tenant_001", None)).epoch == 1
    assert len(fleet.started) == 1


async def test_idle_tenants_go_cold_and_busy_ones_stay(
    directory: TenantDirectory, backing: Backing, fleet: HostsInMemory
) -> None:
    backing.register("busy", {})
    await directory.locate("tenant_001", None)
    busy = await directory.locate("busy", None)
    fleet.hosts["tenant_001"].idle_s = 61.0

    assert await directory.sweep() == 1
    assert await fleet.running() == ["busy"]
    assert await directory.locate("busy", None) == busy


async def test_a_call_that_comes_while_a_tenant_goes_cold_gets_a_new_host(
    directory: TenantDirectory, fleet: HostsInMemory
) -> None:
    first = await directory.locate("tenant_001", None)
    fleet.hosts["tenant_001"].idle_s = 61.0

    retired, again = await asyncio.gather(
        directory.retire("tenant_001", 60.0), directory.locate("tenant_001", first.epoch)
    )

    assert retired
    assert again.epoch > first.epoch
    assert cast("Any", again.host).condition is Condition.SERVING


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

    assert await fleet.running() == []
    with pytest.raises(UnknownNameError):
        await directory.locate("tenant_001", None)
