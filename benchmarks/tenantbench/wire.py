"""HTTP/1.1 with as little client as there can be: prepared bytes out, kept connections, httptools' parser in.

The load generator shares the machine with what it measures, so its own work counts. A request here costs about a tenth
of what it costs with a general client.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from dataclasses import dataclass, field

import httptools


class LostError(ConnectionError):
    """The connection ended before the answer did."""


@dataclass(slots=True)
class Reply:
    """What came back."""

    status: int = 0
    retry_after: str | None = None
    body: bytes = b""


class _Line(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.used = False
        self._parser: httptools.HttpResponseParser | None = None
        self._reply = Reply()
        self._parts: list[bytes] = []
        self._waiting: asyncio.Future[Reply] | None = None
        self.heard = False

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._fail(LostError(str(error or "closed")))

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(LostError(str(error)))

    async def exchange(self, request: bytes) -> Reply:
        assert self.transport is not None
        self._reply, self._parts, self.heard = Reply(), [], False
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            return await self._waiting
        finally:
            self.used, self._waiting = True, None

    # Called by the parser.

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._reply.retry_after = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        self._reply.status = self._parser.get_status_code()
        self._reply.body = b"".join(self._parts)
        if not self._parser.should_keep_alive() and self.transport is not None:
            self.transport.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._reply)

    def _fail(self, error: LostError) -> None:
        if self.transport is not None:
            self.transport.abort()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


@dataclass(slots=True)
class Wire:
    """At most `connections` requests at once to one server; more wait their turn, the oldest first."""

    host: str
    port: int
    connections: int
    timeout_s: float = 30.0
    stale: int = 0
    """Kept connections that the server had closed when they were used again; the request went over a new one."""
    _idle: deque[_Line] = field(default_factory=deque)
    _turn: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turn = asyncio.Semaphore(self.connections)

    @property
    def busy(self) -> bool:
        """Whether a request would have to wait for a connection."""
        return self._turn.locked()

    async def call(self, request: bytes, *, repeatable: bool = True) -> Reply:
        """Send prepared bytes. Raises LostError, or TimeoutError; then the connection is closed.

        A kept connection that ends without a byte of answer is taken for one that the server had closed meanwhile;
        a request that is safe to repeat is then sent once more over a new one (RFC 9110, 9.2.2).
        """
        async with self._turn:
            line = await self._line()
            kept = line.used
            try:
                async with asyncio.timeout(self.timeout_s):
                    try:
                        return await line.exchange(request)
                    except LostError:
                        if not (kept and repeatable) or line.heard:
                            raise
                        self.stale += 1
                        line = await self._line(fresh=True)
                        return await line.exchange(request)
            except TimeoutError:
                if line.transport is not None:
                    line.transport.abort()
                raise
            finally:
                if line.open:
                    self._idle.append(line)

    def close(self) -> None:
        """Close what is kept."""
        for line in self._idle:
            if line.transport is not None:
                line.transport.close()
        self._idle.clear()

    async def _line(self, *, fresh: bool = False) -> _Line:
        while self._idle and not fresh:
            line = self._idle.pop()
            if line.open:
                return line
        try:
            async with asyncio.timeout(self.timeout_s):
                _, line = await asyncio.get_running_loop().create_connection(_Line, self.host, self.port)
        except OSError as error:
            raise LostError(str(error)) from error
        return line


def prepared(method: str, path: str, host: str, key: str, body: bytes, media: str, **headers: str) -> bytes:
    """The bytes of one request."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {key}",
        f"Content-Type: {media}",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
