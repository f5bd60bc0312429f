"""What `tenancy up` started, written down so that `tenancy down` stops that and nothing else."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from tenancy.analytics.errors import UnavailableError

FILE_NAME = "cluster.json"


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """One running system: where it answers, and which processes are its own.

    `marker` is in the environment of every process that was started; `pid` and `started` name the supervisor of a
    Ray that was started here, and are None for a Ray that was there before.
    """

    url: str
    address: str
    dashboard: str
    folder: str
    """Holds Ray's session, sockets and logs, and the generated Serve configuration."""
    applications: tuple[str, ...]
    marker: str | None = None
    pid: int | None = None
    started: int | None = None

    @classmethod
    def read(cls, state: Path) -> Self | None:
        """The record kept in the folder `state`; None where nothing was started from it."""
        try:
            text = (state / FILE_NAME).read_bytes()
        except FileNotFoundError:
            return None
        values: dict[str, Any] = orjson.loads(text)
        values["applications"] = tuple(values["applications"])
        return cls(**values)

    @classmethod
    def require(cls, state: Path) -> Self:
        """The record kept in `state`. Raises UnavailableError where there is none."""
        record = cls.read(state)
        if record is None:
            raise UnavailableError("the cluster", f"nothing was started from {state}; run 'tenancy up' first")
        return record

    def write(self, state: Path) -> None:
        """Keep it, whole or not at all, readable by this user only."""
        state.mkdir(parents=True, exist_ok=True)
        draft = state / f"{FILE_NAME}.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_bytes(orjson.dumps(dataclasses.asdict(self), option=orjson.OPT_INDENT_2))
        draft.replace(state / FILE_NAME)

    @staticmethod
    def forget(state: Path) -> None:
        """Remove the record."""
        (state / FILE_NAME).unlink(missing_ok=True)
