from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.serve_config import packaged, serve_config
from tenancy.analytics.errors import ConfigurationError


def test_serve_accepts_the_packaged_file_as_it_is() -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load(packaged().read_text()))
    assert {each.name: each.route_prefix for each in config.applications} == {"query": "/", "ingest": "/ingest"}
    for each in config.applications:
        (deployment,) = each.deployments
        assert deployment.autoscaling_config


def test_an_address_and_settings_are_put_in_and_the_rest_stays() -> None:
    before = yaml.safe_load(packaged().read_text())
    after = serve_config(packaged(), host="0.0.0.0", port=9000, arguments={"config_file": "/etc/tenancy.yaml"})
    assert after["http_options"]["host"] == "0.0.0.0"
    assert after["http_options"]["port"] == 9000
    assert [each["deployments"] for each in after["applications"]] == [
        each["deployments"] for each in before["applications"]
    ]
    assert all(each["args"] == {"config_file": "/etc/tenancy.yaml"} for each in after["applications"])
    ServeDeploySchema.model_validate(after)


def test_no_deployment_scales_beyond_the_cores_there_are_or_its_own_least() -> None:
    def most(cores: int | None) -> list[int]:
        config = serve_config(packaged(), host="127.0.0.1", port=8000, arguments={}, cores=cores)
        ServeDeploySchema.model_validate(config)
        return [
            deployment["autoscaling_config"]["max_replicas"]
            for application in config["applications"]
            for deployment in application["deployments"]
        ]

    assert most(1) == [2, 2]
    assert most(6) == [6, 6]
    assert most(64) == most(None)


def test_another_kind_of_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("storage: {root: /data}")
    with pytest.raises(ConfigurationError, match=r"settings\.yaml"):
        serve_config(path, host="127.0.0.1", port=8000, arguments={})
