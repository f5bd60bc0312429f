"""Connecting this process to Ray: to the cluster that is there, or to one started here."""

from __future__ import annotations

import logging

import ray

from tenancy.analytics.errors import UnavailableError


def connect(namespace: str) -> bool:
    """Make sure that this process is connected to Ray; whether it was this call that connected it.

    A connection that exists is used. Otherwise the cluster that `RAY_ADDRESS` or `ray start` names is joined, and
    where there is none a local Ray is started for this process. Ray's token authentication stays as it is set:
    by default a local Ray makes a token in `~/.ray` and admits nobody without it; a cluster started without a
    token is joined without one.

    Raises UnavailableError when a cluster is named and cannot be reached.
    """
    if ray.is_initialized():
        return False
    try:
        # Two Rays on one machine would fight for the port of the dashboard's agent.
        ray.init(namespace=namespace, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError) as error:
        raise UnavailableError("Ray", str(error)) from error
    return True


def disconnect() -> None:
    """Undo `connect`: a Ray that it started ends with everything in it, a cluster that it joined goes on."""
    ray.shutdown()
