"""Settings are read in one place, and a wrong one is named with what was probably meant."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import ConfigurationError

DESIGNED = {
    "analytics_engine": {"type": "hybrid", "batch_size": 10000, "ml_enabled": True, "max_workers": 16},
    "data_collection": {"buffer_size": 50000, "quality_checks_enabled": True, "anomaly_detection_enabled": True},
    "performance": {"query_timeout_seconds": 60, "memory_limit_mb": 4096, "cpu_limit_cores": 8},
}


def test_the_sections_of_the_public_interface_are_the_defaults() -> None:
    assert AnalyticsConfig.load(DESIGNED, {}) == AnalyticsConfig.load(None, {}) == AnalyticsConfig()


def test_a_config_passes_through_unchanged() -> None:
    config = AnalyticsConfig()
    assert AnalyticsConfig.load(config, {"TENANCY_STORAGE__ROOT": "/elsewhere"}) is config


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError, match=r"data_collection\.bufer_size: 1 .* 'buffer_size'"):
        AnalyticsConfig.load({"data_collection": {"bufer_size": 1}}, {})


def test_an_unknown_section_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError, match=r"storge: .* 'storage'"):
        AnalyticsConfig.load({"storge": {"root": "x"}}, {})


def test_a_value_out_of_range_names_the_setting_and_the_value() -> None:
    with pytest.raises(ConfigurationError, match=r"performance\.memory_limit_mb: 3 .* greater than or equal to 64"):
        AnalyticsConfig.load({"performance": {"memory_limit_mb": 3}}, {})


def test_the_environment_is_read_and_what_is_given_wins() -> None:
    environment = {"TENANCY_STORAGE__ROOT": "/data", "TENANCY_STORAGE__FLUSH_ROWS": "10", "HOME": "/root"}
    config = AnalyticsConfig.load({"storage": {"root": "/mine"}}, environment)
    assert (config.storage.root, config.storage.flush_rows) == ("/mine", 10)


def test_a_yaml_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("performance:\n  memory_limit_mb: 128\n")
    assert AnalyticsConfig.load(path, {}).performance.memory_limit_mb == 128


def test_the_catalog_url_keeps_its_password_to_itself() -> None:
    config = AnalyticsConfig.load({"storage": {"catalog_url": "postgresql://u:hunter2@db/t"}}, {})
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("given", "environment"),
    [
        (None, {"TENANCY_SECURITY__MASTER_KEY": "hunter2"}),
        (None, {"TENANCY_PERFORMANCE__PASSWORD": "hunter2"}),
        (None, {"TENANCY_SECRETS__KEY": "hunter2"}),
        (None, {"TENANCY_STORAGE__STORAGE_OPTIONS": "hunter2"}),
        (None, {"TENANCY_STORAGE__STORAGE_OPTIONS": '["hunter2"]'}),
        ({"security": {"master_key": "hunter2"}}, {}),
        ({"security": {"key_provider": "hunter2"}}, {}),
        ({"security": "hunter2"}, {}),
        ({"secrity": {"master_key": "hunter2"}}, {}),
        ({"storage": {"storage_options": "hunter2"}}, {}),
        ({"storage": {"storage_options": {("hunter2",): 1}}}, {}),
        ({"storage": {"storge_options": {"secret": "hunter2"}}}, {}),
        ({"storage": {"catalog_ulr": "postgresql://u:hunter2@db/t"}}, {}),
        ({"storage": {"catalog_url": ["postgresql://u:hunter2@db/t"]}}, {}),
    ],
)
def test_what_may_be_a_secret_is_in_no_message(given: dict[str, Any] | None, environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="…") as caught:
        AnalyticsConfig.load(given, environment)
    assert "hunter2" not in f"{caught.value} {caught.value!r}"


def test_the_master_key_is_no_setting() -> None:
    assert AnalyticsConfig.load(None, {"TENANCY_MASTER_KEY": "hunter2"}) == AnalyticsConfig()


def test_options_of_the_storage_are_json_in_the_environment_and_are_not_shown() -> None:
    config = AnalyticsConfig.load(None, {"TENANCY_STORAGE__STORAGE_OPTIONS": '{"secret": "hunter2", "anon": false}'})
    assert config.storage.storage_options == {"secret": "hunter2", "anon": False}
    assert "hunter2" not in f"{config!r} {config}"
    assert "secret" in repr(config.storage)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"storage:\n  root: *hunter2\n", "not YAML; see line 2"),
        (b"storage: {\n", "not YAML"),
        (b"\xff\xfe\xff", "not YAML in UTF-8"),
        (b"at: 2024-13-45\n", "not YAML"),
        (b"- storage\n", "mapping of sections"),
        (b"storage\n", "mapping of sections"),
    ],
)
def test_a_file_that_is_no_settings_is_an_error_that_names_it(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said) as caught:
        AnalyticsConfig.load(path, {})
    assert str(path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_with_nothing_in_it_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("# nothing yet\n")
    assert AnalyticsConfig.load(path, {}) == AnalyticsConfig()


def test_folders_for_another_process_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = AnalyticsConfig.load({"storage": {"root": "data"}, "security": {"key_file": "master.key"}}, {}).anchored()

    assert (config.storage.root, config.security.key_file) == (str(tmp_path / "data"), str(tmp_path / "master.key"))
    assert config.anchored() == config
    assert AnalyticsConfig.load({"storage": {"root": "s3://bucket/x"}}, {}).anchored().storage.root == "s3://bucket/x"


def test_settings_that_another_version_pickled_have_defaults_for_what_it_did_not_know() -> None:
    config = AnalyticsConfig.load({"placement": {"idle_seconds": 7}}, {})
    sent = config.__reduce_ex__(2)
    older = copy.deepcopy(sent[2])
    assert isinstance(older, dict)
    del older["__dict__"]["limits"]  # a section that came later
    older["__dict__"]["placement"].__dict__.pop("silence_seconds")  # a setting that came later
    older["__dict__"]["placement"].__dict__["left_over"] = 1  # one that is no more
    older["__dict__"]["placement"] = pickle.loads(pickle.dumps(older["__dict__"]["placement"]))
    received = AnalyticsConfig.__new__(AnalyticsConfig)
    received.__setstate__(older)

    assert received == config
    assert pickle.loads(pickle.dumps(config)) == config
