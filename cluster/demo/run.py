"""The demo from beginning to end: bring up, load, ask, draw, and bring down."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cluster.bring_up import UpOptions, down, up
from cluster.client import Client
from cluster.demo.asking import ask_everything
from cluster.demo.index_page import write_index
from cluster.demo.loading import FLIGHTS, MUSIC, Data, Producer
from cluster.demo.report import DemoReport, Load
from cluster.output import Output
from cluster.ports import free_ports
from examples import flights, music
from tenancy.analytics.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the demo runs."""

    folder: Path = Path("demo-output")
    """Where the chart pages go."""
    events: int = 500_000
    """Plays of music."""
    departures: int | None = None
    """Only the first so many; all 336,776 where not given."""
    port: int | None = None
    """Where the service listens; any free port where not given."""


@contextmanager
def run_demo(options: DemoOptions, output: Output) -> Iterator[DemoReport]:
    """Run it, and hand out the report while the system is still up; after that everything is stopped and removed.

    Raises UnavailableError where the departures are not installed, or a part does not start.
    """
    stages = _Stages(output)
    with stages("reading the departures, generating the plays"):
        data = _data(options)
    pages = options.folder.resolve()
    pages.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="tenancy-demo-"))
    try:
        settings = {"storage": {"root": str(place / "storage")}}
        (place / "settings.yaml").write_text(yaml.safe_dump(settings))
        port = free_ports(1)[0] if options.port is None else options.port
        with stages("starting Ray and the service"):
            started = up(UpOptions(place / "run", port=port, config=place / "settings.yaml"), output.say)
        try:
            record, admin_key = started.record, started.admin_key
            with (
                stages("registering two tenants, each with keys of its own"),
                Client(record.url, admin_key) as operator,
            ):
                writers, analysts = _register(operator)
            loads = _load(Producer(record.url, writers, output), data, place, stages)
            with stages("asking and drawing"):
                incident = data.music.planted.incident
                answers = ask_everything(record, settings, analysts, incident, pages)
            yield DemoReport(
                url=record.url,
                dashboard=record.dashboard,
                admin_key=admin_key,
                index=write_index(pages, [(answer.tenant, answer.title, answer.page) for answer in answers]),
                loads=tuple(loads),
                answers=answers,
                planted=_planted(data.music.planted),
                received=_received(loads[-1]),
                stages=dict(stages.seconds),
            )
        finally:
            output.say("stopping everything")
            down(place / "run")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _data(options: DemoOptions) -> Data:
    try:
        departures = flights.load()
    except ModuleNotFoundError as error:
        raise UnavailableError("the demo", str(error)) from None
    part = departures.departures.slice(0, options.departures)
    return Data.ready(replace(departures, departures=part), music.generate(options.events))


def _register(operator: Client) -> tuple[dict[str, str], dict[str, str]]:
    """Both tenants; the keys of their writers and of their analysts."""
    keys: dict[str, dict[str, str]] = {"writer": {}, "analyst": {}}
    configs: Mapping[str, dict[str, Any]] = {FLIGHTS: flights.tenant(), MUSIC: music.tenant()}
    for tenant, config in configs.items():
        operator.call("PUT", "tenants", tenant, json=config)
        for role, held in keys.items():
            made = operator.call("POST", "tenants", tenant, "keys", json={"roles": [role], "label": "demo"})
            held[tenant] = made["key"]
    return keys["writer"], keys["analyst"]


def _load(producer: Producer, data: Data, place: Path, stages: _Stages) -> list[Load]:
    """Everything, the plays last."""
    with stages("loading the tables that events refer to"):
        loads = producer.tables(data)
    departures, plays = data.flights.departures.num_rows, data.music.planted.rows
    with stages("streaming the departures over HTTP"):
        loads.append(producer.streamed(FLIGHTS, "flights", data.bodies, departures))
    with stages("loading the same departures as a file"):
        loads.append(producer.file(data, place))
    with stages("streaming the plays over HTTP"):
        loads.append(producer.streamed(MUSIC, "user_interactions", data.plays, plays))
    return loads


def _planted(planted: music.Planted) -> dict[str, int]:
    return {"accepted": planted.accepted, "duplicate": planted.duplicates, **planted.dirty}


def _received(plays: Load) -> dict[str, int]:
    """Receipts by kind; a late play is one that was accepted, after a newer one of another connection."""
    accepted = plays.counts["accepted"] + plays.counts["late"]
    return {"accepted": accepted, "duplicate": plays.counts["duplicate"], **plays.refusals}


class _Stages:
    """Times stages, and says which one it is."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._output.say(name)
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
