"""From rows to series: one for each group or measure, the smaller ones together as "other", gaps kept as gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenancy.analytics.visualization._data import ColumnKind, kind_of
from tenancy.analytics.visualization._fields import require_numbers
from tenancy.analytics.visualization._measures import combine, is_additive, told
from tenancy.analytics.visualization._plot import Plot, names
from tenancy.analytics.visualization._text import safe

MOST_SERIES = 12
MOST_PLACES = 20_000
"""Places of a time axis; a finer one is drawn as it comes."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one colour."""

    name: str
    """Safe to show."""
    y: pd.Series[Any]
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Series over one x axis, the one with the greatest total first."""

    x: pd.Series[Any]
    series: tuple[Series, ...]
    notes: tuple[str, ...]


def series_of(plot: Plot, most: int = MOST_SERIES) -> Table:
    """The series that a plot's rows hold, at most `most` of them and one of all others."""
    fields, frame, notes = plot.fields, plot.frame, []
    for measure in fields.y:
        require_numbers("y_axis", measure, frame)
    if plot.kind(fields.x) is not ColumnKind.CATEGORY and bool(frame[fields.x].isna().any()):
        lost = int(frame[fields.x].isna().sum())
        notes.append(f"{lost:,} {'row' if lost == 1 else 'rows'} without {fields.x!r} left out.")
        frame = frame[frame[fields.x].notna()]
    keys = [fields.x] + ([fields.group] if fields.group and fields.group != fields.x else [])
    rows, done = combine(frame, keys, list(fields.y), plot.config)
    if done:
        notes.append(told(plot, keys, list(fields.y), done))
    if kind_of(rows[fields.x]) is ColumnKind.CATEGORY:
        rows = rows.assign(**{fields.x: names(rows[fields.x])})
    x = places(rows[fields.x])
    series: list[Series] = []
    for measure in fields.y:
        title = safe(plot.title(measure))
        if fields.group is None:
            series.append(Series(title, _over(x, rows[fields.x], rows[measure])))
            continue
        for group, part in rows.groupby(names(rows[fields.group]), sort=False):
            name = str(group) if len(fields.y) == 1 else f"{group} · {title}"
            series.append(Series(name, _over(x, part[fields.x], part[measure])))
    shown, note = _greatest(series, most, all(is_additive(m, plot.config) for m in fields.y), plot)
    return Table(x, shown, (*notes, *note))


def places(x: pd.Series[Any]) -> pd.Series[Any]:
    """The places of the x axis: categories as they come, numbers in order, times in steps that skip nothing."""
    if kind_of(x) is ColumnKind.CATEGORY:
        return pd.Series(x.unique(), dtype=object)
    there = pd.Series(np.sort(x.unique()))
    if kind_of(x) is not ColumnKind.TIME or len(there) < 3:
        return there
    steps = there.diff().dropna()
    step = steps.min()
    if (steps % step == pd.Timedelta(0)).all():
        # A few rows far apart are no grid with millions of gaps.
        if (there.iloc[-1] - there.iloc[0]) / step > min(MOST_PLACES, 10 * len(there) + 100):
            return there
        return pd.Series(pd.date_range(there.iloc[0], there.iloc[-1], freq=step))
    if step >= pd.Timedelta(days=28) and (there == there.dt.to_period("M").dt.start_time).all():
        grid = pd.date_range(there.iloc[0], there.iloc[-1], freq="MS")
        # Quarters and years begin with months too, but the months within them are not gaps.
        months = grid.get_indexer(pd.DatetimeIndex(there))
        return pd.Series(grid[:: int(np.gcd.reduce(np.diff(months)))])
    return there


def _over(x_axis: pd.Series[Any], x: pd.Series[Any], y: pd.Series[Any]) -> pd.Series[Any]:
    held = pd.Series(y.to_numpy(), index=pd.Index(x))
    return held.reindex(pd.Index(x_axis)).reset_index(drop=True)


def _greatest(
    series: list[Series], most: int, additive: bool, plot: Plot
) -> tuple[tuple[Series, ...], tuple[str, ...]]:
    if plot.fields.group is None:
        return tuple(series), ()
    # Averages are not added up; the greatest average leads.
    ranked = sorted(series, key=lambda s: -np.nan_to_num(s.y.sum() if additive else s.y.mean()))
    if len(ranked) <= most:
        return tuple(ranked), ()
    head, tail = ranked[:most], ranked[most:]
    if not additive or len(plot.fields.y) > 1:
        return tuple(head), (f"The {most} greatest of {len(ranked):,} series are shown.",)
    rest = pd.concat([s.y for s in tail], axis=1).sum(axis=1, min_count=1)
    return (*head, Series(f"other ({len(tail):,})", rest, is_other=True)), ()
