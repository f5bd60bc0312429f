"""Which columns a chart draws, and what is done where one of them is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from tenancy.analytics.errors import InvalidRequestError, UnknownNameError, near
from tenancy.analytics.visualization._data import ColumnKind, kind_of
from tenancy.analytics.visualization._text import title_of
from tenancy.analytics.visualization.config import ChartConfig, ChartType

TIME_AXES = frozenset(
    ("date", "time", "timestamp", "event_time", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
)

_ALONG = frozenset((ChartType.LINE, ChartType.AREA, ChartType.BAR, ChartType.STACKED_BAR))


@dataclass(frozen=True, slots=True)
class Fields:
    """The columns drawn, each of them in the data; `note` says what was done to find them."""

    x: str
    y: tuple[str, ...]
    group: str | None
    note: str = ""
    """Told to those who see the chart."""
    stands_in: bool = False
    """Whether the x axis shows the groups, for want of the time that was asked for."""


def fields_of(config: ChartConfig, frame: pd.DataFrame) -> Fields:
    """The columns that `config` names, checked against the data.

    Rows of an aggregation by genre have no `date` to run along. A chart asked to run along a time that is not there,
    with a group that is, shows the groups, and its note says why.
    Raises UnknownNameError with the columns there are, InvalidRequestError for a column that is not named.
    """
    columns = [str(name) for name in frame.columns]
    if config.x_axis is None:
        raise InvalidRequestError("chart_config.x_axis", None, f"name a column of the data: {listing(columns)}")
    if not config.y_axis:
        numbers = [name for name in columns if kind_of(frame[name]) is ColumnKind.NUMBER]
        raise InvalidRequestError("chart_config.y_axis", None, f"name a column of numbers: {listing(numbers)}")
    fields = Fields(config.x_axis, config.y_axis, config.group_by)
    if len(frame) == 0 and not columns:
        return fields
    group = config.group_by
    if (
        config.x_axis not in columns
        and config.x_axis in TIME_AXES
        and group in columns
        and config.type in _ALONG
        and group is not None
    ):
        shown = title_of(group).lower()
        note = (
            f"The rows have no {config.x_axis!r}, so they are shown by {shown}; "
            "query a time series for the course over time."
        )
        fields = replace(fields, x=group, group=None, note=note, stands_in=True)
    for name in (fields.x, *fields.y, fields.group, config.color, config.size):
        if name is not None:
            require(name, columns)
    return fields


def require(name: str, columns: list[str]) -> None:
    """Raises UnknownNameError where no column is called so."""
    if name not in columns:
        raise UnknownNameError("chart field", name, near(name, columns), f"the data have {listing(columns)}")


def require_numbers(place: str, name: str, frame: pd.DataFrame) -> None:
    """Raises InvalidRequestError where a column that is drawn as numbers holds something else."""
    kind = kind_of(frame[name])
    if kind is not ColumnKind.NUMBER:
        remedy = f"its values are {kind.value}, and a chart needs numbers there"
        raise InvalidRequestError(f"chart_config.{place}", name, remedy)


def listing(columns: list[str]) -> str:
    """Names for an error message.

    >>> listing(["genre", "artist"])
    "'genre', 'artist'"
    """
    if not columns:
        return "it has none"
    shown = ", ".join(map(repr, columns[:20]))
    return shown if len(columns) <= 20 else f"{shown} and {len(columns) - 20} more"
