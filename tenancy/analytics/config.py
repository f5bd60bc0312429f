"""Settings: one frozen model per capability inside one root, each with a default that works on a laptop.

`AnalyticsConfig.load` is the one place where settings enter: a dictionary, a YAML file, and environment
variables (`TENANCY_<SECTION>__<KEY>`, as `TENANCY_STORAGE__ROOT`), validated together at start-up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from tenancy.analytics.errors import ConfigurationError, near

ENVIRONMENT_PREFIX = "TENANCY_"

_HIDDEN = "…"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Unpickled by other code than it was pickled by, as when a new version was installed under a running system.

        Settings that the sender did not know have their defaults, and those that are no more are left out.
        """
        fields, given = type(self).model_fields, state["__dict__"]
        values = {name: given[name] if name in given else field.get_default() for name, field in fields.items()}
        super().__setstate__({**state, "__dict__": values})


class EngineConfig(_Section):
    """`analytics_engine`: how one tenant's engine works."""

    type: Literal["hybrid", "real_time", "batch"] = "hybrid"
    """Which way a group commit leans: `real_time` writes at once, `batch` waits ten times `storage.wal_linger_ms`."""
    batch_size: int = Field(default=10_000, ge=1)
    """Rows written at a time, all or nothing, where tables or data frames are collected; a body of bytes is not cut."""
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
    """Memory of a host's query engine; never more than 40 % of what is free of `host_memory_mb`."""
    host_memory_mb: int | None = Field(default=None, ge=384)
    """Memory of a whole host; a part of 60 % of the machine's, or of its control group's, where none is given."""
    cpu_limit_cores: int = Field(default=8, ge=1)
    """Threads of a host's query engine; never more than the machine has."""


class StorageConfig(_Section):
    """`storage`: where events are kept, and in what pieces."""

    root: str = ".tenancy"
    """A folder, or any URL that fsspec opens (`s3://bucket/prefix`)."""
    storage_options: Mapping[str, Any] = Field(default_factory=dict)
    """Passed to fsspec with `root`; a JSON object where it comes from the environment. Not shown in messages."""
    catalog_url: SecretStr | None = None
    """A SQLAlchemy URL; SQLite below `root` where none is given."""
    catalog_patience_seconds: float = Field(default=20.0, ge=0)
    """How long a write waits for a catalog that is out of reach, before it is refused."""
    catalog_grace_seconds: float = Field(default=60.0, ge=0)
    """For how long, while the catalog is out of reach, queries are answered and API keys known already are honoured."""
    wal_linger_ms: float = Field(default=2.0, ge=0)
    """How long a group commit waits for company."""
    flush_rows: int = Field(default=500_000, ge=1)
    """The buffer becomes a segment when it holds so many rows,"""
    flush_bytes: int = Field(default=128 * 1024 * 1024, ge=1024)
    """or so many bytes,"""
    flush_age_seconds: float = Field(default=60.0, gt=0)
    """or when its oldest row has waited so long."""
    dead_file_seconds: float = Field(default=120.0, ge=0)
    """A file that was replaced is kept so long, for queries of an earlier owner that still read it."""
    segment_target_bytes: int = Field(default=128 * 1024 * 1024, ge=1024)
    """The size that compaction merges small segments towards."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            # Credentials are among them as often as not.
            yield name, dict.fromkeys(value, _HIDDEN) if name == "storage_options" else value


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
    """A tenant goes cold after so long without a call."""
    shared_hosts: int | None = Field(default=None, ge=1)
    """Hosts that light tenants share; as many as the cluster has cores where none is given. They start as needed."""
    silence_seconds: float = Field(default=2.0, gt=0)
    """A host that does not answer for so long is replaced."""
    call_timeout_seconds: float = Field(default=120.0, gt=0)
    """How long a call is retried while its host is being replaced."""


class Caps(_Section):
    """What one tenant may use; None is no cap."""

    events_per_second: int | None = Field(default=None, ge=1)
    """Rows collected, whatever their receipts."""
    bytes_per_second: int | None = Field(default=None, ge=1)
    """Bytes of bodies, after decompression."""
    queries_per_second: int | None = Field(default=None, ge=1)
    """Queries, their explanations, and pages of the quarantine."""
    concurrent_queries: int | None = Field(default=None, ge=1)
    """Of those, how many at once."""
    stored_bytes: int | None = Field(default=None, ge=1)
    """Bytes of segments; beyond it events are refused."""
    scanned_bytes_per_hour: int | None = Field(default=None, ge=1)
    """Bytes that queries read; the one that goes beyond it is finished, the next is refused."""
    weight: float = Field(default=1.0, gt=0, le=1000)
    """Share of a tenant in the queue of its host, against the others'."""


