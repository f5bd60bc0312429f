"""Settings: one frozen model per capability inside one root, each with a default that works on a laptop.

`AnalyticsConfig.load` is the one place where settings enter: a dictionary, a YAML file, and environment
variables (`TENANCY_<SECTION>__<KEY>`, as `TENANCY_STORAGE__ROOT`), validated together at start-up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tenancy.analytics.errors import ConfigurationError, near

ENVIRONMENT_PREFIX = "TENANCY_"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EngineConfig(_Section):
    """`analytics_engine`: how one tenant's engine works."""

    type: Literal["hybrid", "real_time", "batch"] = "hybrid"
    """Which way a group commit leans: `real_time` writes at once, `batch` waits ten times `storage.wal_linger_ms`."""
    batch_size: int = Field(default=10_000, ge=1)
    """Rows written at a time when tables and data frames are collected."""
    ml_enabled: bool = True
    """Whether learned models may take part. None does yet."""
    max_workers: int = Field(default=16, ge=1)
    """Threads of one host."""


class CollectionConfig(_Section):
    """`data_collection`: what is let in."""

    buffer_size: int = Field(default=50_000, ge=1)
    """Rows that may wait to be made durable, for each tenant; beyond it the caller is told to wait."""
    quality_checks_enabled: bool = True
    """Whether enum, range, pattern and length of declared fields are checked. Types always are."""
    anomaly_detection_enabled: bool = True
    """Whether volume, null share and unseen categories are compared with their baseline."""
    dedup_window_hours: float = Field(default=24.0, gt=0)
    """How long an event id or idempotency key is remembered, exactly."""
    max_in_flight_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Bytes of bodies being worked on for each tenant; beyond it the caller is told to wait."""
    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    """The largest body, after decompression."""
    max_row_bytes: int = Field(default=1024 * 1024, ge=64)
    """The largest single event; a larger one is quarantined, cut."""
    max_depth: int = Field(default=32, ge=1)
    """Levels of nesting in one event."""
    max_future_hours: float = Field(default=24.0, gt=0)
    """How far ahead of the clock an event's time may be."""


class PerformanceConfig(_Section):
    """`performance`: what one query may use."""

    query_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long one query may run; then it is interrupted."""
    memory_limit_mb: int = Field(default=4096, ge=64)
    """Memory of a host's query engine."""
    cpu_limit_cores: int = Field(default=8, ge=1)
    """Threads of a host's query engine; never more than the machine has."""


class StorageConfig(_Section):
    """`storage`: where events are kept, and in what pieces."""

    root: str = ".tenancy"
    """A folder, or any URL that fsspec opens (`s3://bucket/prefix`)."""
    storage_options: Mapping[str, Any] = Field(default_factory=dict)
    """Passed to fsspec with `root`."""
    catalog_url: SecretStr | None = None
    """A SQLAlchemy URL; SQLite below `root` where none is given."""
    wal_linger_ms: float = Field(default=2.0, ge=0)
    """How long a group commit waits for company."""
    flush_rows: int = Field(default=500_000, ge=1)
    """The buffer becomes a segment when it holds so many rows,"""
    flush_bytes: int = Field(default=128 * 1024 * 1024, ge=1024)
    """or so many bytes,"""
    flush_age_seconds: float = Field(default=60.0, gt=0)
    """or when its oldest row has waited so long."""
    segment_target_bytes: int = Field(default=128 * 1024 * 1024, ge=1024)
    """The size that compaction merges small segments towards."""


class SecurityConfig(_Section):
    """`security`: where the master key comes from."""

    key_provider: Literal["file", "environment"] = "file"
    """Where the master key is: in a file, or in an environment variable."""
    key_file: str | None = None
    """Where the key file is; `master.key` below `storage.root` where none is given. Created (0600) on first use."""
    key_variable: str = "TENANCY_MASTER_KEY"
    """For `environment`: the variable that holds the key, 32 bytes in base64."""
    api_key_cache_seconds: float = Field(default=2.0, ge=0)
    """How long a verified API key is trusted before it is looked up again."""


class PlacementConfig(_Section):
    """`placement`: which actors run."""

    namespace: str = "tenancy"
    """The Ray namespace of the system's actors."""
    idle_seconds: float = Field(default=300.0, gt=0)
    """A tenant's host is stopped after so long without a call."""
    call_timeout_seconds: float = Field(default=120.0, gt=0)
    """How long a call is retried while its host is being replaced."""


class AnalyticsConfig(_Section):
    """The root of all settings.

    >>> AnalyticsConfig.load({"performance": {"query_timeout_seconds": 5}}).performance.query_timeout_seconds
    5.0
    >>> AnalyticsConfig.load({"performance": {"query_timeout": 5}})
    Traceback (most recent call last):
    tenancy.analytics.errors.ConfigurationError: performance.query_timeout: 5 is not valid; \
did you mean 'query_timeout_seconds'?
    """

    analytics_engine: EngineConfig = EngineConfig()
    data_collection: CollectionConfig = CollectionConfig()
    performance: PerformanceConfig = PerformanceConfig()
    storage: StorageConfig = StorageConfig()
    security: SecurityConfig = SecurityConfig()
    placement: PlacementConfig = PlacementConfig()

    @classmethod
    def load(
        cls,
        given: Mapping[str, Any] | AnalyticsConfig | str | Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AnalyticsConfig:
        """Settings from a dictionary or a YAML file, over those of the environment, over the defaults.

        A config that is one already is returned as it is. Raises ConfigurationError that names the setting,
        its value, and the nearest known key.
        """
        if isinstance(given, AnalyticsConfig):
            return given
        if isinstance(given, str | Path):
            given = yaml.safe_load(Path(given).read_text()) or {}
        settings = _from_environment(os.environ if environment is None else environment)
        for section, values in (given or {}).items():
            if isinstance(values, Mapping):
                settings[section] = {**settings.get(section, {}), **values}
            else:
                settings[section] = values
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise _explained(error) from None

    def anchored(self) -> AnalyticsConfig:
        """These settings with relative folders made absolute: for another process, which may run elsewhere."""
        root, key_file = self.storage.root, self.security.key_file
        return self.model_copy(
            update={
                "storage": self.storage.model_copy(update={"root": root if "://" in root else os.path.abspath(root)}),
                "security": self.security.model_copy(
                    update={"key_file": None if key_file is None else os.path.abspath(key_file)}
                ),
            }
        )


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in environment.items():
        section, separator, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if name.startswith(ENVIRONMENT_PREFIX) and separator:
            settings.setdefault(section, {})[key] = value
    return settings


def _explained(error: ValidationError) -> ConfigurationError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] != "extra_forbidden":
        return ConfigurationError(".".join(path), first["input"], first["msg"])
    section: type[BaseModel] = AnalyticsConfig
    for part in path[:-1]:
        section = type(section.model_fields[part].default)
    known = section.model_fields
    close = near(path[-1], known) or tuple(known)
    return ConfigurationError(".".join(path), first["input"], f"did you mean {' or '.join(map(repr, close))}?")
