"""One tenant's components, wired: `AnalyticsEngine`, what a process shares between engines, and tenant settings."""

from tenancy.analytics.engine.backing import Backing
from tenancy.analytics.engine.engine import AnalyticsEngine
from tenancy.analytics.engine.host_resources import HostResources
from tenancy.analytics.engine.info import DatasetInfo, EngineStatus
from tenancy.analytics.engine.scheduling import FairScheduler
from tenancy.analytics.engine.tenant_config import TenantConfig

__all__ = [
    "AnalyticsEngine",
    "Backing",
    "DatasetInfo",
    "EngineStatus",
    "FairScheduler",
    "HostResources",
    "TenantConfig",
]
