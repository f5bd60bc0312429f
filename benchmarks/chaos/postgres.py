"""A PostgreSQL of this run's own, which can be stopped as a crash stops it, and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg

from cluster.ports import free_ports


class Postgres:
    """Keeps its files in `folder`. Raises FileNotFoundError where PostgreSQL is not installed."""

    def __init__(self, folder: Path) -> None:
        # PostgreSQL refuses to run as root, so root runs it as the user its package made.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._folder, self._data, self._port = folder, folder / "data", free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)
        os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        subprocess.run(
            [_program("initdb"), "-D", self._data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **self._as_user(),
        )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Returns when it answers."""
        settings = (f"port={self._port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}")
        command = [_program("postgres"), "-D", str(self._data), *(part for each in settings for part in ("-c", each))]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._as_user())
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """At once, as in a crash: connections are cut, and the next start recovers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def _as_user(self) -> dict[str, Any]:
        if self._user.pw_uid == os.geteuid():
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _program(name: str) -> str:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    places = [str(folder) for folder in reversed(folders)] + [os.environ.get("PATH", "")]
    program = shutil.which(name, path=os.pathsep.join(places))
    if program is None:
        raise FileNotFoundError(name)
    return program
