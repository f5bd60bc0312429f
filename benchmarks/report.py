"""What a benchmark says: named measurements with their target, and the machine and versions they were taken on."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("ray", "duckdb", "pyarrow", "cryptography", "orjson", "sqlglot", "sqlalchemy", "fastapi")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number. `met` is None where it has no target of its own (a peer, a part)."""

    what: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All numbers of one benchmark."""

    benchmark: str
    measurements: tuple[Measurement, ...]

    def save(self) -> Path:
        """Write the report with machine and versions to `benchmarks/results/`."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.benchmark}.json"
        path.write_text(
            json.dumps({"taken": datetime.now(UTC).isoformat(), "machine": machine(), **asdict(self)}, indent=2)
        )
        return path


def at_least(what: str, value: float, unit: str, bound: float) -> Measurement:
    """A measurement that should not be smaller than `bound`."""
    return Measurement(what, value, unit, f"≥ {bound:,g} {unit}", value >= bound)


def at_most(what: str, value: float, unit: str, bound: float) -> Measurement:
    """A measurement that should not be larger than `bound`."""
    return Measurement(what, value, unit, f"≤ {bound:,g} {unit}", value <= bound)


def machine() -> dict[str, object]:
    """What the numbers depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """How long each of `repeats` runs took, sorted."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return sorted(taken)


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
