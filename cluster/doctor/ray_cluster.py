"""Ray: within reach, with its nodes alive."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.doctor.finding import Finding, ok, warning, wrong
from cluster.doctor.patient import Patient
from cluster.status import cluster_status
from tenancy.analytics.errors import AnalyticsError

PART = "ray"
SERVE = "serve"


def examine(patient: Patient) -> Iterator[Finding]:
    """Nodes and Serve's applications, as Ray's dashboard tells."""
    if patient.record is None:
        yield warning(PART, "nothing was started from here", "run 'tenancy up', or give --state if it was elsewhere")
        return
    try:
        status = cluster_status(patient.record)
    except AnalyticsError as error:
        yield wrong(PART, str(error), "run 'tenancy up' again; what was acknowledged is durable")
        return
    dead = [node.ip for node in status.nodes if node.state != "ALIVE"]
    alive = len(status.nodes) - len(dead)
    if not alive:
        yield wrong(PART, "no node is alive", "run 'tenancy up' again")
    elif dead:
        yield warning(PART, f"{alive} nodes alive, {len(dead)} lost", "replace them, unless they were replaced already")
    else:
        yield ok(PART, f"Ray {status.ray_version}, {alive} {'node' if alive == 1 else 'nodes'} alive")
    for name in patient.record.applications:
        application = next((each for each in status.applications if each.name == name), None)
        if application is None:
            yield wrong(SERVE, f"application {name!r} is not there", "run 'tenancy up' again")
        elif application.status != "RUNNING":
            remedy = "see its replicas' log in Ray's dashboard, then 'tenancy redeploy'"
            yield wrong(SERVE, f"application {name!r} is {application.status}: {application.message[:300]}", remedy)
        else:
            replicas = ", ".join(f"{count} {state.lower()}" for state, count in application.replicas.items())
            yield ok(SERVE, f"application {name!r}: {replicas}")
