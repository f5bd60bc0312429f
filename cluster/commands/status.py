"""`tenancy status`."""

from __future__ import annotations

import dataclasses

from cluster.client import Client
from cluster.commands.options import DEFAULT_STATE, AsJson, Key, State
from cluster.commands.tenant import every_tenant
from cluster.output import Output
from cluster.record import ClusterRecord
from cluster.status import cluster_status


def command(state: State = DEFAULT_STATE, key: Key = None, as_json: AsJson = False) -> None:
    """Show nodes, applications and replicas, and with an operator's key the tenants."""
    output = Output(as_json)
    with output.reporting():
        record = ClusterRecord.require(state)
        status = cluster_status(record)
        tenants = None
        if key is not None:
            with Client(record.url, key) as service:
                tenants = [each["id"] for each in every_tenant(service)]

        def shown() -> None:
            output.console.print(f"[bold]{status.url}[/bold], Ray {status.ray_version}")
            output.table(
                ("node", "state", "CPUs", ""),
                [(node.ip, node.state, node.cpus, "head" if node.head else "") for node in status.nodes],
            )
            output.table(
                ("application", "route", "status", "replicas"),
                [
                    (each.name, each.route, each.status, ", ".join(f"{n} {s}" for s, n in each.replicas.items()))
                    for each in status.applications
                ],
            )
            if tenants is not None:
                output.console.print(
                    f"{len(tenants):,} tenants: {', '.join(tenants[:20])}{' …' if tenants[20:] else ''}"
                )

        output.result({**dataclasses.asdict(status), "tenants": tenants}, shown)
