"""A few at a time for each name, the rest in line: what is done for one keeps no other waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """At most so many at once for each name; of one event loop. A line is forgotten with the last one in it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """A turn of `name`, waited for in the order of arrival."""
        line, present = self._lines.get(name) or (asyncio.Semaphore(self._most), 0)
        self._lines[name] = line, present + 1
        try:
            async with line:
                yield
        finally:
            _, present = self._lines.pop(name)
            if present > 1:
                self._lines[name] = line, present - 1

    def __len__(self) -> int:
        """Names that have a turn or wait for one."""
        return len(self._lines)
