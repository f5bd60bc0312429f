"""Removes what one Ray kept in Redis: `python -m cluster.clear_head_storage < PLACE`.

A program of its own because Ray reads its environment when it is imported. PLACE is JSON with the arguments of
`cleanup_redis_storage`, which KubeRay's clean-up job calls too. The answer is `{"cleared": …}`.
"""

from __future__ import annotations

import sys

import orjson
from ray._private.gcs_utils import cleanup_redis_storage

from cluster.answering import answering


def main() -> None:
    """Reads where, clears, and says whether it did."""
    out = answering()
    cleared = cleanup_redis_storage(**orjson.loads(sys.stdin.buffer.read()))
    with out:
        out.write(orjson.dumps({"cleared": bool(cleared)}))


if __name__ == "__main__":
    main()
