"""New code and new settings into a system that works: replicas, the directory and hosts are replaced while it answers.

Replicas first, by Serve: new ones come, old ones finish what they have and go. Then the directory, whose truth is the
catalog. Then the hosts, one after another: a new process, its tenants moved live, the old process ended.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from cluster.answering import ask
from cluster.bring_up import SETTINGS, Say, kept_settings
from cluster.dashboard import Dashboard
from cluster.record import ClusterRecord
from cluster.serve_config import serve_config
from cluster.serve_environment import token_environment
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import ConfigurationError

DEPLOYED = "TENANCY_DEPLOYMENT"
"""Differs from one deployment to the next, in the environment of every replica: so Serve replaces all of them."""
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Redeployed:
    """What was replaced."""

    replicas: int
    hosts: int
    tenants: int
    """Moved live from an old host to a new one."""


def redeploy(state: Path, say: Say, config: Path | None = None, applications: Path | None = None) -> Redeployed:
    """Replace every process of ours, with the settings and Serve applications given or else those of before.

    Raises UnavailableError where nothing runs, or where new replicas do not come up: then the old ones go on, and
    directory and hosts are as they were. ConfigurationError, also for settings that move the storage.
    """
    record = ClusterRecord.require(state)
    before = yaml.safe_load(Path(record.folder, "serve.yaml").read_text())
    arguments = before["applications"][0].get("args", {})
    if config is not None:
        arguments = _changed(record, arguments, config)
    source = applications or Path(record.folder, "serve.yaml")
    deployed = _marked(serve_config(source, host=_host(before), port=_port(before), arguments=arguments))
    with Dashboard(record.dashboard) as dashboard:
        old = dashboard.replicas(record.applications)
        say("replacing the replicas")
        dashboard.deploy(deployed)
        dashboard.await_running(record.applications, _PATIENCE_S)
        dashboard.await_gone(old, record.applications, _PATIENCE_S)
    Path(record.folder, "serve.yaml").write_text(yaml.safe_dump(deployed, sort_keys=False))
    say("replacing the directory and the hosts")
    environment = {**os.environ, **token_environment()}
    told: dict[str, int] = ask(
        "the hosts", "cluster.renewal", (record.address,), arguments, environment, patience_s=_PATIENCE_S
    )
    return Redeployed(len(old), told["hosts"], told["tenants"])


def _changed(record: ClusterRecord, arguments: dict[str, Any], config: Path) -> dict[str, Any]:
    """New arguments of the applications: of a local system by file, which may hold secrets; else inline."""
    given = kept_settings(config)
    now, then = (
        AnalyticsConfig.load(given),
        AnalyticsConfig.load(arguments.get("config_file") or arguments.get("config")),
    )
    if (now.storage.root, now.storage.catalog_url) != (then.storage.root, then.storage.catalog_url):
        remedy = "another storage is another system: 'tenancy down', then 'tenancy up'"
        raise ConfigurationError("storage.root", now.storage.root, remedy)
    if record.marker is None:
        return {"config": given}
    path = Path(record.folder, SETTINGS)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(yaml.safe_dump(given))
    draft.replace(path)
    return {"config_file": str(path)}


def _marked(config: dict[str, Any]) -> dict[str, Any]:
    name = uuid4().hex[:12]
    for application in config["applications"]:
        for deployment in application.get("deployments", []):
            environment = deployment.setdefault("ray_actor_options", {}).setdefault("runtime_env", {})
            environment["env_vars"] = {**environment.get("env_vars", {}), DEPLOYED: name}
    return config


def _host(config: dict[str, Any]) -> str:
    return str(config["http_options"]["host"])


def _port(config: dict[str, Any]) -> int:
    return int(config["http_options"]["port"])
