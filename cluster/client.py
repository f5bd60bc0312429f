"""The HTTP API as the commands use it: one connection pool, a key, and problem documents turned into an error."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson

from tenancy.analytics.errors import InvalidRequestError, UnavailableError

DEFAULT_URL = "http://127.0.0.1:8000"


class RefusedError(Exception):
    """The service said no: what its problem document says."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(status, document)
        self.status = status
        self.document = document

    @property
    def code(self) -> str:
        return str(self.document.get("code", "internal"))

    @property
    def retry_after_s(self) -> float | None:
        """Seconds to wait before the same call may succeed; None where waiting does not help."""
        given = self.document.get("retry_after")
        return float(given) if isinstance(given, int | float) else None

    def __str__(self) -> str:
        return str(self.document.get("detail", f"the service answered {self.status}"))


class Client:
    """A caller of one service. Raises InvalidRequestError for a URL or a key that cannot be one.

    Every call raises RefusedError for an answer that is no success, and UnavailableError when none came.
    """

    def __init__(self, url: str, key: str | None, timeout_s: float = 120.0) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {_checked_key(key)}"}
        self._url = _checked_url(url)
        self._client = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(timeout_s, connect=5.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        *path: str,
        json: object = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
        parameters: dict[str, str | int] | None = None,
    ) -> Any:
        """The JSON answer of `method` on `/v1/<path…>`; None where the answer is empty."""
        content = orjson.dumps(json) if body is None and json is not None else body
        sent = {**({"Content-Type": content_type} if content is not None else {}), **(headers or {})}
        place = "/v1/" + "/".join(quote(part, safe="") for part in path)
        try:
            answer = self._client.request(method, place, content=content, headers=sent, params=parameters)
        except httpx.TransportError as error:
            raise UnavailableError(f"the service at {self._url}", str(error) or type(error).__name__) from error
        if answer.is_success:
            return orjson.loads(answer.content) if answer.content else None
        raise RefusedError(answer.status_code, _document(answer))


def _checked_key(key: str) -> str:
    if key.isascii() and key.isprintable():
        return key
    # The key itself is not repeated: it may be a secret with one letter too many.
    raise InvalidRequestError("key", "what was given", "give the key as it was printed, tk_… in plain ASCII letters")


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidRequestError("url", url, f"give one like {DEFAULT_URL} ({error})") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidRequestError("url", url, f"give one like {DEFAULT_URL}, with http:// or https://")
    return url


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        return document
    # What stands before the replicas (HAProxy, a balancer) answers in plain text.
    return {"code": "internal", "status": answer.status_code, "detail": answer.text[:500] or answer.reason_phrase}
