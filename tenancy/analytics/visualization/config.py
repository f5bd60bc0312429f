"""What a chart is asked to be: its type, the columns it draws, and how it is to look."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tenancy.analytics.errors import InvalidRequestError, near


class ChartType(StrEnum):
    """The charts there are."""

    LINE = "line"
    AREA = "area"
    BAR = "bar"
    STACKED_BAR = "stacked_bar"
    SCATTER = "scatter"
    PIE = "pie"
    HEATMAP = "heatmap"
    TABLE = "table"


def _listed(given: object) -> object:
    return (given,) if isinstance(given, str) else given


Columns: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(max_length=100)]
Locale: TypeAlias = Literal["en", "de", "fr", "es", "it", "pt", "nl", "sv", "ch"]


class ChartConfig(BaseModel):
    """One chart. Columns are named as in the data.

    >>> ChartConfig(type="line", x_axis="date", y_axis="play_count", group_by="genre").y_axis
    ('play_count',)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    type: ChartType
    title: str = Field(default="", max_length=500)
    description: str = Field(default="", max_length=2_000)
    """For those who cannot see the chart; made from its columns where none is given."""
    x_axis: str | None = None
    """What runs along the bottom; the slices of a pie; the columns of a heatmap."""
    y_axis: Columns = ()
    """The measure, or several; the colour of a heatmap's cells; the columns of a table, all where none is named."""
    group_by: str | None = None
    """One series for each value; the rows of a heatmap."""
    color: str | None = None
    """Scatter: the column that colours the points, a scale for numbers and a series each for texts."""
    size: str | None = None
    """Scatter: the column the points' areas show."""
    limit: int | None = Field(default=None, ge=1, le=10_000)
    """The most series, bars of a category axis, slices, rows or points drawn; each chart has a sensible one."""
    sort: Literal["value", "label", "data"] | None = None
    """Order of a category axis: greatest first (bars, by default), by name, or as the data come."""
    additive: bool | None = None
    """Whether values of the measure may be added up; told from its name (`avg_x` may not) where not said."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Titles of columns, where the names are not good enough."""
    theme: Literal["light", "dark"] = "light"
    locale: Locale = "en"
    """How numbers are written: 1,234.5 or 1.234,5 or 1 234,5."""
    number_format: str | None = Field(default=None, pattern=r"^[-+ (]?[$]?0?[0-9]{0,2},?(\.[0-9]{1,2})?~?[a-zA-Z%]?$")
    """A d3 number format for the measure, as `,.1f` or `.0%`."""
    height: int | None = Field(default=None, ge=100, le=10_000)
    """In pixels; as high as its surroundings where none is given."""


def chart_config(given: ChartConfig | Mapping[str, Any]) -> ChartConfig:
    """The configuration that `given` is.

    >>> chart_config({"type": "lines"})
    Traceback (most recent call last):
    tenancy.analytics.errors.InvalidRequestError: chart_config.type: 'lines' is not valid; did you mean 'line'?

    Raises InvalidRequestError that names the key, its value, and what would be right.
    """
    if isinstance(given, ChartConfig):
        return given
    if not isinstance(given, Mapping):
        raise InvalidRequestError("chart_config", given, "give a mapping such as {'type': 'line', 'x_axis': 'date'}")
    try:
        return ChartConfig.model_validate(dict(given))
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> InvalidRequestError:
    first = error.errors(include_url=False)[0]
    place = ".".join(["chart_config", *map(str, first["loc"])])
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "missing":
        return InvalidRequestError(place, None, f"give one of {', '.join(map(repr, map(str, ChartType)))}")
    if first["type"] == "extra_forbidden":
        close = near(name, ChartConfig.model_fields) or tuple(ChartConfig.model_fields)
        return InvalidRequestError(place, first["input"], f"did you mean {' or '.join(map(repr, close))}?")
    if name == "type":
        kinds = [str(kind) for kind in ChartType]
        close = near(str(first["input"]), kinds, most=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"give one of {', '.join(map(repr, kinds))}"
        return InvalidRequestError(place, first["input"], remedy)
    return InvalidRequestError(place, first["input"], first["msg"][0].lower() + first["msg"][1:])
