"""A patient client waits as long as it is told; an impatient one does not."""

from dataclasses import dataclass, field

import pytest

from benchmarks.tenantbench.client import IMPATIENT, PATIENT, Answer, Outcome, Patience, Told, persist

OK = Answer(Outcome.OK, 200)
BUSY = Answer(Outcome.REFUSED, 429, retry_after_s=1.5)
GONE = Answer(Outcome.UNKNOWN)
WRONG = Answer(Outcome.WRONG, 404)


@dataclass
class Server:
    """Answers what it was given, in turn, each after 0.1 s of a clock that only it and `sleep` move."""

    answers: list[Answer]
    clock: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def attempt(self) -> Answer:
        self.clock += 0.1
        return self.answers.pop(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds

    async def asked(self, patience: Patience) -> Told:
        return await persist(self.attempt, patience, now=lambda: self.clock, sleep=self.sleep, chance=lambda: 0.0)


async def test_it_waits_what_retry_after_says() -> None:
    server = Server([BUSY, BUSY, OK])
    told = await server.asked(PATIENT)
    assert server.slept == [1.5, 1.5]
    assert (told.answer, told.tries, told.at_once) == (OK, 3, False)
    assert told.added_s == pytest.approx(3.2)


async def test_a_first_success_adds_nothing() -> None:
    told = await Server([OK]).asked(PATIENT)
    assert (told.at_once, told.added_s) == (True, 0.0)


async def test_without_guidance_its_waits_double() -> None:
    server = Server([GONE, GONE, GONE, OK])
    await server.asked(PATIENT)
    assert server.slept == pytest.approx([0.2, 0.4, 0.8])


async def test_what_will_never_work_is_not_repeated() -> None:
    server = Server([WRONG])
    assert (await server.asked(PATIENT)).tries == 1


async def test_patience_ends() -> None:
    server = Server([BUSY] * 100)
    told = await server.asked(Patience(most_s=10))
    assert told.answer is BUSY
    assert 8.5 < server.clock <= 10


async def test_an_impatient_client_takes_the_first_answer() -> None:
    server = Server([BUSY, OK])
    told = await server.asked(IMPATIENT)
    assert (told.answer, told.tries, server.slept) == (BUSY, 1, [])
