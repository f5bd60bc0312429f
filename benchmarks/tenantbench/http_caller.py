"""A `Caller` over HTTP: what two systems with an HTTP API have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from benchmarks.tenantbench.client import Answer, Outcome
from benchmarks.tenantbench.ledger import Tally
from benchmarks.tenantbench.wire import Reply, Wire, prepared
from benchmarks.tenantbench.workload import Batch, Question, ndjson

NDJSON = "application/x-ndjson"
JSON = "application/json"
_REPEATED = 1_000
"""Bodies of floods are prepared once; of so many (tenant, batch) at most."""


class HttpCaller(ABC):
    """Subclasses say what the requests look like and how a tally is read."""

    def __init__(self, url: str, keys: Mapping[str, Sequence[str]], connections: int, timeout_s: float) -> None:
        place = urlsplit(url)
        self._host = place.netloc
        self._keys = keys
        self._wire = Wire(place.hostname or "", place.port or 80, connections, timeout_s)
        self._prepared: dict[tuple[str, str, int], bytes] = {}

    @property
    def busy(self) -> bool:
        return self._wire.busy

    @property
    def stale(self) -> int:
        """Kept connections found closed."""
        return self._wire.stale

    async def send(self, batch: Batch, *, key: int = 0, keyed: bool = True) -> Answer:
        if keyed:
            request = self._sending(batch, key, {"Idempotency_Key": batch.name})
        else:
            place = batch.tenant, batch.name, key
            known = self._prepared.get(place)
            request = known if known is not None else self._sending(batch, key, {})
            if known is None and len(self._prepared) < _REPEATED:
                self._prepared[place] = request
        return await self._attempt(request, repeatable=keyed)

    async def ask(self, tenant: str, question: Question, *, key: int = 0) -> Answer:
        place = tenant, question, key
        request = self._prepared.get(place)
        if request is None:
            path, body = self.question(tenant, question)
            request = prepared("POST", path, self._host, self.key(tenant, key), body, JSON)
            if len(self._prepared) < _REPEATED:
                self._prepared[place] = request
        return await self._attempt(request)

    async def tally(self, tenant: str) -> Tally | None:
        path, body = self.tallying(tenant)
        answer = await self._attempt(prepared("POST", path, self._host, self.key(tenant), body, JSON))
        return self.read_tally(answer.body) if answer.outcome is Outcome.OK else None

    async def trespass(self, tenant: str, other: str) -> bool:
        path, body = self.question(other, Question.COUNT)
        answer = await self._attempt(prepared("POST", path, self._host, self.key(tenant), body, JSON))
        return answer.outcome is Outcome.OK

    async def close(self) -> None:
        self._wire.close()

    def key(self, tenant: str, index: int = 0) -> str:
        keys = self._keys[tenant]
        return keys[index % len(keys)]

    def _sending(self, batch: Batch, key: int, headers: Mapping[str, str]) -> bytes:
        path = self.events(batch.tenant)
        return prepared("POST", path, self._host, self.key(batch.tenant, key), ndjson(batch), NDJSON, **headers)

    async def _attempt(self, request: bytes, *, repeatable: bool = True) -> Answer:
        try:
            reply = await self._wire.call(request, repeatable=repeatable)
        except (ConnectionError, TimeoutError):
            return Answer(Outcome.UNKNOWN)
        return Answer(_outcome(reply.status), reply.status, self.retry_after(reply), reply.body)

    def retry_after(self, reply: Reply) -> float | None:
        """Seconds to wait, by the header; None where it gives none."""
        try:
            return None if reply.retry_after is None else float(reply.retry_after)
        except ValueError:
            return None  # a date, which nobody here sends

    @abstractmethod
    def events(self, tenant: str) -> str:
        """Where events are posted."""

    @abstractmethod
    def question(self, tenant: str, question: Question) -> tuple[str, bytes]:
        """Path and body of a question."""

    @abstractmethod
    def tallying(self, tenant: str) -> tuple[str, bytes]:
        """Path and body of the question that a tally is read from."""

    @abstractmethod
    def read_tally(self, body: bytes) -> Tally:
        """The answer to it."""


def _outcome(status: int) -> Outcome:
    if status < 300:
        return Outcome.OK
    if status in (429, 507):
        return Outcome.REFUSED
    # Of a 503 one cannot tell: it may come from before or after the write.
    return Outcome.UNKNOWN if status >= 500 or status == 408 else Outcome.WRONG
