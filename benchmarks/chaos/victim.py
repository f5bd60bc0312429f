"""The system that is maltreated: several nodes on this machine, PostgreSQL as catalog, and a way to do each harm."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from benchmarks.chaos.nodes import Nodes, one_proxy
from benchmarks.chaos.plan import Blow, Harm
from benchmarks.chaos.postgres import Postgres
from benchmarks.tenantbench.our_http import OurSystem
from benchmarks.tenantbench.proc import command_of
from cluster.processes import marked
from cluster.record import ClusterRecord
from cluster.redeployment import redeploy

_TITLES: Mapping[Harm, tuple[str, ...]] = {
    Harm.KILL_HOST: ("ray::TenantServant", "ray::host:"),
    Harm.FREEZE_HOST: ("ray::TenantServant", "ray::host:"),
    Harm.END_HOST: ("ray::TenantServant", "ray::host:"),
    Harm.KILL_DIRECTORY: ("ray::DirectoryServant", "ray::directory"),
    Harm.KILL_REPLICA: ("ray::ServeReplica",),
    Harm.KILL_CONTROLLER: ("ray::ServeController",),
}
"""How Ray names the processes, before and after their first call."""
_TRIES = 5
_SIGNALS = {Harm.FREEZE_HOST: signal.SIGSTOP, Harm.END_HOST: signal.SIGTERM}


class Victim(OurSystem):
    """Ends only processes that carry the marker of its own system."""

    def __init__(self, seed: int, nodes: int = 1, postgresql: bool = True) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="chaos-")
        folder = Path(self._place.name)
        folder.chmod(0o755)  # PostgreSQL's own user passes through
        self._postgres = Postgres(folder / "postgresql") if postgresql else None
        settings: dict[str, Any] = {"placement": {"shared_hosts": 3}}
        if self._postgres is not None:
            settings["storage"] = {"catalog_url": self._postgres.url}
        super().__init__(settings=settings, up_options={"serve_config": one_proxy(folder)}, seed=seed)
        self._nodes: Nodes | None = None
        self._wanted = nodes
        self._after: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.start)
        try:
            await super().__aenter__()
            self._nodes = Nodes(self.record)
            for _ in range(self._wanted):
                await asyncio.to_thread(self._nodes.add)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.settle()
        if self._record is not None:
            await super().__aexit__(kind, error, trace)
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.stop)
        self._place.cleanup()

    @property
    def record(self) -> ClusterRecord:
        assert self._record is not None
        return self._record

    def harms(self) -> tuple[Harm, ...]:
        """What can be done to this one.

        Not to HAProxy: Serve starts another, which answers 404 until the controller tells it the routes, for seconds.
        A client takes a 404 for the truth. `--only kill_proxy` shows it.
        """
        cannot = {Harm.KILL_PROXY}
        if self._postgres is None:
            cannot.add(Harm.STOP_CATALOG)
        if not self._wanted:
            cannot.add(Harm.KILL_NODE)
        return tuple(harm for harm in Harm if harm not in cannot)

    async def suffer(self, blow: Blow, tenants: Sequence[str]) -> str:
        """Do it; what was done, in words. What has to be undone later is undone by itself."""
        match blow.harm:
            case Harm.KILL_NODE:
                return await self._kill_node(blow)
            case Harm.STOP_CATALOG:
                return await self._stop_catalog(blow)
            case Harm.MOVE_TENANT:
                return await self._move(blow, tenants)
            case Harm.REDEPLOY:
                self._later(self._redeploy_all())
                return "every replica and host is replaced"
            case Harm.KILL_PROXY:
                return self._signal(blow, ("haproxy",))
            case _:
                return self._signal(blow, _TITLES[blow.harm])

    async def settle(self) -> None:
        """Wait until what was begun or has to be undone is over. Raises what failed of it."""
        while self._after:
            await asyncio.gather(*self._after)

    def _signal(self, blow: Blow, titles: tuple[str, ...]) -> str:
        marker = self.record.marker
        assert marker is not None
        named = {pid: command_of(pid) for pid in marked(marker)}
        pids = sorted(pid for pid, name in named.items() if Path(name.split(" ", 1)[0]).name.startswith(titles))
        if not pids:
            return "there was none"
        pid, kind = pids[int(blow.pick * len(pids))], _SIGNALS.get(blow.harm, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(pid, kind)
        if kind is signal.SIGSTOP:
            self._later(_thaw(pid, blow.seconds))
        return f"{kind.name} to {named[pid].split()[0]} ({pid})"

    async def _kill_node(self, blow: Blow) -> str:
        nodes = self._nodes
        assert nodes is not None
        if not nodes.names:
            return "there was none"
        count = nodes.kill(nodes.names[int(blow.pick * len(nodes.names))])

        async def another() -> None:
            # On a machine that is busy, Ray gives up a node that does not come up in time.
            for _ in range(_TRIES):
                try:
                    await asyncio.to_thread(nodes.add)
                    return
                except RuntimeError as error:
                    print(f"  {str(error).splitlines()[0]}")

        self._later(another())
        return f"SIGKILL to all {count} processes of a node"

    async def _stop_catalog(self, blow: Blow) -> str:
        postgres = self._postgres
        assert postgres is not None
        await asyncio.to_thread(postgres.stop)

        async def again() -> None:
            await asyncio.sleep(blow.seconds)
            await asyncio.to_thread(postgres.start)

        self._later(again())
        return f"PostgreSQL is down for {blow.seconds:.1f} s"

    async def _move(self, blow: Blow, tenants: Sequence[str]) -> str:
        tenant = tenants[int(blow.pick * len(tenants))]
        target = ("dedicated", "shared-0", "shared-1")[int(blow.seconds * 1000) % 3]

        async def move() -> None:
            # Refused or cut off in the middle of other harm, it may fail: nothing depends on it.
            with suppress(RuntimeError):
                await self._call("PUT", f"/v1/tenants/{tenant}/placement", orjson.dumps({"host": target}))

        self._later(move())
        return f"{tenant} moves to {target}"

    async def _redeploy_all(self) -> None:
        assert self._folder is not None
        with suppress(Exception):  # other harm may cut it short; the next one goes on from there
            await asyncio.to_thread(redeploy, Path(self._folder.name, "state"), lambda _: None)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._after.add(task)
        task.add_done_callback(self._after.discard)


async def _thaw(pid: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with suppress(ProcessLookupError):  # it was found silent and ended
        os.kill(pid, signal.SIGCONT)
