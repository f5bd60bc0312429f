"""A disk that fills up while events are collected: what was acknowledged stays, and work goes on once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.errors import StorageFullError
from tenancy.analytics.types import Receipts, ReceiptStatus

TENANT = "tenant_001"
DATASET = "user_interactions"
MEGABYTE = 1024 * 1024
BATCH = 200

Open = Callable[[], AnalyticsEngine]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 8 MB, a third of it taken by a file that can be deleted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small filesystem cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        (folder / "ballast").write_bytes(bytes(3 * MEGABYTE))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(params=["catalog beside the files", "catalog on another disk"])
def open_engine(request: pytest.FixtureRequest, disk: Path, tmp_path: Path) -> Iterator[Open]:
    """Opens the tenant as a process of its own would. Nothing is released before the end, as if it were killed."""
    storage: dict[str, object] = {"root": str(disk)}
    if request.param == "catalog on another disk":
        storage["catalog_url"] = f"sqlite:///{tmp_path}/catalog.db"
    held: list[HostResources] = []

    def open_one() -> AnalyticsEngine:
        held.append(HostResources.open(AnalyticsConfig.load({"storage": storage}, {})))
        held[-1].backing.register(TENANT, {})
        return AnalyticsEngine.open(TENANT, held[-1])

    yield open_one
    for resources in held:
        resources.close()


def batch(number: int) -> Payload:
    """Events whose texts do not compress, so that a disk of megabytes is filled by a few dozen of them."""
    noise = Random(number)
    rows = [{"event_id": f"{number}-{row}", "text": noise.randbytes(256).hex()} for row in range(BATCH)]
    return Payload.of(rows)


async def fill(engine: AnalyticsEngine, start: int = 0, most: int = 1_000) -> tuple[int, StorageFullError]:
    """Collect until the disk is full; the number of the batch that was refused, and how."""
    for number in range(start, most):
        try:
            receipts: Receipts = await engine.collect(DATASET, batch(number), idempotency_key=f"batch {number}")
        except StorageFullError as error:
            return number, error
        assert receipts.count(ReceiptStatus.ACCEPTED) == BATCH
    raise AssertionError("the disk was never full")


async def stored(engine: AnalyticsEngine) -> set[str]:
    """The ids that a query finds, each of them once."""
    answer = await engine.query({"type": "rows", "columns": ["event_id"], "limit": 10_000})
    ids = [row["event_id"] for row in answer.data]
    assert len(ids) == len(set(ids))
    return set(ids)


def ids_until(number: int) -> set[str]:
    return {f"{batch}-{row}" for batch in range(number) for row in range(BATCH)}


async def test_what_was_acknowledged_before_the_disk_was_full_is_there_and_work_goes_on(
    open_engine: Open, disk: Path
) -> None:
    engine = open_engine()
    refused, error = await fill(engine)
    assert (error.status, refused > 5) == (507, True)
    assert await stored(engine) == ids_until(refused)

    # Full is no accident of one call: refused again, maintenance too, and still nothing is lost.
    with pytest.raises(StorageFullError):
        await engine.collect(DATASET, batch(refused), idempotency_key=f"batch {refused}")
    with pytest.raises(StorageFullError):
        await engine.flush()
    assert await stored(engine) == ids_until(refused)

    (disk / "ballast").unlink()
    receipts = await engine.collect(DATASET, batch(refused), idempotency_key=f"batch {refused}")
    assert receipts.count(ReceiptStatus.ACCEPTED) == BATCH
    await engine.maintain()
    await engine.flush()
    assert await stored(engine) == ids_until(refused + 1)

    heir = open_engine()
    assert await stored(heir) == ids_until(refused + 1)


async def test_an_owner_that_died_on_a_full_disk_is_followed_by_one_with_every_acknowledged_row(
    open_engine: Open, disk: Path
) -> None:
    refused, _ = await fill(open_engine())

    # Nothing can be moved into segments now, but everything can be read.
    heir = open_engine()
    assert await stored(heir) == ids_until(refused)
    with pytest.raises(StorageFullError):
        await heir.flush()
    assert await stored(open_engine()) == ids_until(refused)

    (disk / "ballast").unlink()
    heir = open_engine()
    assert await stored(heir) == ids_until(refused)
    await heir.flush()
    assert not list(disk.glob("tenants/*/*/wal/*.wal"))
    again = await heir.collect(DATASET, batch(refused - 1))
    assert again.count(ReceiptStatus.DUPLICATE) == BATCH
    assert await stored(heir) == ids_until(refused)
