"""Loading files over HTTP: cut into batches that are the same every time, sent, and resumed after a break."""

from cluster.ingestion.batches import Batch, batches, fingerprint, halves
from cluster.ingestion.loader import Loader, Progress
from cluster.ingestion.offset import Offset

__all__ = ["Batch", "Loader", "Offset", "Progress", "batches", "fingerprint", "halves"]
