"""What an application is given by the Serve configuration (`args:`), typed and checked by Serve's builder."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from tenancy.analytics.config import AnalyticsConfig


class AppSettings(BaseModel):
    """Settings of the system, inline or in a file, over those of the environment.

    >>> AppSettings(config={"performance": {"query_timeout_seconds": 5}}).load().performance.query_timeout_seconds
    5.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    config: dict[str, Any] | None = None
    """Settings as in docs/configuration.md. Secrets belong in the environment: `serve config` shows this."""
    config_file: str | None = None
    """A YAML file of settings that every node can read."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.config is not None and self.config_file is not None:
            raise ValueError("give config or config_file, not both")
        return self

    def load(self) -> AnalyticsConfig:
        """The settings, checked. Raises ConfigurationError."""
        return AnalyticsConfig.load(self.config if self.config_file is None else self.config_file)
