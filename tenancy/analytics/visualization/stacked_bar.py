"""Stacked bars: a measure by category or by time, and the groups it is made of."""

from __future__ import annotations

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.visualization._bars import bars
from tenancy.analytics.visualization._measures import is_additive
from tenancy.analytics.visualization._plot import Drawing, Plot


def draw(plot: Plot) -> Drawing:
    """Bars upon one another. Raises InvalidRequestError for a measure whose values may not be added up."""
    for measure in plot.fields.y:
        if not is_additive(measure, plot.config):
            remedy = "a stack adds its parts up, which means nothing here; use type 'bar', or say additive: true"
            raise InvalidRequestError("chart_config.y_axis", measure, remedy)
    return bars(plot, stacked=True)
