"""What was found of one part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a part is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not for long or not as it should."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, how it is, and what to do where it is not well."""

    part: str
    verdict: Verdict
    what: str
    remedy: str = ""


def ok(part: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(part, Verdict.OK, what)


def warning(part: str, what: str, remedy: str) -> Finding:
    """Something to do in time."""
    return Finding(part, Verdict.WARNING, what, remedy)


def wrong(part: str, what: str, remedy: str) -> Finding:
    """Something to do now."""
    return Finding(part, Verdict.WRONG, what, remedy)
