"""Batches on their way in: room for each, its turn, and a table in pieces."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import ExitStack

from tenancy.analytics.collection import DataCollector, Payload
from tenancy.analytics.collection.portion import Portion
from tenancy.analytics.engine.host_resources import HostResources
from tenancy.analytics.engine.pieces import merged, piece_key
from tenancy.analytics.engine.scheduling import Lane
from tenancy.analytics.errors import BackpressureError, MemoryPressureError
from tenancy.analytics.types import DataSourceType, Receipts


class Collecting:
    """What one engine does with a batch before its collector has it."""

    def __init__(self, tenant: str, collector: DataCollector, resources: HostResources, lane: Lane) -> None:
        self._tenant, self._collector = tenant, collector
        self._resources, self._lane = resources, lane

    async def whole(self, dataset: str, payload: Payload, source: DataSourceType, key: str | None) -> Receipts:
        """A body at once; a table of more rows than `analytics_engine.batch_size` in pieces, each all or nothing."""
        pieces = list(payload.slices(self._resources.config.analytics_engine.batch_size))
        if len(pieces) == 1:
            return await self.batch(dataset, payload, source, key)
        parts = [await self.batch(dataset, pieces[0], source, piece_key(key, 0))]
        for index, piece in enumerate(pieces[1:], start=1):
            parts.append(await self._patiently(dataset, piece, source, piece_key(key, index)))
        return merged(parts)

    async def batch(
        self, dataset: str, payload: Payload, source: DataSourceType, key: str | None, portion: Portion | None = None
    ) -> Receipts:
        """One batch, durable when this returns. BackpressureError, MemoryPressureError where there is no room."""
        # Here and not in the thread: calls that wait for one hold their bodies all the while.
        room = self._enter(payload)
        waiting = [payload]

        def start() -> Future[Receipts]:
            return self._collector.collect(dataset, waiting.pop(), source=source, idempotency_key=key, portion=portion)

        def started(submitted: Future[Future[Receipts]]) -> None:
            if submitted.cancelled() or submitted.exception() is not None:
                waiting.clear()  # a cancelled call stays in the queue of the threads; its body does not
                room.close()
            else:
                submitted.result().add_done_callback(lambda _: room.close())

        try:
            submitted = self._lane.submit(start)
        except RuntimeError:  # the threads are closed
            room.close()
            raise
        submitted.add_done_callback(started)
        answer: Future[Receipts] = await asyncio.wrap_future(submitted)
        return await asyncio.wrap_future(answer)

    async def _patiently(self, dataset: str, payload: Payload, source: DataSourceType, key: str | None) -> Receipts:
        """A later piece of a call waits for room, so that a call is not refused half way."""
        clock = self._resources.clock
        deadline = clock.monotonic() + self._resources.config.placement.call_timeout_seconds
        while True:
            try:
                return await self.batch(dataset, payload, source, key)
            except (BackpressureError, MemoryPressureError) as error:
                if clock.monotonic() + error.retry_after_s > deadline:
                    raise
                await asyncio.sleep(error.retry_after_s)

    def _enter(self, payload: Payload) -> ExitStack:
        """Room for a body, among those of the tenant and in the memory of the host."""
        with ExitStack() as rooms:
            rooms.callback(self._collector.enter(payload).done)
            rooms.callback(self._resources.memory.admit(self._tenant, payload.nbytes).done)
            return rooms.pop_all()
