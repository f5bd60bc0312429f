"""A tenant's batches in one replica are worked on a few at a time; the rest wait in line, so a flood meets itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """At most so many at once for each tenant; of one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, tenant: str) -> AsyncIterator[None]:
        """A turn of `tenant`, waited for in the order of arrival."""
        line, present = self._lines.get(tenant) or (asyncio.Semaphore(self._most), 0)
        self._lines[tenant] = line, present + 1
        try:
            async with line:
                yield
        finally:
            _, present = self._lines.pop(tenant)
            if present > 1:
                self._lines[tenant] = line, present - 1

    def __len__(self) -> int:
        """Tenants that have a turn or wait for one."""
        return len(self._lines)
