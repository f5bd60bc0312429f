"""What is examined: the settings, and the system that `tenancy up` started, if any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.record import ClusterRecord
from tenancy.analytics.config import AnalyticsConfig


@dataclass(frozen=True, slots=True)
class Patient:
    """One installation."""

    config: AnalyticsConfig
    record: ClusterRecord | None
    """None where nothing was started from here."""
    key: str | None = None
    """An operator's API key, for what only operators may see."""

    @property
    def stored(self) -> bool:
        """Whether anything was ever stored here, as far as a local folder tells."""
        root = self.config.storage.root.removeprefix("file://")
        return "://" in root or Path(root).exists()
