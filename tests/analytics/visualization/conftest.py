"""A real browser, and rows of every kind of chart."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

HOSTILE = (
    '<script>document.body.dataset.ran="1"</script><img src=x onerror=\'document.body.dataset.ran="1"\'>&%{meta[0]}'
)


@pytest.fixture(scope="session")
def dom_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The document that a page has become in a headless Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")

    def dump(html: str) -> str:
        folder = tmp_path_factory.mktemp("page")
        page = Path(folder, "page.html")
        page.write_text(html, encoding="utf-8")
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += [f"--user-data-dir={folder}/profile", "--window-size=1200,800", "--virtual-time-budget=10000"]
        done = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, timeout=120, check=True)
        return done.stdout.decode()

    return dump


@pytest.fixture
def hostile() -> str:
    """Text of a tenant that would run, be markup or be a template, if anything let it."""
    return HOSTILE


@pytest.fixture
def plays() -> list[dict[str, Any]]:
    """Two weeks of plays of three genres by two artists each; nobody plays jazz from the 5th to the 7th."""
    return [
        {
            "date": date(2025, 7, 1) + timedelta(days=day),
            "genre": genre,
            "artist": f"{genre} {artist}",
            "play_count": (number + 1) * 100 + day,
            "avg_duration": 180_000.5 + day,
        }
        for day in range(14)
        for number, genre in enumerate(("rock", "pop", "jazz"))
        for artist in ("a", "b")
        if not (genre == "jazz" and day in (4, 5, 6))
    ]
