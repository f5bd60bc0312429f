import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from serve_apps.readiness import BlockingProbe, Readiness
from tenancy.analytics.errors import UnavailableError
from tenancy.analytics.testing import ManualClock


class Part:
    """Something to depend on; counts how often it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_a_part_is_asked_once_a_second_however_many_want_to_know() -> None:
    part, clock = Part(), ManualClock()
    readiness = Readiness({"catalog": part}, clock)
    found = await asyncio.gather(*(readiness.verdicts() for _ in range(50)))
    assert found == [{"catalog": "ok"}] * 50
    clock.advance(timedelta(seconds=0.9))
    await readiness.verdicts()
    assert part.asked == 1
    part.error = UnavailableError("the catalog", "locked")
    clock.advance(timedelta(seconds=0.1))
    assert await readiness.verdicts() == {"catalog": "unavailable"}
    assert part.asked == 2


@pytest.mark.parametrize("error", [ValueError("hunter2"), OSError(5, "hunter2"), RuntimeError("hunter2")])
async def test_whatever_a_probe_raises_is_a_verdict_that_shows_nothing_of_its_insides(error: Exception) -> None:
    verdicts = await Readiness({"storage": Part(error), "catalog": Part()}, ManualClock()).verdicts()
    assert verdicts["catalog"] == "ok"
    assert type(error).__name__ in verdicts["storage"]
    assert "hunter2" not in verdicts["storage"]


async def test_a_part_that_never_answers_is_given_up() -> None:
    never: Callable[[], Awaitable[object]] = asyncio.Event().wait
    verdicts = await Readiness({"directory": never}, ManualClock(), patience_s=0.01).verdicts()
    assert verdicts == {"directory": "it did not answer in time"}


async def test_an_error_of_ours_shows_its_code_and_its_text_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    error = UnavailableError("the catalog", "connection to db.internal as user hunter2 refused")
    verdicts = await Readiness({"catalog": Part(error)}, ManualClock()).verdicts()
    assert verdicts == {"catalog": error.code}
    assert "hunter2" in caplog.text


async def test_a_probe_that_hangs_keeps_one_thread_however_many_rounds_ask() -> None:
    runs: list[int] = []
    mended = threading.Event()

    def hang() -> None:
        runs.append(threading.get_ident())
        mended.wait(10)

    readiness = Readiness({"storage": BlockingProbe("storage", hang)}, valid_s=0.0, patience_s=0.01)
    try:
        for _ in range(5):
            assert await readiness.verdicts() == {"storage": "it did not answer in time"}
        assert len(runs) == 1
    finally:
        mended.set()
    patient = Readiness(readiness.probes, valid_s=0.0)
    assert await patient.verdicts() == {"storage": "ok"}
    assert await patient.verdicts() == {"storage": "ok"}
    assert len(set(runs)) == 1
    assert len(runs) > 1
