"""Asks the questions, over HTTP and through the Python API, and draws the answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.client import Client
from cluster.demo import questions
from cluster.demo.loading import FLIGHTS, MUSIC
from cluster.demo.python_api import Request, ask_and_draw
from cluster.demo.questions import Question
from cluster.demo.report import Answer
from cluster.record import ClusterRecord
from examples.music import Incident
from tenancy.analytics.visualization import VisualizationEngine


def ask_everything(
    record: ClusterRecord, settings: Mapping[str, Any], keys: dict[str, str], incident: Incident, folder: Path
) -> tuple[Answer, ...]:
    """Every question's answer, each with a page in `folder`; `keys` are the analysts' keys by tenant."""
    answers = [_in_python(record, settings, folder)]
    for tenant, asked in ((MUSIC, questions.music(incident)), (FLIGHTS, questions.flights())):
        with Client(record.url, keys[tenant]) as client:
            answers += _over_http(client, tenant, asked, folder)
    return tuple(answers)


def _over_http(client: Client, tenant: str, asked: Sequence[Question], folder: Path) -> list[Answer]:
    engine, answers = VisualizationEngine(), []
    for question in asked:
        began = time.monotonic()
        answer = client.call("POST", "tenants", tenant, "query", json=question.query)
        call_ms = (time.monotonic() - began) * 1_000
        page = folder / f"{question.name}.html"
        page.write_text(engine.create(question.chart, answer["data"]).to_html(), encoding="utf-8")
        stats = answer["stats"]
        title, rows = str(question.chart["title"]), answer["data"]
        answers.append(Answer(tenant, title, "HTTP", rows, stats["rows_scanned"], call_ms, stats["total_ms"], page))
    return answers


def _in_python(record: ClusterRecord, settings: Mapping[str, Any], folder: Path) -> Answer:
    page = folder / "music-popularity.html"
    asked = ask_and_draw(record, Request(settings, MUSIC, questions.DESIGN_QUERY, questions.DESIGN_CHART, str(page)))
    title = str(questions.DESIGN_CHART["title"])
    return Answer(MUSIC, title, "Python", asked.rows, asked.rows_scanned, asked.call_ms, asked.engine_ms, page)
