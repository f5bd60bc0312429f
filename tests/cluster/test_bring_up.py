"""Bring-up on a Ray that is there already: the one of the running service, beside its applications."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster.bring_up import UpOptions, down, up
from cluster.client import Client
from cluster.dashboard import Dashboard
from cluster.record import ClusterRecord
from cluster.serve_environment import ray_token, token_environment
from tenancy.analytics.errors import UnavailableError


@pytest.fixture(scope="module")
def record(service: Any) -> ClusterRecord:
    return ClusterRecord.require(service.state)


def second(folder: Path, import_path: str = "serve_apps.ingest:app") -> Path:
    path = folder / "serve.yaml"
    application = {
        "name": "second",
        "route_prefix": "/second",
        "import_path": import_path,
        "deployments": [{"name": "ingest", "ray_actor_options": {"num_cpus": 0}}],
    }
    path.write_text(yaml.safe_dump({"applications": [application]}))
    return path


def options(record: ClusterRecord, service: Any, folder: Path, serve_config: Path) -> UpOptions:
    settings = folder / "settings.yaml"
    settings.write_text(yaml.safe_dump({"storage": {"root": str(service.root)}}))
    port = httpx.URL(service.url).port
    assert port is not None
    return UpOptions(
        state=folder / "run",
        address=record.address,
        dashboard=record.dashboard,
        port=port,
        config=settings,
        serve_config=serve_config,
    )


def test_applications_are_added_to_a_ray_that_runs_and_only_they_are_taken_away(
    record: ClusterRecord, service: Any, tmp_path: Path
) -> None:
    started = up(options(record, service, tmp_path, second(tmp_path)), lambda _: None)
    assert started.admin_key is None  # there is one already
    assert httpx.get(f"{service.url}/second/healthz").json() == {"status": "alive"}
    with Dashboard(record.dashboard) as dashboard:
        assert set(dashboard.applications()) == {"query", "ingest", "second"}
        down(tmp_path / "run")
        until = time.monotonic() + 60.0
        while set(dashboard.applications()) != {"query", "ingest"}:  # Serve takes them away in its own time
            assert time.monotonic() < until
            time.sleep(0.2)
        dashboard.await_running(("query", "ingest"), 60.0)
    assert httpx.get(f"{service.url}/readyz").status_code == 200


def test_an_application_that_does_not_come_up_is_told_with_its_reason_and_leaves_the_others(
    record: ClusterRecord, service: Any, tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError, match="no_such_builder"):
        up(options(record, service, tmp_path, second(tmp_path, "serve_apps.ingest:no_such_builder")), lambda _: None)
    assert ClusterRecord.read(tmp_path / "run") is None
    assert httpx.get(f"{service.url}/readyz").status_code == 200


def test_serve_deploy_accepts_what_up_deploys(record: ClusterRecord, service: Any) -> None:
    command = [str(Path(sys.executable).with_name("serve")), "deploy", f"{record.folder}/serve.yaml"]
    environment = {**os.environ, **token_environment()}
    answer = subprocess.run(
        [*command, "--address", record.dashboard], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    with Dashboard(record.dashboard) as dashboard:
        dashboard.await_running(("query", "ingest"), patience_s=60)


def test_rays_dashboard_admits_nobody_without_the_token(record: ClusterRecord) -> None:
    path = f"{record.dashboard}/api/serve/applications/"
    assert httpx.get(path).status_code == 401
    assert httpx.get(path, headers={"Authorization": f"Bearer {ray_token()}"}).status_code == 200


def test_settings_and_record_are_for_this_user_only(record: ClusterRecord, service: Any) -> None:
    for path in (Path(record.folder), Path(record.folder, "settings.yaml"), service.state / "cluster.json"):
        assert path.stat().st_mode & 0o077 == 0


def test_the_operators_key_is_kept_nowhere(record: ClusterRecord, service: Any) -> None:
    secret = service.admin_key.split("_", 2)[2].encode()
    places = [service.state, service.root, Path(record.folder)]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if secret in path.read_bytes()]


def test_a_deployed_application_uses_the_settings_it_was_given(service: Any) -> None:
    config = yaml.safe_load(Path(ClusterRecord.require(service.state).folder, "settings.yaml").read_text())
    assert config["data_collection"]["max_body_bytes"] == 8 * 1024 * 1024
    with Client(service.url, service.admin_key) as client:
        assert isinstance(json.dumps(client.call("GET", "tenants")), str)
