"""`tenancy doctor`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cluster.bring_up import SETTINGS
from cluster.commands.options import DEFAULT_STATE, AsJson, Key, State
from cluster.doctor.examination import examine
from cluster.doctor.finding import Finding, Verdict
from cluster.doctor.patient import Patient
from cluster.output import EXIT_FAILED, Output
from cluster.record import ClusterRecord
from tenancy.analytics.config import AnalyticsConfig

_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "red"}


def command(
    state: State = DEFAULT_STATE,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Settings; those that 'up' was given when not given."),
    ] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Look at every part of a system, say what is wrong and what to do. Exits with 1 when something is."""
    output = Output(as_json)
    findings: list[Finding] = []
    with output.reporting():
        record = ClusterRecord.read(state)
        patient = Patient(AnalyticsConfig.load(config or _settings_of(record)), record, key)
        for finding in examine(patient):
            findings.append(finding)
            if not as_json:
                _show(output, finding)
        output.result({"findings": [dataclasses.asdict(each) for each in findings]}, lambda: None)
    if any(finding.verdict is Verdict.WRONG for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _settings_of(record: ClusterRecord | None) -> Path | None:
    """The file of settings that a system started here runs with."""
    if record is None:
        return None
    path = Path(record.folder, SETTINGS)
    return path if path.exists() else None


def _show(output: Output, finding: Finding) -> None:
    colour = _COLOURS[finding.verdict]
    line = f"[{colour}]{finding.verdict:<8}[/{colour}][bold]{finding.part:<11}[/bold]{escape(finding.what)}"
    output.console.print(line, soft_wrap=True, highlight=False)
    if finding.remedy:
        output.console.print(f"{'':<19}→ {escape(finding.remedy)}", soft_wrap=True, highlight=False)
