"""Pie: the parts of one whole, drawn as a ring with the total in its middle."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.visualization._fields import require_numbers
from tenancy.analytics.visualization._measures import combine, is_additive, told
from tenancy.analytics.visualization._plot import Drawing, Plot, names, values
from tenancy.analytics.visualization._text import safe

MOST_SLICES = 8


def draw(plot: Plot) -> Drawing:
    """Slices from the top, clockwise, the greatest first; small ones together.

    Raises InvalidRequestError for values below zero, and for measures that are no parts of a whole.
    """
    slices, measure = plot.fields.x, plot.fields.y[0]
    require_numbers("y_axis", measure, plot.frame)
    if not is_additive(measure, plot.config):
        remedy = "its values are not parts of a whole; use type 'bar', or say additive: true"
        raise InvalidRequestError("chart_config.y_axis", measure, remedy)
    lowest = plot.frame[measure].min()
    if lowest < 0:
        raise InvalidRequestError(
            f"data.{measure}", float(lowest), "a part of a whole is not below zero; use type 'bar'"
        )
    labelled = plot.frame.assign(**{slices: names(plot.frame[slices])})
    rows, done = combine(labelled, [slices], [measure], plot.config)
    rows = rows[rows[measure] > 0].sort_values(measure, ascending=False, kind="stable")
    most = plot.config.limit or MOST_SLICES
    shown, rest = rows.iloc[:most], rows.iloc[most:]
    labels, sizes = list(shown[slices]), shown[measure]
    colors = [plot.theme.color(index) for index in range(len(labels))]
    if len(rest):
        labels.append(f"other ({len(rest):,})")
        sizes = pd.concat([sizes, pd.Series([float(rest[measure].sum())])], ignore_index=True)
        colors.append(plot.theme.other)
    number = plot.format(measure, frame=rows)
    trace: dict[str, Any] = {
        "type": "pie",
        "labels": labels,
        "values": values(sizes),
        "name": safe(plot.title(measure)),
        "hole": 0.55,
        "sort": False,
        "direction": "clockwise",
        "textinfo": "label+percent",
        "textposition": "outside",
        "marker": {"colors": colors, "line": {"color": plot.theme.ground, "width": 2}},
        "hovertemplate": f"%{{label}}<br>%{{value:{number}}} (%{{percent}})<extra></extra>",
        "domain": {"x": [0.1, 0.9], "y": [0.05, 0.95]},
    }
    middle = {
        "text": f"<b>{_total(sizes, number)}</b><br>{safe(plot.title(measure)).lower()}",
        "x": 0.5,
        "y": 0.5,
        "showarrow": False,
        "font": {"size": 16, "color": plot.theme.ink},
    }
    notes = (told(plot, [slices], [measure], done),) if done else ()
    return Drawing((trace,), {"showlegend": False, "annotations": [middle]}, notes)


def _total(sizes: pd.Series[Any], number: str) -> str:
    total = float(sizes.sum())
    return f"{total:,.0f}" if number.endswith("0f") or total >= 1_000 else f"{total:,.4g}"
