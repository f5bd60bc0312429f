"""What the next job of a tenant will cost: an exponentially weighted mean of what its jobs have cost."""

from __future__ import annotations

NEWEST = 0.2
"""The share of the newest job in the mean."""


class Costs:
    """Guesses for jobs of one tenant, by kind; a given prior where nothing was measured.

    >>> costs = Costs()
    >>> costs.guess("asking", prior=0.01)
    0.01
    >>> costs.learn("asking", 0.03); costs.learn("asking", 0.03)
    >>> costs.guess("asking", prior=0.01)
    0.03
    """

    __slots__ = ("_means",)

    def __init__(self) -> None:
        self._means: dict[str, float] = {}

    def guess(self, kind: str, prior: float) -> float:
        """CPU seconds that the next job will take."""
        return self._means.get(kind, prior)

    def learn(self, kind: str, cost: float) -> None:
        """A job has taken `cost` CPU seconds."""
        mean = self._means.get(kind)
        self._means[kind] = cost if mean is None else mean + NEWEST * (cost - mean)
