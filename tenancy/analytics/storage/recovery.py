"""Which rows of a replayed batch are new: those that neither a key nor an id says were stored already."""

from __future__ import annotations

import pyarrow as pa

from tenancy.analytics.schema import EVENT_ID
from tenancy.analytics.storage._wal_format import DIGEST_BYTES, LogBatch
from tenancy.analytics.storage.answers import Answers
from tenancy.analytics.storage.dedup import DedupIndex
from tenancy.analytics.storage.id_runs import digest

Part = tuple[LogBatch, pa.Table, pa.Table | None]


def unseen(part: Part, ids: DedupIndex, answers: Answers) -> Part | None:
    """`part` without what was stored already; None where that is all of it.

    A batch can be in the log twice: once written but not acknowledged, since its owner died or was fenced
    off, and once more when the caller repeated it.
    """
    batch, events, quarantined = part
    if batch.idempotency is not None and answers.recall(batch.idempotency.key) is not None:
        return None
    known = ids.known(batch.digests)
    if not any(known):
        return part
    own = [batch.digests[at : at + DIGEST_BYTES] for at in range(0, len(batch.digests), DIGEST_BYTES)]
    stored = {value for value, seen in zip(own, known, strict=True) if seen}
    fresh = b"".join(value for value in own if value not in stored)

    def kept(rows: pa.Table) -> pa.Table:
        texts = rows.column(EVENT_ID).to_pylist()
        return rows.filter(pa.array([text is None or digest(text) not in stored for text in texts], pa.bool_()))

    events = kept(events)
    quarantined = kept(quarantined) if quarantined is not None else None
    remaining = quarantined.num_rows if quarantined is not None else 0
    return LogBatch(batch.at, events.num_rows, remaining, fresh, batch.idempotency), events, quarantined
