"""Python, and the packages that are needed, in versions that will do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from cluster.doctor.finding import Finding, ok, wrong
from cluster.doctor.patient import Patient

PART = "packages"
DISTRIBUTION = "tenancy"


def examine(_patient: Patient) -> Iterator[Finding]:
    """Every requirement of this distribution against what is installed."""
    python = ".".join(map(str, sys.version_info[:3]))
    needed = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    bad = [problem for each in needed if each.marker is None or each.marker.evaluate() for problem in _problems(each)]
    if bad:
        yield wrong(PART, "; ".join(bad), "run 'pip install -c constraints.txt .' again, in this environment")
    else:
        yield ok(PART, f"Python {python}, {len(needed)} requirements met")


def _problems(requirement: Requirement) -> Iterator[str]:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        yield f"{requirement.name} is not installed"
        return
    if not requirement.specifier.contains(found, prereleases=True):
        yield f"{requirement.name} {found} is not {requirement.specifier}"
