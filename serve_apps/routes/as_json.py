"""An answer in JSON."""

from __future__ import annotations

import orjson
from starlette.responses import Response


def as_json(value: object) -> Response:
    """200 with `value`, of plain values and times."""
    return Response(orjson.dumps(value), media_type="application/json")