class LimitsConfig(Caps):
    """`limits`: what a tenant may use where its own configuration does not say; None is no cap."""

    burst_seconds: int = Field(default=1, ge=1, le=3600)
    """What is not used of a limit per second is saved up for so long, and may be used at once."""
    remembered_seconds: float = Field(default=5.0, ge=0)
    """How long a replica repeats a refusal by itself, at most, before it asks the tenant's host again."""
    collecting_at_once: int = Field(default=8, ge=1)
    """Batches of one tenant that one replica works on at once; more wait for their turn."""
    concurrent_requests: int = Field(default=48, ge=1)
    """Requests of one tenant that one replica works on at once."""
    usage_seconds: float = Field(default=30.0, gt=0)
    """How often what a tenant used is added to the catalog while it changes."""


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
    limits: LimitsConfig = LimitsConfig()

    @classmethod
    def load(
        cls,
        given: Mapping[str, Any] | AnalyticsConfig | str | Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AnalyticsConfig:
        """Settings from a dictionary or a YAML file, over those of the environment, over the defaults.

        A config that is one already is returned as it is. Raises ConfigurationError that names the setting,
        its value unless that may be a secret, and the nearest known key; also for a file that cannot be read.
        """
        if isinstance(given, AnalyticsConfig):
            return given
        if isinstance(given, str | Path):
            given = _from_file(Path(given))
        surroundings = _from_environment(os.environ if environment is None else environment)
        settings: dict[str, Any] = dict(surroundings)
        for section, values in (given or {}).items():
            if isinstance(values, Mapping):
                settings[section] = {**settings.get(section, {}), **values}
            else:
                settings[section] = values
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise _explained(error, surroundings) from None

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


def _from_file(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError("settings", str(path), f"it cannot be read ({error.strerror})") from error
    except yaml.MarkedYAMLError as error:
        # YAML's own message quotes the line, which may hold a password.
        where = "" if error.problem_mark is None else f"; see line {error.problem_mark.line + 1}"
        raise ConfigurationError("settings", str(path), f"it is not YAML{where}") from None
    except (yaml.YAMLError, ValueError):  # not text, or a date that is none
        raise ConfigurationError("settings", str(path), "it is not YAML in UTF-8") from None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigurationError("settings", str(path), "let the file be a mapping of sections, as 'storage:'")
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    settings: dict[str, dict[str, Any]] = {}
    for name, value in environment.items():
        # Two underscores make a setting, so `TENANCY_MASTER_KEY` is none.
        section, separator, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if name.startswith(ENVIRONMENT_PREFIX) and separator:
            settings.setdefault(section, {})[key] = _object(name, value) if _is_mapping(section, key) else value
    return settings


def _is_mapping(section: str, key: str) -> bool:
    settings = _settings_of([section])
    return key in settings and get_origin(settings[key].annotation) is Mapping


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigurationError(name, _HIDDEN, """give a JSON object, as '{"anon": true}'""")
    return found


def _explained(error: ValidationError, surroundings: Mapping[str, Mapping[str, Any]]) -> ConfigurationError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]][:2]
    unknown = first["type"] == "extra_forbidden"
    foreign = unknown and path[-1] in surroundings.get(path[0], {})
    shown = _HIDDEN if foreign or _may_be_secret(path, first["input"], unknown) else first["input"]
    if not unknown:
        return ConfigurationError(".".join(path), shown, first["msg"])
    known = _settings_of(path[:-1])
    close = near(path[-1], known) or tuple(known)
    return ConfigurationError(".".join(path), shown, f"did you mean {' or '.join(map(repr, close))}?")


def _may_be_secret(path: list[str], value: object, unknown: bool) -> bool:
    """A mapping may be a misspelt section, and an unknown key of `storage` one that holds credentials."""
    return (
        path[0] == "security"
        or path in (["storage", "storage_options"], ["storage", "catalog_url"])
        or (path[0] == "storage" and unknown)
        or isinstance(value, Mapping | list | tuple)
    )


def _settings_of(path: list[str]) -> Mapping[str, FieldInfo]:
    """The settings of the section that `path` names, of the root where it is empty; none of an unknown one."""
    section: type[BaseModel] = AnalyticsConfig
    for part in path:
        if part not in section.model_fields:
            return {}
        section = type(section.model_fields[part].default)
    return section.model_fields
