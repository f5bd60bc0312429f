"""Free TCP ports for servers that are started a little later."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

_RANGE = range(20_000, 30_000)
"""Above those of Ray's workers, below those of Serve's replicas, and clear of those that the kernel hands to
outgoing connections (32768 and up on Linux): a port of that kind may be taken before its server starts."""


def free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on, at any interface. They are held together, so none is given twice.

    >>> len(set(free_ports(5)))
    5

    Raises OSError when there are not so many.
    """
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_RANGE, len(_RANGE)):
            if len(found) == count:
                return found
            candidate = held.enter_context(socket.socket())
            try:
                candidate.bind(("", port))
            except OSError:
                continue
            found.append(port)
    raise OSError(f"fewer than {count} free ports from {_RANGE.start} to {_RANGE.stop}")
