"""Redis as the memory of Ray's head: with it the head may die, come back, and everything else goes on meanwhile.

Ray keeps there which nodes, named actors and Serve applications there are (Ray docs, "GCS fault tolerance"). Events,
catalog and keys are never in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from cluster.answering import ask
from tenancy.analytics.errors import ConfigurationError

_FILE = "redis.url"


@dataclass(frozen=True, slots=True)
class HeadStorage:
    """One Redis, and the name under which one system keeps its things there."""

    host: str
    port: int
    namespace: str
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, state: Path) -> Self:
        """From `redis://[user:password@]host:port`, or `rediss://` with TLS; systems differ by their state folders.

        >>> storage = HeadStorage.of("redis://:secret@10.0.0.7:6380", Path("/var/lib/tenancy"))
        >>> storage.host, storage.port, storage.environment()["RAY_REDIS_ADDRESS"]
        ('10.0.0.7', 6380, '10.0.0.7:6380')

        Raises ConfigurationError.
        """
        remedy = "give redis://[user:password@]host:port, or rediss:// for TLS"
        try:
            place = urlsplit(url)
            port = place.port or 6379
        except ValueError:
            raise ConfigurationError("--redis", "…", remedy) from None
        if place.scheme not in ("redis", "rediss") or not place.hostname or place.path.strip("/0") or place.query:
            raise ConfigurationError("--redis", f"{place.scheme}://{place.hostname}{place.path}", remedy)
        name = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]
        return cls(
            place.hostname,
            port,
            f"tenancy-{name}",
            place.scheme == "rediss",
            unquote(place.username or ""),
            unquote(place.password or ""),
        )

    def environment(self) -> dict[str, str]:
        """Variables that the head's `ray start` reads."""
        address = f"{self.host}:{self.port}"
        return {
            "RAY_REDIS_ADDRESS": f"rediss://{address}" if self.tls else address,
            "RAY_external_storage_namespace": self.namespace,
        }

    def arguments(self) -> tuple[str, ...]:
        """Options of `ray start`. Ray hands a password on to its own processes by command line: others see it there."""
        user = (f"--redis-username={self.username}",) if self.username else ()
        return (*user, f"--redis-password={self.password}") if self.password else user

    def clear(self, environment: dict[str, str]) -> None:
        """Forget what a system kept there. Raises UnavailableError where Redis cannot be reached."""
        request = {
            "host": self.host,
            "port": self.port,
            "password": self.password,
            "use_ssl": self.tls,
            "storage_namespace": self.namespace,
            "username": self.username,
        }
        ask("Redis", "cluster.clear_head_storage", (), request, environment)


def remember(folder: Path, url: str | None) -> None:
    """Keep the URL, for this user only, for whoever stops the system."""
    path = folder / _FILE
    if url is None:
        path.unlink(missing_ok=True)
        return
    path.touch(mode=0o600)
    path.write_text(url)


def remembered(folder: Path) -> str | None:
    """The URL that was kept."""
    try:
        return (folder / _FILE).read_text()
    except FileNotFoundError:
        return None
