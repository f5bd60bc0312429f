"""Bring a system up and down: Ray where there is none, the Serve applications, and the operator's first key."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from cluster.answering import ask
from cluster.dashboard import Dashboard
from cluster.head_storage import HeadStorage, remember, remembered
from cluster.ports import free_ports
from cluster.processes import start_ray, started_at, stop
from cluster.record import ClusterRecord
from cluster.serve_config import packaged, serve_config
from cluster.serve_environment import (
    MARKER,
    NODE_CHECKS,
    haproxy_present,
    ray_token,
    serve_environment,
    token_environment,
)
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import ConflictError, UnavailableError

_PATIENCE_S = 120.0
_POLL_S = 0.2
SETTINGS = "settings.yaml"
"""Of a local system, in its folder: the settings that its applications read."""

Say = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What to bring up."""

    state: Path
    """The folder that remembers what was started."""
    host: str = "127.0.0.1"
    port: int = 8000
    address: str | None = None
    """A Ray that runs already (`host:port`); a local one is started where none is named."""
    dashboard: str = "http://127.0.0.1:8265"
    """Where the dashboard of that Ray answers."""
    config: Path | None = None
    """Settings as a YAML file."""
    serve_config: Path = field(default_factory=packaged)
    haproxy: bool = True
    throughput: bool = True
    num_cpus: int | None = None
    """Logical CPUs of a local Ray; those of the machine where not given."""
    redis: str | None = None
    """A Redis that remembers what Ray's head knows, so that the head may die and be started again."""
    new_admin_key: bool = False
    """Make an operator's key even where there is one. None is revoked."""


@dataclass(frozen=True, slots=True)
class Up:
    """What was brought up. `admin_key` is shown this once: at the first start of a storage, or when asked for."""

    record: ClusterRecord
    admin_key: str | None


def up(options: UpOptions, say: Say) -> Up:
    """Start everything and wait until it answers. What was started is stopped again when something fails.

    A system with a Redis whose head was lost is taken up where it was: nodes that still run join again.
    With `new_admin_key`, a system of this state folder that runs already is left as it is and the key made there.
    Raises ConflictError when it runs already otherwise, ConfigurationError, UnavailableError.
    """
    AnalyticsConfig.load(options.config)  # a mistake in the settings is told before anything starts
    known = ClusterRecord.read(options.state)
    if known is not None and known.pid is not None and started_at(known.pid) == known.started:
        if options.new_admin_key:
            settings = {"config_file": str(Path(known.folder, SETTINGS))}
            environment = {**os.environ, **token_environment()}
            return Up(known, _admin_key(settings, known, environment, another=True))
        raise ConflictError(f"a system runs already at {known.url}", "run 'tenancy down' first")
    if known is not None and known.marker is not None:
        # Its supervisor is gone, killed or with the machine; what it left behind would hold ports and memory.
        stop(None, None, known.marker, patience_s=0.0)
    record, environment = _existing(options) if options.address else _local(options, known, say)
    try:
        record.write(options.state)
        say("deploying the applications")
        _deploy(options, record)
        say("asking for the operator's key")
        arguments = _arguments(options, record)
        return Up(record, _admin_key(arguments, record, environment, another=options.new_admin_key))
    except BaseException:
        down(options.state, keep_logs=True)
        raise


def down(state: Path, keep_logs: bool = False) -> ClusterRecord:
    """Stop what `up` started. On a Ray that was there before, only the applications go.

    Raises UnavailableError where nothing was started from `state`.
    """
    record = ClusterRecord.require(state)
    if record.marker is None:
        with Dashboard(record.dashboard) as dashboard:
            dashboard.withdraw(record.applications)
    else:
        stop(record.pid, record.started, record.marker)
        url = remembered(Path(record.folder))
        if url is not None:
            HeadStorage.of(url, state).clear({**os.environ})
        if not keep_logs:
            shutil.rmtree(record.folder, ignore_errors=True)
    ClusterRecord.forget(state)
    return record


def _existing(options: UpOptions) -> tuple[ClusterRecord, dict[str, str]]:
    assert options.address is not None
    folder = options.state.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    record = ClusterRecord(
        url=f"http://{options.host}:{options.port}",
        address=options.address,
        dashboard=options.dashboard,
        folder=str(folder),
        applications=_names(options),
    )
    # A program that joins a Ray sends its token only when told to; a Ray that asks for none does not mind.
    token = {"RAY_AUTH_MODE": "token"} if ray_token() is not None else {}
    return record, {**token, **os.environ}


