"""Modules run as programs of their own: a JSON request on standard input, one JSON answer on standard output.

Ray reads its environment when it is imported, so what needs another environment is done by another process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

from tenancy.analytics.errors import UnavailableError

_PATIENCE_S = 120.0


def answering() -> BinaryIO:
    """Where the answer is written; from now on whatever else is printed goes to standard error.

    Ray prints notices to standard output when it pleases, and the caller reads JSON there.
    """
    sys.stdout.flush()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answer


def ask(
    part: str,
    module: str,
    arguments: tuple[str, ...],
    request: object,
    environment: Mapping[str, str],
    patience_s: float = _PATIENCE_S,
) -> Any:
    """The answer of `module`, run with `arguments` in `environment`. Raises UnavailableError with its last words."""
    answer = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", module, *arguments],
        input=orjson.dumps(request),
        env=dict(environment),
        capture_output=True,
        timeout=patience_s,
        check=False,
    )
    if answer.returncode != 0:
        reason = answer.stderr.decode(errors="replace").strip()
        raise UnavailableError(part, reason.splitlines()[-1] if reason else str(answer.returncode))
    return orjson.loads(answer.stdout)
