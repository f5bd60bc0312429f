"""Errors as problem documents (RFC 9457), all made in one place.

Every answer that is not a success has the media type `application/problem+json` and the members `type`, `title`,
`status`, `detail`, `instance` and `code`; where they help, also `suggestions`, `place`, `limit` and `retry_after`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serve_apps.rate_limit import rate_limit_headers
from tenancy.analytics.errors import (
    AnalyticsError,
    AuthenticationError,
    BackpressureError,
    InvalidRequestError,
    LimitExceededError,
    PayloadTooLargeError,
    QueryMemoryError,
    QueryTimeoutError,
    UnknownNameError,
    UnsupportedMediaError,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:tenancy:problem:"

logger = logging.getLogger(__name__)


def problem(
    status: int,
    code: str,
    detail: str,
    instance: str,
    headers: Mapping[str, str] | None = None,
    **extra: object,
) -> Response:
    """A problem document as a response; members of `extra` that are None or empty are left out."""
    document = {
        "type": TYPE_PREFIX + code,
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        **{name: value for name, value in extra.items() if value not in (None, (), "")},
    }
    return Response(orjson.dumps(document, default=str), status, headers, MEDIA_TYPE)


def of_error(error: AnalyticsError, instance: str) -> Response:
    """The problem document of one of our errors.

    >>> response = of_error(BackpressureError("tenant_001", "buffer_rows", 50_000, 0.2), "/v1/tenants/tenant_001")
    >>> response.status_code, response.headers["retry-after"]
    (429, '1')
    """
    headers: dict[str, str] = {}
    extra: dict[str, object] = {}
    if isinstance(error, LimitExceededError):
        headers |= rate_limit_headers(error)
    if error.retry_after_s is not None:
        # The header counts whole seconds (RFC 9110 §10.2.3), rounded up; the member is exact.
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
        extra["retry_after"] = error.retry_after_s
    match error:
        case AuthenticationError():
            headers["www-authenticate"] = 'Bearer realm="tenancy"'
        case UnknownNameError():
            extra |= {"kind": error.kind, "suggestions": error.suggestions}
        case UnsupportedMediaError():
            extra["supported"] = error.supported
        case InvalidRequestError():
            extra["place"] = error.place
        case LimitExceededError():
            extra["limit"] = {"name": error.limit, "allowed": error.allowed, "used": error.used}
        case BackpressureError():
            extra["limit"] = {"name": error.limit, "allowed": error.allowed}
        case PayloadTooLargeError():
            extra["limit"] = {"name": "body_bytes", "allowed": error.limit_bytes}
        case QueryTimeoutError():
            extra["limit"] = {"name": "query_timeout_seconds", "allowed": error.timeout_s}
        case QueryMemoryError():
            extra["limit"] = {"name": "memory_limit_mb", "allowed": error.limit_mb}
    return problem(error.status, error.code, str(error), instance, headers, **extra)


async def _analytics_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnalyticsError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("%s %s: %s", request.method, request.url.path, error)
    return of_error(error, request.url.path)


async def _http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: an unknown path, a method the path does not know."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "nothing is served at this path; the paths are listed at /docs",
        HTTPStatus.METHOD_NOT_ALLOWED: f"this path does not answer {request.method}; see the Allow header",
    }
    code = status.phrase.lower().replace(" ", "-")
    detail = details.get(status, error.detail)
    return problem(status.value, code, detail, request.url.path, error.headers)


async def _validation_error(request: Request, error: Exception) -> Response:
    """A parameter of the path, the query string or a declared body that is not of its type."""
    assert isinstance(error, RequestValidationError)
    first: Mapping[str, Any] = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return of_error(InvalidRequestError(place, first.get("input"), str(first["msg"])), request.url.path)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: logged whole, answered without its insides."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "the service failed at this request; the failure was logged under the response's X-Request-ID"
    return problem(500, "internal", detail, request.url.path)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.add_exception_handler(AnalyticsError, _analytics_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected)
