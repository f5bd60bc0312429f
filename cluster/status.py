"""How a system is: its nodes, its applications with their replicas, and its tenants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.dashboard import Dashboard
from cluster.record import ClusterRecord


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One machine of Ray."""

    ip: str
    state: str
    head: bool
    cpus: float


@dataclass(frozen=True, slots=True)
class ApplicationStatus:
    """One Serve application; `replicas` counts them by state."""

    name: str
    route: str
    status: str
    message: str
    replicas: dict[str, int]


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A system at one moment."""

    url: str
    ray_version: str
    nodes: tuple[NodeStatus, ...]
    applications: tuple[ApplicationStatus, ...]


def cluster_status(record: ClusterRecord) -> ClusterStatus:
    """Asks Ray's dashboard. Raises UnavailableError when it does not answer."""
    with Dashboard(record.dashboard, timeout_s=10.0) as dashboard:
        found = dashboard.applications()
        return ClusterStatus(
            record.url,
            dashboard.version(),
            tuple(map(_node, dashboard.nodes())),
            tuple(_application(name, found[name]) for name in record.applications if name in found),
        )


def _node(row: dict[str, Any]) -> NodeStatus:
    return NodeStatus(
        row["node_ip"], row["state"], bool(row.get("is_head_node")), float(row.get("resources_total", {}).get("CPU", 0))
    )


def _application(name: str, row: dict[str, Any]) -> ApplicationStatus:
    replicas: dict[str, int] = {}
    for deployment in row.get("deployments", {}).values():
        for replica in deployment.get("replicas", ()):
            replicas[replica["state"]] = replicas.get(replica["state"], 0) + 1
    return ApplicationStatus(name, row.get("route_prefix") or "", row["status"], row.get("message", ""), replicas)
