import stat
from pathlib import Path

import pytest

from cluster.record import FILE_NAME, ClusterRecord
from tenancy.analytics.errors import UnavailableError

RECORD = ClusterRecord(
    "http://127.0.0.1:8000", "127.0.0.1:6379", "http://127.0.0.1:8265", "/tmp/x", ("query", "ingest"), "m", 12, 345
)


def test_what_is_written_is_read_and_nobody_else_can(tmp_path: Path) -> None:
    RECORD.write(tmp_path / "run")
    assert ClusterRecord.read(tmp_path / "run") == RECORD
    assert stat.S_IMODE((tmp_path / "run" / FILE_NAME).stat().st_mode) == 0o600


def test_where_nothing_was_started_the_remedy_is_told(tmp_path: Path) -> None:
    assert ClusterRecord.read(tmp_path) is None
    with pytest.raises(UnavailableError, match="tenancy up"):
        ClusterRecord.require(tmp_path)


def test_a_forgotten_record_is_gone(tmp_path: Path) -> None:
    RECORD.write(tmp_path)
    ClusterRecord.forget(tmp_path)
    ClusterRecord.forget(tmp_path)
    assert ClusterRecord.read(tmp_path) is None
