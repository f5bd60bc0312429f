"""The doctor finds what is really broken, and says what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster.command_line import app
from cluster.doctor import catalog, logs, master_key, packages, ray_cluster, settings, storage
from cluster.doctor.examination import PARTS, examine
from cluster.doctor.finding import Finding, Verdict
from cluster.doctor.patient import Patient
from cluster.record import ClusterRecord
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources


def patient(root: Path, record: ClusterRecord | None = None, **sections: Any) -> Patient:
    place = {"root": str(root), **sections.pop("storage", {})}
    return Patient(AnalyticsConfig.load({"storage": place, **sections}, {}), record)


@pytest.fixture
async def used(tmp_path: Path) -> Patient:
    """An installation whose only host ended without writing anything out."""
    made = patient(tmp_path)
    resources = HostResources.open(made.config)
    resources.backing.register("tenant_001", {})
    engine = AnalyticsEngine.open("tenant_001", resources)
    for n in range(3):
        await engine.collect("user_interactions", Payload.of({"n": n}))
    resources.close()
    return made


def verdicts(findings: list[Finding]) -> set[Verdict]:
    return {finding.verdict for finding in findings}


def test_nothing_is_wrong_with_a_new_laptop(tmp_path: Path) -> None:
    findings = list(examine(patient(tmp_path)))

    assert Verdict.WRONG not in verdicts(findings), findings
    assert all(finding.remedy for finding in findings if finding.verdict is not Verdict.OK)


def test_a_folder_that_is_not_there_yet_is_not_made_by_looking(tmp_path: Path) -> None:
    findings = list(examine(patient(tmp_path / "new")))

    assert Verdict.WRONG not in verdicts(findings), findings
    assert not (tmp_path / "new").exists()


def test_looking_for_the_master_key_makes_none(tmp_path: Path) -> None:
    list(master_key.examine(patient(tmp_path)))

    assert not (tmp_path / "master.key").exists()


def test_every_part_is_looked_at(used: Patient) -> None:
    found = {finding.part for finding in examine(used)}

    assert found >= {part.PART for part in PARTS} - {"service"}


def test_a_storage_that_cannot_be_written_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    (finding,) = storage.examine(patient(tmp_path / "file"))

    assert finding.verdict is Verdict.WRONG
    assert "writable" in finding.remedy


def test_a_catalog_out_of_reach_is_wrong(tmp_path: Path) -> None:
    away = patient(tmp_path, storage={"catalog_url": "postgresql://nobody@127.0.0.1:1/none"})

    (finding,) = catalog.examine(away)

    assert finding.verdict is Verdict.WRONG
    assert "start the database" in finding.remedy


def test_the_catalog_on_a_server_is_read_written_and_asked_for_its_clock(tmp_path: Path, postgresql_url: str) -> None:
    findings = list(catalog.examine(patient(tmp_path, storage={"catalog_url": postgresql_url})))

    assert Verdict.WRONG not in verdicts(findings)
    assert "written in" in findings[0].what


def test_a_lost_master_key_is_told_and_another_one_does_not_open_what_is_stored(used: Patient) -> None:
    key = Path(used.config.storage.root, "master.key")
    kept = key.read_bytes()
    key.unlink()
    assert verdicts(list(master_key.examine(used))) == {Verdict.WARNING}
    key.write_bytes(b"A" * 43 + b"=\n")
    key.chmod(0o600)

    (finding,) = master_key.examine(used)

    assert finding.verdict is Verdict.WRONG
    assert "tenant_001" in finding.what
    key.write_bytes(kept)
    assert verdicts(list(master_key.examine(used))) == {Verdict.OK}


def test_a_master_key_that_others_may_read_is_wrong(used: Patient) -> None:
    Path(used.config.storage.root, "master.key").chmod(0o644)

    assert Verdict.WRONG in verdicts(list(master_key.examine(used)))


def test_logs_that_wait_are_counted_and_a_damaged_object_is_named(used: Patient) -> None:
    (whole,) = logs.examine(used)
    assert (whole.verdict, whole.what) == (Verdict.OK, "3 objects of 1 datasets wait to be folded, all whole")
    first = min(Path(used.config.storage.root).rglob("*.wal"))
    damaged = bytearray(first.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    first.write_bytes(damaged)

    (finding,) = logs.examine(used)

    assert finding.verdict is Verdict.WRONG
    assert first.name in finding.what


def test_settings_that_contradict_are_named(tmp_path: Path) -> None:
    odd = patient(
        tmp_path, performance={"query_timeout_seconds": 600}, placement={"call_timeout_seconds": 60, "idle_seconds": 1}
    )

    found = list(settings.examine(odd))

    assert verdicts(found) == {Verdict.WARNING}
    assert {"storage.catalog_patience_seconds", "storage.dead_file_seconds", "placement.idle_seconds"} <= {
        word for finding in found for word in finding.remedy.split()
    }
    assert verdicts(list(settings.examine(patient(tmp_path)))) == {Verdict.OK}


def test_the_packages_that_are_installed_will_do(tmp_path: Path) -> None:
    assert verdicts(list(packages.examine(patient(tmp_path)))) == {Verdict.OK}


def test_a_ray_that_is_gone_is_wrong(tmp_path: Path) -> None:
    record = ClusterRecord("http://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1", str(tmp_path), ("query",))

    (finding,) = ray_cluster.examine(patient(tmp_path, record))

    assert finding.verdict is Verdict.WRONG
    assert "tenancy up" in finding.remedy


def test_the_command_fails_when_something_is_wrong(tmp_path: Path, used: Patient) -> None:
    Path(used.config.storage.root, "master.key").chmod(0o666)
    file = tmp_path / "settings.yaml"
    file.write_text(f"storage: {{root: {used.config.storage.root}}}\n")
    options = ["--config", str(file), "--state", str(tmp_path / "none")]

    told = CliRunner().invoke(app, ["doctor", "--json", *options])
    shown = CliRunner().invoke(app, ["doctor", *options])

    assert (told.exit_code, shown.exit_code) == (1, 1)
    assert "wrong" in {finding["verdict"] for finding in json.loads(told.stdout)["findings"]}
    assert "chmod 600" in shown.stdout


def test_a_running_system_is_well(service: Any) -> None:
    environment = {**os.environ, "TENANCY_API_KEY": service.admin_key}

    told = CliRunner().invoke(app, ["doctor", "--json", "--state", str(service.state)], env=environment)

    findings = json.loads(told.stdout)["findings"]
    assert told.exit_code == 0, findings
    assert {"ray", "serve", "service", "hosts"} <= {finding["part"] for finding in findings}
