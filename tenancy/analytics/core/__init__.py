"""The door of the library: the manager, and the component classes for those who wire their own."""

from tenancy.analytics.collection import DataCollector
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.core.manager import CoreAnalyticsManager
from tenancy.analytics.engine import AnalyticsEngine
from tenancy.analytics.query import QueryProcessor
from tenancy.analytics.types import DataSourceType
from tenancy.analytics.visualization import VisualizationEngine

__all__ = [
    "AnalyticsConfig",
    "AnalyticsEngine",
    "CoreAnalyticsManager",
    "DataCollector",
    "DataSourceType",
    "QueryProcessor",
    "VisualizationEngine",
]
