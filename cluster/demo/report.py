"""What the demo found: values for programs, tables for people. Every number in it was measured or counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from cluster.demo.streaming import Streamed
from cluster.output import Output

_ROWS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Load:
    """Rows that were brought in one way."""

    tenant: str
    dataset: str
    way: str
    rows: int
    seconds: float
    counts: Mapping[str, int]
    refusals: Mapping[str, int]
    waits: int
    acknowledged_ms: tuple[float, float] | None = None
    """The median and the 99th percentile of a batch's way to its receipts."""

    @classmethod
    def of(cls, tenant: str, dataset: str, way: str, streamed: Streamed) -> Load:
        """What became of a stream."""
        return cls(
            tenant,
            dataset,
            way,
            streamed.rows,
            streamed.seconds,
            dict(streamed.counts),
            dict(streamed.refusals),
            streamed.waits,
            _median_and_p99(streamed.acknowledged_ms),
        )

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One question's answer: rows, time on the way and in the engine, and the page with its chart."""

    tenant: str
    title: str
    way: str
    rows: Sequence[Mapping[str, Any]]
    scanned: int
    call_ms: float
    engine_ms: float
    page: Path


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The whole run."""

    url: str
    dashboard: str
    admin_key: str | None
    """The operator's, for as long as the demo stays up."""
    index: Path
    loads: tuple[Load, ...]
    answers: tuple[Answer, ...]
    planted: Mapping[str, int]
    """Rows by receipt, as the generator of the plays says they must be."""
    received: Mapping[str, int]
    """The same, as the service said."""
    stages: Mapping[str, float]
    """Seconds of each stage, in order."""

    @property
    def seconds(self) -> float:
        return sum(self.stages.values())

    @property
    def as_planted(self) -> bool:
        """Whether every planted row got the receipt that it must get."""
        return self.planted == self.received

    def plain(self) -> dict[str, Any]:
        """The report as JSON's types, without the key."""
        return {
            "url": self.url,
            "dashboard": self.dashboard,
            "index": str(self.index),
            "seconds": round(self.seconds, 3),
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "loads": [
                {
                    "tenant": load.tenant,
                    "dataset": load.dataset,
                    "way": load.way,
                    "rows": load.rows,
                    "seconds": round(load.seconds, 3),
                    "counts": dict(load.counts),
                    "refusals": dict(load.refusals),
                    "waits": load.waits,
                }
                for load in self.loads
            ],
            "answers": [
                {
                    "tenant": answer.tenant,
                    "title": answer.title,
                    "way": answer.way,
                    "rows": len(answer.rows),
                    "call_ms": round(answer.call_ms, 3),
                    "engine_ms": round(answer.engine_ms, 3),
                    "page": str(answer.page),
                }
                for answer in self.answers
            ],
            "planted": dict(self.planted),
            "received": dict(self.received),
            "as_planted": self.as_planted,
        }


def show(report: DemoReport, output: Output) -> None:
    """Everything as tables."""
    for answer in report.answers:
        names = list(answer.rows[0]) if answer.rows else []
        more = f", the first {_ROWS_SHOWN} of {len(answer.rows):,} rows" if len(answer.rows) > _ROWS_SHOWN else ""
        output.table(
            names,
            [[row[name] for name in names] for row in answer.rows[:_ROWS_SHOWN]],
            title=f"{answer.tenant}: {answer.title}{more}",
        )
    output.table(
        ("dataset", "way", "rows", "s", "rows/s", "p50 ms", "p99 ms", "waits"),
        [
            (
                load.dataset,
                load.way,
                load.rows,
                round(load.seconds, 2),
                round(load.rows_per_s),
                *_batch(load),
                load.waits,
            )
            for load in report.loads
        ],
        title="Loaded; p50 and p99 are of a batch, from sending it to its receipts",
    )
    kinds = ("accepted", "duplicate", "late", "quarantined")
    output.table(
        ("tenant", "dataset", *kinds),
        [(load.tenant, load.dataset, *(load.counts.get(kind, 0) for kind in kinds)) for load in report.loads],
        title="Receipts",
    )
    output.table(
        ("receipt of a play", "planted", "received"),
        [(name, number, report.received.get(name, 0)) for name, number in report.planted.items()],
        title="Planted in the plays, and found",
    )
    output.table(
        ("question", "asked in", "rows", "scanned", "engine ms", "call ms"),
        [
            (each.page.stem, each.way, len(each.rows), each.scanned, round(each.engine_ms, 1), round(each.call_ms, 1))
            for each in report.answers
        ],
        title="Asked",
    )
    output.table(("stage", "seconds"), [*((n, round(s, 2)) for n, s in report.stages.items())], title="Took")
    verdict = "every play has" if report.as_planted else "NOT every play has"
    output.console.print(f"{report.seconds:.1f} s in all; {verdict} the receipt it was planted for.")
    output.console.print("Charts:")
    for page in (report.index, *(answer.page for answer in report.answers)):
        output.console.print(f"  {page.as_uri()}", soft_wrap=True, highlight=False)


def _batch(load: Load) -> tuple[int | None, int | None]:
    if load.acknowledged_ms is None:
        return None, None
    median, p99 = load.acknowledged_ms
    return round(median), round(p99)


def _median_and_p99(values: Sequence[float]) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]
