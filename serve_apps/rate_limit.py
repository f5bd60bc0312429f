"""The header fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11."""

from __future__ import annotations

import math

from tenancy.analytics.errors import LimitExceededError

_WINDOWS_S = {"second": 1, "hour": 3600}


def rate_limit_headers(error: LimitExceededError) -> dict[str, str]:
    """The limit as a policy (quota `q` in units `qu` for a window of `w` seconds), and that nothing of it is left.

    >>> headers = rate_limit_headers(LimitExceededError("tenant_001", "bytes_per_second", 1000, 1200, 0.2))
    >>> headers["RateLimit-Policy"], headers["RateLimit"]
    ('"bytes_per_second";q=1000;qu="content-bytes";w=1', '"bytes_per_second";r=0;t=1')

    `t` is the `Retry-After` of the same answer. The draft's registry has no unit for events and for bytes that are
    stored or scanned, so those name their own.
    """
    policy = f'"{error.limit}";q={error.allowed};qu="{_unit(error.limit)}"'
    window = _WINDOWS_S.get(error.limit.rpartition("_per_")[2])
    if window is not None:
        policy += f";w={window}"
    left = f'"{error.limit}";r=0'
    if error.wait_s is not None:
        left += f";t={max(1, math.ceil(error.wait_s))}"
    return {"RateLimit-Policy": policy, "RateLimit": left}


def _unit(limit: str) -> str:
    match limit:
        case "queries_per_second":
            return "requests"
        case "concurrent_queries" | "concurrent_requests":
            return "concurrent-requests"
        case "bytes_per_second":
            return "content-bytes"
        case "events_per_second":
            return "events"
    return "bytes"
