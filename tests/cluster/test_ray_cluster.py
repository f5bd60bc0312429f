"""The file for Ray's cluster launcher, checked by the launcher's own schema and rules."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # its stubs are a package of their own, for one test
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    return loaded


def test_rays_schema_accepts_the_file(config: dict[str, Any]) -> None:
    schema = json.loads((Path(str(files("ray"))) / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)


def test_rays_schema_would_refuse_a_misspelt_key(config: dict[str, Any]) -> None:
    schema = json.loads((Path(str(files("ray"))) / "autoscaler" / "ray-schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "max_worker": 1}, schema)


def test_the_head_is_a_node_type_and_workers_fit_in(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    assert config["head_node_type"] in types
    assert sum(kind.get("min_workers", 0) for kind in types.values()) <= config["max_workers"]


def test_every_node_asks_for_a_token_and_runs_serve_in_one_mode(config: dict[str, Any]) -> None:
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        start = commands[-1]
        for setting in ("RAY_AUTH_MODE=token", "RAY_SERVE_ENABLE_HA_PROXY=1", "RAY_SERVE_THROUGHPUT_OPTIMIZED=1"):
            assert setting in start


def test_every_file_that_a_command_reads_is_sent_there(config: dict[str, Any]) -> None:
    commands = [
        command
        for name in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
        for command in config[name]
    ]
    read = {path for command in commands for path in re.findall(r"/home/ubuntu/[\w.-]+", command)}
    assert "/home/ubuntu/tenancy.env" in read
    assert read <= config["file_mounts"].keys()
