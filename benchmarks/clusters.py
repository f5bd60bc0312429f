"""A real system on this machine, brought up as `tenancy up` does, on ports and a folder of its own."""

from __future__ import annotations

import http.client
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import yaml

from benchmarks.engines import TENANT
from cluster.bring_up import UpOptions, down, up


@dataclass(frozen=True, slots=True)
class Service:
    """Where it answers, and the key that may everything."""

    url: str
    key: str

    def connection(self) -> Connection:
        """One connection, kept open."""
        return Connection(self)


class Connection:
    """HTTP with as little client as there can be: client and service share two cores."""

    def __init__(self, service: Service) -> None:
        place = urlsplit(service.url)
        self._http = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        self._http.connect()
        self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = {"Authorization": f"Bearer {service.key}"}

    def call(self, method: str, path: str, body: bytes | None = None, media: str = "application/json", **headers: str):  # type: ignore[no-untyped-def]
        """The JSON answer; an answer that is no success is an error."""
        self._http.request(method, path, body, {**self._headers, "Content-Type": media, **headers})
        answer = self._http.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return orjson.loads(content) if content else None


@contextmanager
def a_service(*, haproxy: bool = True, throughput: bool = True) -> Iterator[Service]:
    """A system with one tenant; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        config = folder / "settings.yaml"
        config.write_text(yaml.safe_dump({"storage": {"root": str(folder / "store")}}))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = UpOptions(state=folder / "state", port=port, config=config, haproxy=haproxy, throughput=throughput)
        system = up(options, lambda _: None)
        try:
            service = Service(system.record.url, system.admin_key or "")
            service.connection().call("PUT", f"/v1/tenants/{TENANT}", b"{}")
            yield service
        finally:
            down(options.state)
