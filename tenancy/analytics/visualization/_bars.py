"""Bars, beside or upon one another: along time upright, along categories lying when their names are long or many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tenancy.analytics.visualization import _along
from tenancy.analytics.visualization._data import ColumnKind, kind_of
from tenancy.analytics.visualization._measures import is_additive
from tenancy.analytics.visualization._plot import Drawing, Plot, values
from tenancy.analytics.visualization._series import MOST_SERIES, Series, Table, series_of

MOST_CATEGORIES = 30


def bars(plot: Plot, *, stacked: bool) -> Drawing:
    """The bars of both kinds of bar chart."""
    limit = plot.config.limit
    by_category = plot.kind(plot.fields.x) is ColumnKind.CATEGORY
    table = series_of(plot, MOST_SERIES if by_category else limit or MOST_SERIES)
    if by_category:
        table = _ordered(plot, table, limit or MOST_CATEGORIES)
    lying = by_category and _reads_better_lying(table)
    number = _along.measure_format(plot, table)
    along, measured = ("y", "x") if lying else ("x", "y")
    one_gets_grey = len(table.series) == 1 and by_category and plot.config.type == "bar"
    traces = []
    for index, series in enumerate(table.series):
        color: Any = _along.color(plot, series, index)
        if one_gets_grey and len(table.x) and _is_rest(table.x.iloc[-1]):
            color = [color] * (len(table.x) - 1) + [plot.theme.other]
        traces.append(
            {
                "type": "bar",
                "name": series.name,
                "orientation": "h" if lying else "v",
                along: values(table.x),
                measured: values(series.y),
                "marker": {"color": color, "line": {"width": 0}},
                "hovertemplate": f"%{{{measured}:{number}}}",
            }
        )
    layout: dict[str, Any] = _along.layout(plot, table, number)
    layout |= {"barmode": "stack" if stacked else "group", "bargap": 0.25, "bargroupgap": 0.05, "barcornerradius": 2}
    layout["yaxis"] |= {"rangemode": "tozero"}
    if kind_of(table.x) is ColumnKind.CATEGORY:
        layout["xaxis"] |= {"categoryorder": "array", "categoryarray": values(table.x), "showline": False}
    if lying:
        upright, flat = layout["yaxis"], layout["xaxis"]
        # Plotly counts upwards; the first category belongs at the top.
        layout["yaxis"] = {**flat, "autorange": "reversed", "showgrid": False, "title": {"text": ""}}
        layout["xaxis"] = {**upright, "showgrid": True, "showline": False}
        layout["hovermode"] = "y unified"
    return Drawing(tuple(traces), layout, table.notes)


def _is_rest(name: object) -> bool:
    return isinstance(name, str) and name.startswith("other (")


def _reads_better_lying(table: Table) -> bool:
    return len(table.x) > 10 or max((len(str(name)) for name in table.x), default=0) > 14


def _ordered(plot: Plot, table: Table, most: int) -> Table:
    """Categories in order, those beyond `most` together where they may be."""
    additive = all(is_additive(measure, plot.config) for measure in plot.fields.y)
    height = pd.concat([series.y for series in table.series], axis=1)
    total = height.sum(axis=1, min_count=1) if additive else height.max(axis=1)
    ranked = total.sort_values(ascending=False, na_position="last", kind="stable").index
    kept, rest = ranked[:most], ranked[most:]
    if plot.config.sort == "data":
        kept = kept.sort_values()
    elif plot.config.sort == "label":
        kept = kept[np.argsort([str(table.x[i]).casefold() for i in kept], kind="stable")]
    x, notes = [table.x[i] for i in kept], table.notes
    series = [Series(s.name, s.y.loc[kept].reset_index(drop=True), s.is_other) for s in table.series]
    sums = [s.y.loc[rest].sum(min_count=1) for s in table.series]
    if len(rest) and not additive:
        notes = (*notes, f"The {most} greatest of {len(ranked):,} are shown.")
    elif len(rest) and np.nansum(sums) > total.max():
        # A bar of all others that dwarfs every single one would hide what the chart is for.
        notes = (
            *notes,
            f"The {most} greatest of {len(ranked):,} are shown; the others are {np.nansum(sums):,.6g} together.",
        )
    elif len(rest):
        x.append(f"other ({len(rest):,})")
        series = [
            Series(s.name, pd.concat([s.y, pd.Series([more])], ignore_index=True), s.is_other)
            for s, more in zip(series, sums, strict=True)
        ]
    return Table(pd.Series(x, dtype=object), tuple(series), notes)
