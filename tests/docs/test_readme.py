"""What README promises to run does run, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.command_line import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_quickstart_runs_and_shows_the_event_it_collected(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "TENANCY_STORAGE__ROOT": str(tmp_path / "store"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "{'accepted': 1, 'duplicate': 0, 'quarantined': 0, 'late': 0}" in done.stdout
    assert "[{'song_id': 'song_456', 'play_count': 1, 'avg_duration': 180000.0}]" in done.stdout


@pytest.mark.parametrize("line", re.findall(r"^tenancy (.+)$", README, re.MULTILINE))
def test_every_command_it_shows_exists(line: str) -> None:
    names = [word for word in line.split()[:2] if word.isalpha()]
    done = CliRunner().invoke(app, [*names, "--help"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("page", sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")}))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target
