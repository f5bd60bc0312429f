"""Real servers for tests: started once on a free loopback port, stopped at the end; a clean place for each test."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from benchmarks.chaos.postgres import Postgres
from cluster.ports import free_ports

START_S = 30.0


@contextmanager
def _postgresql() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user passes through
        try:
            server = Postgres(Path(folder, "postgresql"), settings=["fsync=off"], end=signal.SIGINT)
        except FileNotFoundError as error:
            pytest.skip(f"PostgreSQL's {error} is not installed")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL, without a database, of a PostgreSQL that this session started."""
    with _postgresql() as server:
        yield server.server


@pytest.fixture
def postgresql() -> Iterator[Postgres]:
    """A PostgreSQL of this test alone, which it may stop, start and freeze."""
    with _postgresql() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped after the test."""
    name = f"t{uuid4().hex}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield f"{postgresql_server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[tuple[str, int]]:
    """The host and port of a Redis that this session started; it keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    address = "127.0.0.1", free_ports(1)[0]
    command = [program, "--bind", address[0], "--port", str(address[1]), "--save", "", "--appendonly", "no"]
    with (
        tempfile.TemporaryDirectory(prefix="redis-") as folder,
        _running(command, Path(folder), lambda: _redis(address, b"PING"), OSError, signal.SIGTERM),
    ):
        yield address


@pytest.fixture
def redis_url(redis_server: tuple[str, int]) -> str:
    """The URL of an empty Redis."""
    _redis(redis_server, b"FLUSHALL")
    return "redis://{}:{}/0".format(*redis_server)


@dataclass(frozen=True, slots=True)
class Service:
    """A whole system that this session brought up with `tenancy up`."""

    url: str
    admin_key: str
    state: Path
    root: Path
    """Where it stores."""


SERVICE_SETTINGS = """
data_collection: {buffer_size: 20000, max_body_bytes: 8388608}
security: {api_key_cache_seconds: 0.5}
"""


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """Ray, Serve, and HAProxy where it is present, on free ports, with a storage of its own."""
    tenancy = str(Path(sys.executable).with_name("tenancy"))
    with tempfile.TemporaryDirectory(prefix="service-") as folder:
        state, root, config = Path(folder, "state"), Path(folder, "data"), Path(folder, "settings.yaml")
        config.write_text(f"{SERVICE_SETTINGS}storage: {{root: {root}}}\n")
        options = ["--json", "--state", str(state)]
        command = [tenancy, "up", *options, "--port", str(free_ports(1)[0]), "--config", str(config), "--num-cpus", "4"]
        started = subprocess.run(command, capture_output=True, text=True, check=False)
        assert started.returncode == 0, started.stderr
        try:
            told = json.loads(started.stdout)
            yield Service(told["url"], told["admin_key"], state, root)
        finally:
            subprocess.run([tenancy, "down", *options], check=True, capture_output=True)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of this session alone, on this machine."""
    import ray  # takes a second, which only those who need Ray should wait for

    ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture
def namespace(local_ray: None) -> Iterator[str]:
    """A Ray namespace of its own; the actors in it end with the test."""
    import ray
    from ray.util import list_named_actors

    name = f"test-{uuid4().hex}"
    yield name
    for actor in list_named_actors(all_namespaces=True):
        if actor["namespace"] == name:
            ray.kill(ray.get_actor(actor["name"], namespace=name), no_restart=True)


@contextmanager
def _running(
    command: Sequence[str],
    folder: Path,
    answers: Callable[[], None],
    not_yet: type[Exception],
    stop: signal.Signals,
) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                answers()
                break
            except not_yet as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()}") from error
                time.sleep(0.02)
        yield
    finally:
        process.send_signal(stop)
        process.wait(timeout=START_S)


def _redis(address: tuple[str, int], command: bytes) -> None:
    with socket.create_connection(address, timeout=2) as connection:
        connection.sendall(command + b"\r\n")
        answer = connection.recv(64)
        if not answer.startswith(b"+"):
            raise OSError(f"redis answered {answer!r}")
