"""An application in this process, where what it depends on can be taken away."""

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from actors.directory_handle import DirectoryHandle
from actors.placement import HostSight
from serve_apps.application import application
from serve_apps.readiness import Readiness
from serve_apps.routes import health
from serve_apps.services import Services
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import IntegrityError, StorageFullError

failing = APIRouter()


@failing.get("/bug")
async def bug() -> None:
    raise ZeroDivisionError("the password is hunter2")


@failing.get("/full")
async def full() -> None:
    raise StorageFullError("/data")


@failing.get("/damaged")
async def damaged() -> None:
    raise IntegrityError("tenancy://a/plays/segments/1.parquet", "frame 3 was changed")


class Directory(DirectoryHandle):
    """A tenant directory that answers without a cluster, until it is gone."""

    gone = False

    async def hosts(self) -> list[HostSight]:
        if self.gone:
            raise RuntimeError("the password is hunter2")
        return []


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    config = AnalyticsConfig.load({"storage": {"root": str(root)}}, environment={})

    def services(config: AnalyticsConfig) -> Services:
        opened = Services.open(config, Directory(config))
        # Asked anew every time; that it is asked once a second is the concern of its own tests.
        return replace(opened, readiness=Readiness(opened.readiness.probes, valid_s=0.0))

    app = application(config, [health.router, failing], "for a test", services)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


async def test_a_fault_of_ours_is_logged_and_shows_nothing_of_its_insides(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with running(tmp_path) as client:
            answer = await client.get("/bug")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal"
    assert "hunter2" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert "hunter2" in caplog.text


async def test_a_full_disk_is_507_with_when_to_come_back(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        answer = await client.get("/full")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["retry_after"]) == (507, "10", 10.0)


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        answer = await client.get("/damaged")
    assert answer.status_code == 500
    assert "tenancy://a/plays/segments/1.parquet" in answer.json()["detail"]


async def test_it_is_not_ready_without_the_tenant_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as client:
        monkeypatch.setattr(Directory, "gone", True)
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["detail"]) == (503, "not ready: hosts")
        assert "hunter2" not in answer.text
        monkeypatch.setattr(Directory, "gone", False)
        assert (await client.get("/readyz")).status_code == 200


async def test_it_is_not_ready_while_its_storage_cannot_be_written_and_ready_again_after(tmp_path: Path) -> None:
    root, away = tmp_path / "data", tmp_path / "away"
    async with running(root) as client:
        assert (await client.get("/readyz")).status_code == 200
        shutil.move(root, away)
        root.write_bytes(b"a file where a folder was")
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["checks"]["storage"] != "ok"
        assert (await client.get("/healthz")).status_code == 200
        root.unlink()
        shutil.move(away, root)
        assert (await client.get("/readyz")).status_code == 200
