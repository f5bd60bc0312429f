"""What a system acknowledged, against what it answers afterwards: lost, duplicated, leaked.

Every event carries its tenant's marker, its batch's name and its number `n` in the batch. One aggregation for each
tenant, count and sum of `n` by marker and batch, then tells of every event: the count whether there are too few or too
many, the sum whether a lost event hides behind a duplicate of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.tenantbench.workload import Batch


@dataclass(frozen=True, slots=True)
class Found:
    """Events of one marker and one batch: how many there are, and the sum of their numbers."""

    rows: int
    numbers: int


Tally = Mapping[tuple[str, str], Found]
"""What a tenant is answered: by marker and batch."""


@dataclass(slots=True)
class Entry:
    """What is known of one batch: how often it was acknowledged, and how often nobody can tell."""

    rows: int
    acknowledged: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of events, over all tenants that were asked."""

    acknowledged: int
    """Events the system promised to keep."""
    lost: int
    """Acknowledged, and not there."""
    duplicated: int
    """There more often than they were sent, or than they can have been."""
    leaked: int
    """Events that carry another tenant's marker, or none of this run."""
    torn: int
    """Events of batches of which only a part is there, though nobody was told that it was stored."""
    unknown: int
    """Events whose request ended without an answer: they may be there once, or not."""
    unasked: int = 0
    """Tenants that could not be asked; their events are in no other number."""
    details: tuple[str, ...] = ()
    """The first findings, in words."""

    @property
    def clean(self) -> bool:
        """Nothing lost, duplicated, leaked or torn, and everybody could be asked."""
        return not (self.lost or self.duplicated or self.leaked or self.torn or self.unasked)


@dataclass(slots=True)
class Ledger:
    """Kept by whoever sends. A batch sent again with its idempotency key is the same batch: note its last outcome only.

    >>> ledger, batch = Ledger(), Batch("a", "b1", rows=3, marker="ma")
    >>> ledger.acknowledge(batch)
    >>> ledger.audit({"a": {("ma", "b1"): Found(rows=2, numbers=1)}}).lost
    1
    """

    _markers: dict[str, str] = field(default_factory=dict)
    _entries: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def acknowledge(self, batch: Batch, times: int = 1) -> None:
        """The system said that it is stored; `times` over for a body that is sent repeatedly without a key."""
        self._entry(batch).acknowledged += times

    def doubt(self, batch: Batch, times: int = 1) -> None:
        """No answer came, or one that leaves open whether it was stored."""
        self._entry(batch).unknown += times

    def refuse(self, batch: Batch) -> None:
        """The system said that nothing of it was stored; if it is there all the same, that is a duplicate."""
        self._entry(batch)

    def forget(self, tenant: str) -> None:
        """The tenant was erased: nothing is owed to it, and nothing of it may be there any more."""
        self._entries.pop(tenant, None)

    def merge(self, other: Ledger) -> None:
        """Take over what another sender noted."""
        self._markers.update(other._markers)
        for tenant, entries in other._entries.items():
            mine = self._entries.setdefault(tenant, {})
            for name, entry in entries.items():
                known = mine.setdefault(name, Entry(entry.rows))
                known.acknowledged += entry.acknowledged
                known.unknown += entry.unknown

    @property
    def tenants(self) -> tuple[str, ...]:
        """Who was sent something, in order of name."""
        return tuple(sorted(self._entries))

    def audit(self, answers: Mapping[str, Tally | None]) -> Verdict:
        """Compare with what each tenant was answered; None for a tenant that could not be asked."""
        lost = duplicated = leaked = torn = 0
        details: list[str] = []
        for tenant, tally in answers.items():
            if tally is None:
                details.append(f"{tenant}: could not be asked")
                continue
            entries, marker = self._entries.get(tenant, {}), self._markers.get(tenant, "")
            for (found_marker, name), found in tally.items():
                if found_marker != marker:
                    leaked += found.rows
                    details.append(f"{tenant}: {found.rows} events of marker {found_marker!r}, batch {name!r}")
                elif name not in entries:
                    duplicated += found.rows
                    details.append(f"{tenant}: {found.rows} events of batch {name!r}, which is not owed any")
            for name, entry in entries.items():
                fewer, more, part = _compared(entry, tally.get((marker, name), Found(0, 0)))
                lost, duplicated, torn = lost + fewer, duplicated + more, torn + part
                if fewer or more or part:
                    details.append(f"{tenant}: batch {name!r}: {fewer} lost, {more} duplicated, {part} torn")
        asked = [tenant for tenant, tally in answers.items() if tally is not None]
        owed = [entry for tenant in asked for entry in self._entries.get(tenant, {}).values()]
        return Verdict(
            acknowledged=sum(entry.rows * entry.acknowledged for entry in owed),
            lost=lost,
            duplicated=duplicated,
            leaked=leaked,
            torn=torn,
            unknown=sum(entry.rows * entry.unknown for entry in owed),
            unasked=len(answers) - len(asked),
            details=tuple(details[:20]),
        )

    def _entry(self, batch: Batch) -> Entry:
        self._markers[batch.tenant] = batch.marker
        entry = self._entries.setdefault(batch.tenant, {}).setdefault(batch.name, Entry(batch.rows))
        if entry.rows != batch.rows:
            raise ValueError(f"batch {batch.name!r} of {batch.tenant} has {entry.rows} rows, not {batch.rows}")
        return entry


def _compared(entry: Entry, found: Found) -> tuple[int, int, int]:
    """Lost, duplicated and torn events of one batch."""
    least, most = entry.rows * entry.acknowledged, entry.rows * (entry.acknowledged + entry.unknown)
    if found.rows < least:
        return least - found.rows, 0, 0
    if found.rows > most:
        return 0, found.rows - most, 0
    if part := (found.rows - least) % entry.rows:
        return 0, 0, part
    whole = found.rows // entry.rows * (entry.rows * (entry.rows - 1) // 2)
    # The count is right and the sum is not: at least one event is missing and another is there once too often.
    return (0, 0, 0) if found.numbers == whole else (1, 1, 0)
