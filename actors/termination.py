"""What SIGTERM means to an actor: let go of everything in order, then end. Ray's own answer is to end at once.

`kill PID`, a preempted node and an orchestrator that stops a machine send it, and SIGKILL some time later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

_log = logging.getLogger(__name__)


class Termination:
    """Turns the first SIGTERM into a call of `let_go`; when that is done, or at a second SIGTERM, the process ends.

    To be made in the process's main thread, since only there handlers can be set. Of an actor, Ray makes the object
    there (`__new__`); `__init__` and all methods of an asynchronous one run in the thread of its event loop.
    Elsewhere SIGTERM means what it meant before.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._begin: Callable[[], None] | None = None
        self._going: asyncio.Task[None] | None = None
        self._before = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._told)

    def on_request(self, let_go: Callable[[], Awaitable[object]]) -> None:
        """Have `let_go` called in this event loop when the process is told to end, for the given patience at most."""
        loop = asyncio.get_running_loop()

        def begin() -> None:
            self._going = loop.create_task(self._end(let_go))

        def in_loop() -> None:
            loop.call_soon_threadsafe(begin)

        self._begin = in_loop

    async def _end(self, let_go: Callable[[], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await let_go()
        except Exception:  # noqa: BLE001 - it ends either way, and what was acknowledged is durable
            _log.warning("this process ends without having let everything go", exc_info=True)
        os.kill(os.getpid(), signal.SIGTERM)

    def _told(self, number: int, frame: FrameType | None) -> None:
        begin, self._begin = self._begin, None
        if begin is not None:
            begin()
        elif callable(self._before):
            self._before(number, frame)
        else:
            os._exit(128 + number)
