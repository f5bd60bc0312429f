"""The Serve configuration that is deployed: the file of `serve_apps`, with an address and settings put in."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from tenancy.analytics.errors import ConfigurationError


def packaged() -> Path:
    """The Serve configuration that comes with the system."""
    return Path(str(files("serve_apps") / "serve_config.yaml"))


def serve_config(
    source: Path, *, host: str, port: int, arguments: dict[str, Any], cores: int | None = None
) -> dict[str, Any]:
    """The configuration in `source`, listening at `host`:`port`, every application given `arguments`.

    Where the `cores` are known that there are, no deployment scales beyond as many replicas, or its own least: a
    replica more than cores serves nobody better, and takes what hosts need.

    >>> config = serve_config(packaged(), host="127.0.0.1", port=8000, arguments={"config_file": "/etc/tenancy.yaml"})
    >>> [(each["route_prefix"], each["args"]["config_file"]) for each in config["applications"]]
    [('/', '/etc/tenancy.yaml'), ('/ingest', '/etc/tenancy.yaml')]

    Raises ConfigurationError for a file that is not a Serve configuration.
    """
    config = yaml.safe_load(source.read_text())
    if not isinstance(config, dict) or not isinstance(config.get("applications"), list):
        raise ConfigurationError(str(source), type(config).__name__, "give a Serve configuration with 'applications'")
    return {
        **config,
        "http_options": {**config.get("http_options", {}), "host": host, "port": port},
        "applications": [
            {
                **application,
                "args": {**application.get("args", {}), **arguments},
                "deployments": [_within(each, cores) for each in application.get("deployments", [])],
            }
            for application in config["applications"]
        ],
    }


def _within(deployment: dict[str, Any], cores: int | None) -> dict[str, Any]:
    scaling = deployment.get("autoscaling_config")
    if cores is None or not isinstance(scaling, dict):
        return deployment
    most = max(cores, scaling.get("min_replicas", 1), 1)
    return {**deployment, "autoscaling_config": {**scaling, "max_replicas": min(scaling.get("max_replicas", 1), most)}}