def _local(options: UpOptions, known: ClusterRecord | None, say: Say) -> tuple[ClusterRecord, dict[str, str]]:
    storage = None if options.redis is None else HeadStorage.of(options.redis, options.state)
    lost = known if storage is not None and known is not None and remembered(Path(known.folder)) else None
    if storage is not None and lost is None:
        storage.clear({**os.environ})  # of a system whose state folder is gone
    # A short path, since sockets are kept in it, and not Ray's default one, where `ray.init` of a program that has
    # nothing to do with this would find and join it.
    folder = Path(tempfile.mkdtemp(prefix="tenancy-") if lost is None else lost.folder)
    remember(folder, options.redis)
    marker = secrets.token_hex(8)
    haproxy = options.haproxy and haproxy_present()
    environment = {
        **NODE_CHECKS,
        **os.environ,
        **token_environment(),
        **serve_environment(folder, haproxy=haproxy, throughput=options.throughput),
        # The node goes away with everything on it: there is nowhere to move work to, so nothing to wait for.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        MARKER: marker,
        **({} if storage is None else storage.environment()),
    }
    names = (
        "port",
        "dashboard-port",
        "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port",
        "runtime-env-agent-port",
        "metrics-export-port",
        "ray-client-server-port",
    )
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    if lost is not None:
        # What a head removes that ends in order; where another of its nodes is on this machine, Ray would take it
        # for one that runs.
        (folder / "ray" / "ray_current_cluster").unlink(missing_ok=True)
        # Its nodes look for it where it was.
        ports |= {"port": _port(lost.address), "dashboard-port": _port(lost.dashboard)}
    say(f"starting Ray, with {'HAProxy' if haproxy else 'Serve’s own proxy'} in front")
    extra: tuple[str, ...] = () if options.num_cpus is None else (f"--num-cpus={options.num_cpus}",)
    extra += () if storage is None else storage.arguments()
    process = start_ray(folder, ports, environment, extra)
    record = ClusterRecord(
        url=f"http://{options.host}:{options.port}",
        address=f"127.0.0.1:{ports['port']}",
        dashboard=f"http://127.0.0.1:{ports['dashboard-port']}",
        folder=str(folder),
        applications=_names(options),
        marker=marker,
        pid=process.pid,
        started=started_at(process.pid),
    )
    try:
        _await_dashboard(record, process)
    except BaseException:
        stop(record.pid, record.started, marker)
        raise
    return record, environment


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _await_dashboard(record: ClusterRecord, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    with Dashboard(record.dashboard, timeout_s=5.0) as dashboard:
        while True:
            if process.poll() is not None:
                log = Path(record.folder, "ray.log").read_text(errors="replace")
                raise UnavailableError("Ray", f"it ended with {process.returncode}: {log[-2000:].strip()}")
            try:
                dashboard.version()
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
            else:
                return


def _deploy(options: UpOptions, record: ClusterRecord) -> None:
    arguments = _arguments(options, record)
    cores = None if options.address else options.num_cpus or os.cpu_count()
    config = serve_config(options.serve_config, host=options.host, port=options.port, arguments=arguments, cores=cores)
    # Kept for whoever wants to see, or to `serve deploy` by hand.
    Path(record.folder, "serve.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with Dashboard(record.dashboard) as dashboard:
        dashboard.deploy(config)
        dashboard.await_running(record.applications, _PATIENCE_S)
    _await_ready(record.url)


def _await_ready(url: str) -> None:
    """Serve calls an application running a moment before the proxy in front of it knows where it is."""
    deadline = time.monotonic() + _PATIENCE_S
    with httpx.Client(base_url=url, timeout=5.0) as client:
        while True:
            try:
                answer = client.get("/readyz")
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            else:
                if answer.is_success:
                    return
                reason = f"{answer.status_code}: {answer.text[:500]}"
            if time.monotonic() > deadline:
                raise UnavailableError(f"the service at {url}", reason)
            time.sleep(_POLL_S)


def _arguments(options: UpOptions, record: ClusterRecord) -> dict[str, Any]:
    """Settings for the applications: of a local system by file, which may hold secrets; else inline."""
    if options.address is not None:
        inline = yaml.safe_load(options.config.read_text()) or {} if options.config else {}
        return {"config": inline} if inline else {}
    given = kept_settings(options.config)
    path = Path(record.folder, SETTINGS)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(given))
    return {"config_file": str(path)}


def kept_settings(config: Path | None) -> dict[str, Any]:
    """The settings in a file, the place of the storage made absolute: whoever reads them runs elsewhere."""
    given: dict[str, Any] = yaml.safe_load(config.read_text()) or {} if config else {}
    root = AnalyticsConfig.load(given).storage.root
    if "://" not in root:
        given["storage"] = {**given.get("storage", {}), "root": str(Path(root).resolve())}
    return given


def _names(options: UpOptions) -> tuple[str, ...]:
    config = serve_config(options.serve_config, host=options.host, port=options.port, arguments={})
    return tuple(application["name"] for application in config["applications"])


def _admin_key(
    arguments: dict[str, Any], record: ClusterRecord, environment: dict[str, str], *, another: bool
) -> str | None:
    flags = (record.address, *(["--another"] if another else []))
    secret: str | None = ask("the operator's key", "cluster.first_key", flags, arguments, environment)["secret"]
    return secret
