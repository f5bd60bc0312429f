"""Standard output for one answer alone, in programs whose libraries print to it as well."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO


def answering() -> BinaryIO:
    """Where the answer is written; from now on whatever else is printed goes to standard error.

    Ray prints notices to standard output when it pleases, and the caller reads JSON there.
    """
    sys.stdout.flush()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answer
