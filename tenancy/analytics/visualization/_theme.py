"""How charts look: colours that differ for every eye, quiet axes, one typeface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SERIES = (
    "#4477AA",
    "#EE6677",
    "#228833",
    "#CCBB44",
    "#66CCEE",
    "#AA3377",
    "#332288",
    "#EE8866",
    "#44AA99",
    "#882255",
    "#999933",
    "#77AADD",
)
"""Paul Tol's bright scheme, then colours of his muted and light ones (SRON/EPS/TN/09-002, issue 3.2)."""

SERIES_ON_DARK = (
    "#77AADD",
    "#EE8866",
    "#44BB99",
    "#EEDD88",
    "#99DDFF",
    "#FFAABB",
    "#BBCC33",
    "#AA99DD",
    "#AAAA00",
    "#DDAACC",
    "#88CCAA",
    "#DDDDDD",
)

DASHES = ("solid", "dash", "dot")
"""Lines beyond the sixth differ in their dash too, for those to whom colours are not enough."""

SCALE = ((0.0, "#f1f5fa"), (0.25, "#c3d5e8"), (0.5, "#84abd0"), (0.75, "#4477AA"), (1.0, "#1b3a5e"))
SCALE_ON_DARK = ((0.0, "#1d2733"), (0.25, "#27486b"), (0.5, "#3f76ad"), (0.75, "#77AADD"), (1.0, "#e3effb"))
"""One hue, lightness changing evenly: readable without colour vision and in print."""

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one ground."""

    ground: str
    ink: str
    quiet: str
    """For what is secondary: ticks, notes, the series of all others."""
    grid: str
    band: str
    """Behind every second row of a table."""
    series: tuple[str, ...]
    scale: tuple[tuple[float, str], ...]
    other: str

    def color(self, index: int) -> str:
        """The colour of the series at `index`."""
        return self.series[index % len(self.series)]


THEMES = {
    "light": Theme("#ffffff", "#1f2933", "#5b6773", "#e4e8ec", "#f6f8fa", SERIES, SCALE, "#b3bac1"),
    "dark": Theme("#12181f", "#e6ebf0", "#9aa7b4", "#2a333d", "#1a222b", SERIES_ON_DARK, SCALE_ON_DARK, "#66717c"),
}


def dash(index: int) -> str:
    """The dash of the line at `index`."""
    return DASHES[(index // 6) % len(DASHES)]


def faint(color: str) -> str:
    """The colour as a tint that lets the grid through.

    >>> faint("#4477AA")
    'rgba(68, 119, 170, 0.2)'
    """
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.2)"


def colorbar(theme: Theme, title: str, number: str) -> dict[str, Any]:
    """The key to a scale of shades."""
    return {
        "title": {"text": title, "font": {"size": 12, "color": theme.quiet}},
        "tickfont": {"size": 12, "color": theme.quiet},
        "tickformat": number,
        "outlinewidth": 0,
        "thickness": 12,
    }


def base_layout(theme: Theme) -> dict[str, Any]:
    """What all charts have in common."""
    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "zeroline": False,
        "ticks": "",
        "ticklabelstandoff": 6,
        "automargin": True,
        "tickfont": {"color": theme.quiet, "size": 12},
        "title": {"font": {"color": theme.quiet, "size": 13}, "standoff": 12},
    }
    return {
        # plotly.py adds 7 kB of its own template to every figure unless told not to.
        "template": {},
        "paper_bgcolor": theme.ground,
        "plot_bgcolor": theme.ground,
        "font": {"family": FONT, "color": theme.ink, "size": 13},
        "colorway": list(theme.series),
        "margin": {"l": 8, "r": 8, "t": 32, "b": 8},
        "xaxis": {**axis, "showgrid": False, "showline": True},
        "yaxis": {**axis, "showgrid": True, "showline": False},
        "hoverlabel": {
            "bgcolor": theme.ground,
            "bordercolor": theme.grid,
            "font": {"family": FONT, "color": theme.ink, "size": 13},
            "namelength": 40,
        },
        "legend": {"font": {"size": 12, "color": theme.ink}, "title": {"font": {"size": 12, "color": theme.quiet}}},
        # plotly.js 4 comes with a button that sends the chart's data to a service of its makers.
        "modebar": {"remove": ["sendChartToCloud", "lasso2d", "select2d", "autoScale2d"], "bgcolor": "rgba(0,0,0,0)"},
        "autosize": True,
    }
