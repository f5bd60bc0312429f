"""A PostgreSQL of this run's own, which can be stopped, as by a crash, started again, and frozen."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from cluster.ports import free_ports


class Postgres:
    """Keeps its files in `folder`, which it makes. Raises FileNotFoundError where PostgreSQL is not installed.

    `end` is what stops it: SIGQUIT at once, as in a crash, SIGINT in order; connections are cut either way.
    """

    def __init__(self, folder: Path, settings: Sequence[str] = (), end: signal.Signals = signal.SIGQUIT) -> None:
        # PostgreSQL refuses to run as root, so root runs it as the user its package made.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._folder, self._data, self._port = folder, folder / "data", free_ports(1)[0]
        self._settings, self._end = settings, end
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)
        os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        subprocess.run(
            [_program("initdb"), "-D", self._data, "-U", "postgres", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **self._as_user(),
        )

    @property
    def server(self) -> str:
        """The URL, without a database."""
        return f"postgresql://postgres@127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{self.server}/postgres"

    def start(self) -> None:
        """Returns when it answers."""
        place = (f"port={self._port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}")
        settings = [part for each in (*place, *self._settings) for part in ("-c", each)]
        command = [_program("postgres"), "-D", str(self._data), *settings]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._as_user())
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    told = (self._folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start:\n{told}") from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Connections are cut; the next start recovers."""
        if self._process is not None:
            self._process.send_signal(self._end)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Every process of it hangs, and what was connected stays connected."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            os.kill(pid, number)

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
