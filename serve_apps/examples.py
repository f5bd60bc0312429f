"""What the OpenAPI page shows of bodies that are read by hand: their schemas, and examples that work as they stand."""

from __future__ import annotations

from typing import Any

_EVENT = {
    "user_id": "user_123",
    "action": "play_song",
    "song_id": "song_456",
    "timestamp": "2025-07-15T10:30:00Z",
    "duration": 180000,
}
_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}

EVENTS_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"oneOf": [_OBJECT, {"type": "array", "items": _OBJECT, "minItems": 1}]},
            "examples": {"one": {"value": _EVENT}, "several": {"value": [_EVENT, {**_EVENT, "action": "skip_song"}]}},
        },
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "One JSON object a line"},
            "example": '{"user_id": "user_123", "action": "play_song"}\n{"user_id": "user_7", "action": "skip_song"}\n',
        },
        "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
    },
}

_COUNT = {"type": "integer", "minimum": 0}
_RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["index", "status", "event_id"],
    "properties": {
        "index": {"type": "integer", "description": "The row of the call, from 0"},
        "line": {"type": "integer", "description": "The line of an NDJSON body, from 1"},
        "status": {"enum": ["accepted", "duplicate", "quarantined", "late"]},
        "event_id": {"type": ["string", "null"], "description": "Null where the event brought its own"},
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "field": {"type": ["string", "null"]},
                "value": {"type": "string"},
                "remedy": {"type": "string"},
            },
        },
    },
}
RECEIPTS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What happened to every row",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["rows", "counts", "replayed", "receipts"],
                    "properties": {
                        "rows": _COUNT,
                        "counts": {
                            "type": "object",
                            "properties": dict.fromkeys(("accepted", "duplicate", "quarantined", "late"), _COUNT),
                        },
                        "replayed": {"type": "boolean", "description": "The call was answered before, with this key"},
                        "receipts": {"type": "array", "items": _RECEIPT},
                    },
                },
                "example": {
                    "rows": 1000,
                    "counts": {"accepted": 999, "duplicate": 0, "quarantined": 1, "late": 0},
                    "replayed": False,
                    "receipts": [
                        {
                            "index": 6,
                            "line": 7,
                            "status": "quarantined",
                            "event_id": "0198a1de-7c31-7000-8d5c-2d6f0b3f9c11",
                            "error": {
                                "code": "malformed-json",
                                "field": None,
                                "value": '{"user_id": "user_1',
                                "remedy": "send one JSON object a line",
                            },
                        }
                    ],
                },
            }
        },
    }
}

QUERY_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": ["aggregation", "timeseries", "topk", "rows"]}},
                "additionalProperties": True,
            },
            "examples": {
                "aggregation": {
                    "value": {
                        "type": "aggregation",
                        "metrics": ["play_count", "avg_duration"],
                        "dimensions": ["genre", "artist"],
                        "time_range": {"start": "2025-07-01", "end": "2025-07-15"},
                    }
                },
                "timeseries": {
                    "value": {
                        "type": "timeseries",
                        "metrics": ["count"],
                        "grain": "day",
                        "time_range": "last_7_days",
                    }
                },
                "topk": {"value": {"type": "topk", "metric": "play_count", "dimension": "artist", "k": 10}},
                "rows": {"value": {"type": "rows", "limit": 100}},
            },
        }
    },
}

RESULT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["data", "schema", "stats", "sql", "next_cursor"],
                    "properties": {
                        "data": {"type": "array", "items": _OBJECT},
                        "schema": {"type": "array", "items": _OBJECT},
                        "stats": _OBJECT,
                        "sql": {"type": "string"},
                        "next_cursor": {"type": ["string", "null"]},
                    },
                }
            },
            "application/x-ndjson": {"schema": {"type": "string", "description": "One row a line"}},
            "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What was wrong and what to do (RFC 9457)",
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "instance", "code"],
                    "properties": {
                        "type": {"type": "string", "format": "uri"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "instance": {"type": "string"},
                        "code": {"type": "string"},
                        "suggestions": {"type": "array", "items": {"type": "string"}},
                        "place": {"type": "string"},
                        "limit": _OBJECT,
                        "retry_after": {"type": "number", "description": "Seconds"},
                    },
                },
                "example": {
                    "type": "urn:tenancy:problem:unknown-name",
                    "title": "Unknown name",
                    "status": 404,
                    "detail": "unknown dimension 'genr'; did you mean 'genre'?",
                    "instance": "/v1/tenants/tenant_001/query",
                    "code": "unknown-name",
                    "kind": "dimension",
                    "suggestions": ["genre"],
                },
            }
        },
    }
}
