"""Whether what requests depend on answers: asked at most once a second, however often anybody wants to know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.errors import AnalyticsError

OK = "ok"

_log = logging.getLogger(__name__)


class BlockingProbe:
    """A probe that blocks, in the one thread it may have.

    While a run hangs, whoever asks next waits for that same run: a dead mount costs one thread, not one a round.
    """

    def __init__(self, name: str, probe: Callable[[], object]) -> None:
        self._probe = probe
        self._crew = ThreadPoolExecutor(1, f"probe-{name}")
        self._run: Future[object] | None = None

    async def __call__(self) -> None:
        if self._run is None or self._run.done():
            self._run = self._crew.submit(self._probe)
        await asyncio.shield(asyncio.wrap_future(self._run))  # losing patience does not end the run


class Readiness:
    """The verdict on several parts, by name. `/readyz` asks for no key, so it must not cost what a caller likes."""

    def __init__(
        self,
        probes: Mapping[str, Callable[[], Awaitable[object]]],
        clock: Clock | None = None,
        valid_s: float = 1.0,
        patience_s: float = 5.0,
    ) -> None:
        self.probes = probes
        self._clock = clock or SystemClock()
        self._valid_s = valid_s
        self._patience_s = patience_s
        self._one_at_a_time = asyncio.Lock()
        self._known: tuple[float, dict[str, str]] | None = None

    async def verdicts(self) -> dict[str, str]:
        """Each part `ok`, or what is wrong with it; of `valid_s` ago at most. Raises nothing of a part's."""
        async with self._one_at_a_time:
            if self._known is not None and self._clock.monotonic() - self._known[0] < self._valid_s:
                return self._known[1]
            found = await asyncio.gather(*map(self._ask, self.probes.values()), return_exceptions=True)
            verdicts = {name: _verdict(name, outcome) for name, outcome in zip(self.probes, found, strict=True)}
            self._known = self._clock.monotonic(), verdicts
            return verdicts

    async def _ask(self, probe: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(self._patience_s):
            await probe()


def _verdict(name: str, outcome: BaseException | None) -> str:
    if outcome is None:
        return OK
    if isinstance(outcome, TimeoutError):
        return "it did not answer in time"
    if not isinstance(outcome, Exception):
        raise outcome
    # Whoever asks has shown no key: the insides, as the host and user of a driver's text, go to the log.
    if isinstance(outcome, AnalyticsError):
        _log.warning("the readiness probe of %s failed: %s", name, outcome)
        return outcome.code
    _log.error("the readiness probe of %s failed", name, exc_info=outcome)
    return f"its probe failed ({type(outcome).__name__}); see the log"
