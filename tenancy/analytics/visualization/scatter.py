"""Scatter: one point a row, for how two measures go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from tenancy.analytics.visualization._data import ColumnKind, kind_of
from tenancy.analytics.visualization._fields import require_numbers
from tenancy.analytics.visualization._plot import Drawing, Plot, names, values
from tenancy.analytics.visualization._series import MOST_SERIES
from tenancy.analytics.visualization._text import number_format, safe
from tenancy.analytics.visualization._theme import colorbar

MOST_POINTS = 5_000
"""More hide one another and make a browser slow."""

_LARGEST_PX = 36


def draw(plot: Plot) -> Drawing:
    """One point a row, coloured by a number's size or a group's name; large data by a fair sample."""
    config, (x, y), notes = plot.config, (plot.fields.x, plot.fields.y[0]), []
    require_numbers("y_axis", y, plot.frame)
    frame = plot.frame[plot.frame[x].notna() & plot.frame[y].notna()]
    if len(frame) < len(plot.frame):
        notes.append(f"{len(plot.frame) - len(frame):,} rows without a value left out.")
    if config.size:
        require_numbers("size", config.size, frame)
        frame = frame.sort_values(config.size, ascending=False, kind="stable")
    most = config.limit or MOST_POINTS
    if len(frame) > most:
        notes.append(f"{most:,} of {len(frame):,} points, drawn at random; the outermost are kept.")
        frame = _sample(frame, [name for name in (x, y) if kind_of(frame[name]) is not ColumnKind.CATEGORY], most)
    group = config.group_by
    if group is None and config.color and kind_of(frame[config.color]) is ColumnKind.CATEGORY:
        group = config.color
    traces = [_trace(plot, part, name, color) for name, part, color in _parts(plot, frame, group)]
    layout: dict[str, Any] = {
        "xaxis": {**plot.axis(x, frame[x]), "showgrid": True},
        "yaxis": plot.axis(y, frame[y]),
        "hovermode": "closest",
        "showlegend": group is not None,
    }
    if group is not None:
        layout["legend"] = {"title": {"text": safe(plot.title(group))}, "itemsizing": "constant"}
    return Drawing(tuple(traces), layout, tuple(notes))


def _parts(plot: Plot, frame: pd.DataFrame, group: str | None) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Points by group, the group with most points first, so that it lies below the others."""
    if group is None:
        yield safe(plot.title(plot.fields.y[0])), frame, plot.theme.color(0)
        return
    labels = names(frame[group])
    ranked = labels.value_counts().index
    for index, name in enumerate(ranked[:MOST_SERIES]):
        yield str(name), frame[labels == name], plot.theme.color(index)
    rest = frame[labels.isin(ranked[MOST_SERIES:])]
    if len(rest):
        yield f"other ({len(ranked) - MOST_SERIES:,})", rest, plot.theme.other


def _trace(plot: Plot, frame: pd.DataFrame, name: str, color: str) -> dict[str, Any]:
    config, (x, y) = plot.config, (plot.fields.x, plot.fields.y[0])
    marker: dict[str, Any] = {"color": color, "size": 7, "opacity": 0.75 if len(frame) < 500 else 0.45}
    marker["line"] = {"width": 0.5, "color": plot.theme.ground}
    lines = [_shown(plot, x, "x"), _shown(plot, y, "y")]
    custom: list[list[Any]] = []
    if config.size:
        largest = float(plot.frame[config.size].abs().max())
        size = frame[config.size].abs().fillna(0)
        # Areas, not diameters, are what the eye compares.
        marker |= {"size": values(size), "sizemode": "area", "sizemin": 2}
        marker["sizeref"] = 2 * max(largest, 1e-300) / _LARGEST_PX**2
        lines.append(f"{safe(plot.title(config.size))}: %{{marker.size:{number_format(size.to_numpy())}}}")
    if config.color and kind_of(frame[config.color]) is ColumnKind.NUMBER:
        shade = frame[config.color]
        bar = colorbar(plot.theme, safe(plot.title(config.color)), ",~f")
        marker |= {"color": values(shade), "colorscale": [list(stop) for stop in plot.theme.scale], "colorbar": bar}
        marker["line"] = {"width": 0.5, "color": plot.theme.quiet}
        lines.append(f"{safe(plot.title(config.color))}: %{{marker.color:{number_format(shade.to_numpy())}}}")
    for column in frame.columns:
        if kind_of(frame[column]) is ColumnKind.CATEGORY and column not in (x, y):
            lines.append(f"{safe(plot.title(column)).replace('%', '&#37;')}: %{{customdata[{len(custom)}]}}")
            custom.append(list(names(frame[column])))
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": values(frame[x]) if kind_of(frame[x]) is not ColumnKind.CATEGORY else list(names(frame[x])),
        "y": values(frame[y]),
        "marker": marker,
        "customdata": [list(row) for row in zip(*custom, strict=True)] if custom else None,
        "hovertemplate": "<br>".join(lines) + "<extra>%{fullData.name}</extra>",
    }


def _shown(plot: Plot, column: str, axis: str) -> str:
    title = safe(plot.title(column))
    if plot.kind(column) is ColumnKind.NUMBER:
        number = plot.format(column) if axis == "y" else number_format(plot.frame[column].to_numpy())
        return f"{title}: %{{{axis}:{number}}}"
    return f"{title}: %{{{axis}}}"


def _sample(frame: pd.DataFrame, measured: list[str], most: int) -> pd.DataFrame:
    """`most` rows drawn evenly, the same ones each time, with those at the ends of either axis."""
    ends = {int(position) for name in measured for position in _ends(frame[name].to_numpy())}
    drawn = np.random.default_rng(0).permutation(len(frame))
    chosen = [*ends, *(p for p in drawn[: most + len(ends)].tolist() if p not in ends)][:most]
    return frame.iloc[np.sort(np.array(chosen))]


def _ends(column: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    return np.argmin(column), np.argmax(column)
