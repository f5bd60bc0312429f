"""Table: the rows themselves, numbers to the right."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenancy.analytics.visualization._data import NO_VALUE, ColumnKind
from tenancy.analytics.visualization._fields import require
from tenancy.analytics.visualization._plot import Drawing, Plot, names, values
from tenancy.analytics.visualization._text import number_format, safe

MOST_ROWS = 500


def draw(plot: Plot) -> Drawing:
    """The columns named, in the order x, group, y; all of them where no y is named."""
    config, frame, theme = plot.config, plot.frame, plot.theme
    named = [name for name in (config.x_axis, config.group_by, *config.y_axis) if name is not None]
    columns = list(dict.fromkeys(named)) if config.y_axis else [str(name) for name in frame.columns]
    for name in named:
        require(name, [str(column) for column in frame.columns])
    most = config.limit or MOST_ROWS
    notes = (f"The first {most:,} of {len(frame):,} rows.",) if len(frame) > most else ()
    frame = frame.head(most)
    cells: list[list[Any]] = []
    formats, sides, widths = [], [], []
    for name in columns:
        is_number = plot.kind(name) is ColumnKind.NUMBER
        held = values(frame[name]) if is_number else [v if v != NO_VALUE else "–" for v in names(frame[name])]
        cells.append(["–" if v is None else v for v in held])
        formats.append((config.number_format or _plain(frame[name].to_numpy(np.float64))) if is_number else "")
        sides.append("right" if is_number else "left")
        longest = max([len(plot.title(name)), *(len(str(v)) for v in held[:100])])
        widths.append(min(40, max(8, longest)))
    band = [theme.ground if row % 2 == 0 else theme.band for row in range(len(frame))]
    trace: dict[str, Any] = {
        "type": "table",
        "columnwidth": widths,
        "header": {
            "values": [f"<b>{safe(plot.title(name))}</b>" for name in columns],
            "align": sides,
            "fill": {"color": theme.ground},
            "line": {"color": theme.grid, "width": 1},
            "font": {"color": theme.ink, "size": 13},
            "height": 34,
        },
        "cells": {
            "values": cells,
            "format": formats,
            "align": sides,
            "fill": {"color": [band]},
            "line": {"color": theme.grid, "width": 0},
            "font": {"color": theme.ink, "size": 13},
            "height": 32,
        },
    }
    return Drawing((trace,), {"margin": {"l": 0, "r": 0}}, notes)


def _plain(column: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    finite = column[np.isfinite(column)]
    is_year = len(finite) > 0 and bool(((finite >= 1800) & (finite <= 2200) & (finite == np.round(finite))).all())
    return "d" if is_year else number_format(column)
