"""VisualizationEngine: from a configuration and rows to a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenancy.analytics.visualization import area, bar, heatmap, line, pie, scatter, stacked_bar, table
from tenancy.analytics.visualization._data import frame_of, unwrapped, zone_of
from tenancy.analytics.visualization._fields import Fields, fields_of
from tenancy.analytics.visualization._plot import Draw, Drawing, Plot
from tenancy.analytics.visualization._text import SEPARATORS, wrapped
from tenancy.analytics.visualization._theme import base_layout
from tenancy.analytics.visualization.chart import Chart
from tenancy.analytics.visualization.config import ChartConfig, ChartType, chart_config

CHARTS: Mapping[ChartType, Draw] = {
    ChartType.LINE: line.draw,
    ChartType.AREA: area.draw,
    ChartType.BAR: bar.draw,
    ChartType.STACKED_BAR: stacked_bar.draw,
    ChartType.SCATTER: scatter.draw,
    ChartType.PIE: pie.draw,
    ChartType.HEATMAP: heatmap.draw,
    ChartType.TABLE: table.draw,
}


class VisualizationEngine:
    """Draws charts. Holds nothing: one instance serves everybody.

    >>> rows = [{"date": "2025-07-01", "play_count": 3}, {"date": "2025-07-02", "play_count": 5}]
    >>> chart = VisualizationEngine().create(
    ...     {"type": "line", "title": "Plays", "x_axis": "date", "y_axis": "play_count"}, rows)
    >>> chart.data[0].y
    (3, 5)
    """

    def create(self, config: ChartConfig | Mapping[str, Any], data: object) -> Chart:
        """The chart of `data`: a list of dictionaries, an Arrow table, a pandas frame, or a query's result.

        Raises InvalidRequestError for a configuration or data that make no chart, and UnknownNameError for a column
        that the data do not have.
        """
        config = chart_config(config)
        rows = unwrapped(data)
        frame = frame_of(rows)
        if config.type is ChartType.TABLE:
            fields = Fields(config.x_axis or "", config.y_axis, config.group_by)
        else:
            fields = fields_of(config, frame)
        plot = Plot(config, frame, fields, zone_of(rows, fields.x))
        drawing = CHARTS[config.type](plot) if len(frame) else Drawing(())
        if _shows_nothing(drawing):
            drawing = _nothing(plot)
        return _chart(plot, drawing)


def _shows_nothing(drawing: Drawing) -> bool:
    """Whether there is no row, or no value in any."""
    for trace in drawing.traces:
        if trace["type"] == "table":
            return False
        held = trace.get("z") or trace.get("values") or trace.get("x" if trace.get("orientation") == "h" else "y") or ()
        if any(v is not None for row in held for v in (row if isinstance(row, list) else (row,))):
            return False
    return True


def _nothing(plot: Plot) -> Drawing:
    hidden = {"visible": False}
    text = {
        "text": "No data",
        "x": 0.5,
        "y": 0.5,
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "font": {"size": 20, "color": plot.theme.quiet},
    }
    return Drawing((), {"xaxis": hidden, "yaxis": hidden, "annotations": [text]}, ("No rows match.",))


def _chart(plot: Plot, drawing: Drawing) -> Chart:
    config, theme = plot.config, plot.theme
    notes = tuple(note for note in (plot.fields.note, *drawing.notes) if note)
    title = config.title or _title(plot)
    layout = base_layout(theme)
    for key, value in drawing.layout.items():
        layout[key] = {**layout[key], **value} if isinstance(layout.get(key), dict) else value
    for axis in ("xaxis", "yaxis"):
        if "title" in layout[axis]:
            layout[axis]["title"] = {**base_layout(theme)[axis]["title"], **layout[axis]["title"]}
    subtitle = "<br>".join(wrapped(note) for note in notes)
    lines = subtitle.count("<br>") + 1 if subtitle else 0
    has_legend_above = (layout.get("legend") or {}).get("orientation") == "h"
    layout["margin"] = {**layout["margin"], "t": 64 + 18 * lines + (28 if has_legend_above else 0)}
    layout["title"] = {
        "text": f"<b>{wrapped(title, 90)}</b>",
        "subtitle": {"text": subtitle, "font": {"size": 12, "color": theme.quiet}},
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        "pad": {"t": 18},
        "font": {"size": 18, "color": theme.ink},
    }
    layout["separators"] = SEPARATORS[config.locale]
    layout["height"] = config.height
    layout["meta"] = {
        "type": config.type.value,
        "title": title,
        "notes": list(notes),
        "description": config.description or _description(plot, drawing),
        "theme": config.theme,
        "quiet": theme.quiet,
    }
    return Chart(data=list(drawing.traces), layout=layout)


def _title(plot: Plot) -> str:
    if not plot.fields.y:
        return "Table"
    measured = " and ".join(plot.title(measure) for measure in plot.fields.y)
    return f"{measured} by {plot.title(plot.fields.x).lower()}"


def _description(plot: Plot, drawing: Drawing) -> str:
    kind = plot.config.type.value.replace("_", " ")
    if not drawing.traces:
        return f"An empty {kind} chart: no rows match."
    named = [str(trace.get("name", "")) for trace in drawing.traces if trace.get("name")]
    shown = f" Series, greatest first: {', '.join(named[:12])}." if len(named) > 1 else ""
    by = f" by {plot.title(plot.fields.x).lower()}" if plot.fields.x else ""
    what = " and ".join(plot.title(measure).lower() for measure in plot.fields.y) or "rows"
    return f"A {kind} chart of {what}{by}, from {len(plot.frame):,} rows.{shown}"
