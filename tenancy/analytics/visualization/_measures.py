"""How values of a measure that fall on one place of a chart become one."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from tenancy.analytics.visualization._data import ColumnKind, kind_of
from tenancy.analytics.visualization._plot import Plot
from tenancy.analytics.visualization.config import ChartConfig

_NOT_ADDITIVE = re.compile(
    r"(avg|mean|median|min|max|distinct|p\d+|rate|ratio|share|pct|percent)(_.*)?|.*_(avg|mean|median|rate|ratio|share|pct|percent)"
)


def is_additive(measure: str, config: ChartConfig) -> bool:
    """Whether a total of its values means anything.

    >>> chart = ChartConfig(type="bar")
    >>> is_additive("play_count", chart), is_additive("avg_duration", chart), is_additive("skip_rate", chart)
    (True, False, False)
    """
    if config.additive is not None:
        return config.additive
    return _NOT_ADDITIVE.fullmatch(measure) is None


def combine(frame: pd.DataFrame, keys: list[str], measures: list[str], config: ChartConfig) -> tuple[pd.DataFrame, str]:
    """One row for each value of `keys`, in order of first appearance, and the word for what was done ("" if nothing).

    Sums and counts are added, the least of minima and the greatest of maxima taken. Averages and quantiles cannot
    be had from averages and quantiles: their plain mean is shown, and the chart says so.
    """
    if not frame.duplicated(keys).any():
        return frame[[*keys, *measures]], ""
    words: list[str] = []
    ways: dict[str, Any] = {}
    for measure in measures:
        way = _way(measure, config)
        words.append(_WORDS[way])
        # A sum of nothing is nothing, not zero.
        ways[measure] = (lambda column: column.sum(min_count=1)) if way == "sum" else way
    groups = frame.groupby(keys, sort=False, dropna=False)
    return groups[measures].agg(ways).reset_index()[[*keys, *measures]], " and ".join(dict.fromkeys(words))


def told(plot: Plot, keys: list[str], measures: list[str], done: str) -> str:
    """The note that says what `combine` did, over which dimensions."""
    over = [
        plot.title(str(name)).lower()
        for name in plot.frame.columns
        if name not in (*keys, *measures)
        and kind_of(plot.frame[name]) is not ColumnKind.NUMBER
        and plot.frame[name].nunique(dropna=False) > 1
    ]
    what = " and ".join(plot.title(measure) for measure in measures)
    return f"{what}: {done} over {' and '.join(over) if over else 'rows of the same place'}."


_WORDS = {"sum": "summed", "min": "least", "max": "greatest", "mean": "plain mean"}


def _way(measure: str, config: ChartConfig) -> str:
    if is_additive(measure, config):
        return "sum"
    if measure.startswith(("min_", "max_")):
        return measure[:3]
    return "mean"
