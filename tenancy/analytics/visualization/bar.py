"""Bars: a measure by category or by time, side by side where there are groups."""

from __future__ import annotations

from tenancy.analytics.visualization._bars import bars
from tenancy.analytics.visualization._plot import Drawing, Plot


def draw(plot: Plot) -> Drawing:
    """Bars beside one another, the greatest category first."""
    return bars(plot, stacked=False)
