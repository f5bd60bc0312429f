"""Further nodes of a system that runs on this machine: raylets of their own, joined to its Ray."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import yaml

from benchmarks.tenantbench.proc import command_of
from cluster.dashboard import Dashboard
from cluster.ports import free_ports
from cluster.processes import join_ray, marked
from cluster.record import ClusterRecord
from cluster.serve_config import packaged
from cluster.serve_environment import MARKER, serve_environment, token_environment

NODE = "TENANCY_NODE"
"""In the environment of every process of a node, so that all of them can go at once, as with a machine."""
_PORTS = (
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)
_WORKER_PORTS = 300
_FIRST_WORKER_PORT = 16_000
"""Clear of those of the head's workers, which Ray gives out from 10002 on."""
_MOST_NODES = 12


class Nodes:
    """The nodes that were added to one system. They end with it, by its marker, unless they stand `apart`."""

    def __init__(self, record: ClusterRecord, haproxy: bool = True, apart: bool = False) -> None:
        assert record.marker is not None
        self._record, self._marker, self._haproxy = record, record.marker, haproxy
        self._apart = apart
        self._made = 0
        self.names: list[str] = []

    def add(self, cpus: int = 4, patience_s: float = 120.0) -> str:
        """Another node; returns its name when Ray's dashboard shows it alive."""
        before = self._alive()
        name = f"{self._marker}-{self._made}"
        folder = Path(tempfile.mkdtemp(prefix="node-", dir=self._record.folder))
        lowest = _FIRST_WORKER_PORT + _WORKER_PORTS * (self._made % _MOST_NODES)
        self._made += 1
        environment = {
            **os.environ,
            **token_environment(),
            **serve_environment(folder, haproxy=self._haproxy, throughput=True),
            "RAY_SERVE_LOG_TO_STDERR": "0",
            **({} if self._apart else {MARKER: self._marker}),
            NODE: name,
        }
        extra = (
            f"--num-cpus={cpus}",
            f"--min-worker-port={lowest}",
            f"--max-worker-port={lowest + _WORKER_PORTS - 1}",
        )
        process = join_ray(
            self._record.address, folder, dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)), environment, extra
        )
        until = time.monotonic() + patience_s
        while not self._alive() - before:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"node {name} did not join: {(folder / 'ray.log').read_text()[-2000:]}")
            time.sleep(0.2)
        self.names.append(name)
        return name

    def kill(self, name: str) -> int:
        """SIGKILL to every process of a node, its raylet first; how many there were."""
        pids = sorted(marked(name, NODE), key=lambda pid: "raylet" not in command_of(pid).partition(" ")[0])
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.names.remove(name)
        return len(pids)

    def _alive(self) -> set[str]:
        with Dashboard(self._record.dashboard) as dashboard:
            nodes = dashboard.nodes()
        return {str(node["node_id"]) for node in nodes if node["state"] == "ALIVE"}


def one_proxy(folder: Path) -> Path:
    """A Serve configuration in `folder` for nodes that share one machine, and so the port of its proxy."""
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(packaged().read_text()), "proxy_location": "HeadOnly"}))
    return path
