"""This project's system on several nodes, all on this machine, one of which can be killed."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.chaos.nodes import NODE, Nodes, one_proxy
from benchmarks.tenantbench.adapter import Fault, Injury
from benchmarks.tenantbench.our_http import HOSTS, OurSystem
from benchmarks.tenantbench.proc import command_of
from cluster.processes import marked


class OurNodes(OurSystem):
    """The head and two more nodes; hosts and replicas are where Ray puts them."""

    def __init__(self, *, seed: int = 0, more: int = 2) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="tenantbench-nodes-")
        up_options = {"serve_config": one_proxy(Path(self._place.name))}
        super().__init__(settings={"placement": {"shared_hosts": 1 + more}}, up_options=up_options, seed=seed)
        self._more = more

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            assert self._record is not None
            self._nodes = Nodes(self._record)
            for _ in range(self._more):
                await asyncio.to_thread(self._nodes.add)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._place.cleanup()

    async def inflict(self, fault: Fault) -> Injury:
        if fault is not Fault.KILL_NODE:
            return await super().inflict(fault)
        served = {name: [pid for pid in marked(name, NODE) if _serves(pid)] for name in self._nodes.names}
        # The one with most hosts: the death of a node on which nothing runs would prove nothing.
        name = max(served, key=lambda each: len(served[each]))
        count = self._nodes.kill(name)
        return Injury(f"SIGKILL to all {count} processes of a node, {len(served[name])} of them hosts of tenants")


def _serves(pid: int) -> bool:
    return command_of(pid).startswith(HOSTS)
