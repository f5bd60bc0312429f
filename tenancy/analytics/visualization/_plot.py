"""What every chart is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from tenancy.analytics.visualization._data import NO_VALUE, ColumnKind, kind_of
from tenancy.analytics.visualization._fields import Fields
from tenancy.analytics.visualization._text import number_format, safe, title_of
from tenancy.analytics.visualization._theme import THEMES, Theme
from tenancy.analytics.visualization.config import ChartConfig


@dataclass(frozen=True, slots=True)
class Drawing:
    """Traces, what they change of the layout, and notes for those who see them."""

    traces: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart to be drawn: its configuration, its rows, and the columns to draw."""

    config: ChartConfig
    frame: pd.DataFrame
    fields: Fields
    zone: str | None = None
    """The time zone that times of the x axis are in."""

    @property
    def theme(self) -> Theme:
        return THEMES[self.config.theme]

    def title(self, column: str) -> str:
        """A column's title, as text."""
        return self.config.labels.get(column, title_of(column))

    def kind(self, column: str) -> ColumnKind:
        return kind_of(self.frame[column])

    def format(self, *columns: str, frame: pd.DataFrame | None = None) -> str:
        """The d3 format of measures."""
        if self.config.number_format:
            return self.config.number_format
        held = self.frame if frame is None else frame
        return number_format(held[list(columns)].to_numpy(np.float64).ravel())

    def axis(self, column: str, values: pd.Series[Any]) -> dict[str, Any]:
        """The layout of an axis that shows the values of a column."""
        title = safe(self.title(column))
        kind = kind_of(values)
        if kind is ColumnKind.TIME:
            clock = bool(len(values)) and bool((values != values.dt.normalize()).any())
            return {
                "type": "date",
                "title": {"text": f"{title} ({safe(self.zone)})" if clock and self.zone else title},
                "hoverformat": "%a %-d %b %Y, %H:%M" if clock else "%a %-d %b %Y",
            }
        if kind is ColumnKind.CATEGORY:
            return {"type": "category", "title": {"text": title}}
        return {"type": "linear", "title": {"text": title}} | _numeric_ticks(values.to_numpy(np.float64))


def _numeric_ticks(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    whole = bool(len(finite)) and bool((finite == np.round(finite)).all())
    if not whole:
        return {"tickformat": ",~f"} if len(finite) and np.abs(finite).max() >= 0.001 else {}
    low, high = float(finite.min()), float(finite.max())
    # A year is a name, not a quantity: 2,025 would be read as one.
    style = {"tickformat": "d"} if low >= 1800 and high <= 2200 else {"tickformat": ",d"}
    # Hours of a day, days of a week: every one gets its tick, and none in between.
    return style | ({"dtick": 1} if high - low <= 31 else {})


Draw: TypeAlias = Callable[[Plot], Drawing]


def names(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values as names of series or categories, safe to show; a missing one is called so."""
    kind = kind_of(values)
    if kind is ColumnKind.TIME:
        pattern = "%Y-%m-%d" if bool((values.dropna() == values.dropna().dt.normalize()).all()) else "%Y-%m-%d %H:%M"
        shown: pd.Series[Any] = values.dt.strftime(pattern).astype(object)
    elif kind is ColumnKind.NUMBER:
        shown = values.map(lambda v: None if pd.isna(v) else f"{v:.15g}").astype(object)
    else:
        shown = values
    return shown.where(values.notna(), NO_VALUE).map(safe)


def values(column: pd.Series[Any]) -> list[Any]:
    """A column as plain values: whole numbers without a fraction, None for what is missing, ISO 8601 for times."""
    if kind_of(column) is ColumnKind.TIME:
        return [None if pd.isna(v) else v.isoformat() for v in column]
    if kind_of(column) is ColumnKind.NUMBER:
        return [None if pd.isna(v) else int(v) if v.is_integer() and abs(v) < 2**53 else float(v) for v in column]
    return list(column)
