"""Collection: what comes in is read, checked, enriched, deduplicated and answered, row by row where it matters."""

from tenancy.analytics.collection.anomaly import WARNINGS
from tenancy.analytics.collection.collector import DataCollector
from tenancy.analytics.collection.enrichment import STEPS
from tenancy.analytics.collection.payload import SUPPORTED_CONTENT_TYPES, Media, Payload
from tenancy.analytics.collection.quarantine import REPLAYED, pending
from tenancy.analytics.collection.sink import EventSink

__all__ = [
    "REPLAYED",
    "STEPS",
    "SUPPORTED_CONTENT_TYPES",
    "WARNINGS",
    "DataCollector",
    "EventSink",
    "Media",
    "Payload",
    "pending",
]
