"""Time ranges: half-open, given by their ends or relative to now, resolved to instants.

Ends are ISO 8601 dates or datetimes; one without an offset is meant in the query's time zone. Relative ranges are
`today`, `yesterday`, `this_<unit>` and `last_<unit>` (whole calendar units in the query's time zone, a week from
Monday) and `last_<n>_<units>`, which ends now and begins exactly so much earlier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BaseModel, ConfigDict

from tenancy.analytics.errors import InvalidRequestError, UnknownNameError, near

UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")

_ROLLING = re.compile(rf"last_([1-9][0-9]{{0,5}})_({'|'.join(UNITS)})s?")
_CALENDAR = re.compile(rf"(this|last)_({'|'.join(UNITS)})")
_FIXED = {"second": 1, "minute": 60, "hour": 3600}


class TimeRange(BaseModel):
    """From `start` on and before `end`; an end left out is open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime | date | str | None = None
    end: datetime | date | str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """Instants in UTC: from `start` on and before `end`."""

    start: datetime | None = None
    end: datetime | None = None


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of this name. Raises UnknownNameError with near matches."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        remedy = "give an IANA name such as 'Europe/Berlin'"
        raise UnknownNameError("time zone", name, near(name, available_timezones()), remedy) from None


def resolve(given: TimeRange | str | None, zone: ZoneInfo, now: datetime) -> Interval:
    """The instants that `given` means at `now`.

    >>> now = datetime(2025, 7, 15, 12, tzinfo=UTC)
    >>> resolve("yesterday", ZoneInfo("Europe/Berlin"), now).start.isoformat()
    '2025-07-13T22:00:00+00:00'

    Raises InvalidRequestError for a range that is empty, reversed, or not of a form known.
    """
    if given is None:
        return Interval()
    if isinstance(given, str):
        return _relative(given, zone, now)
    start = None if given.start is None else instant("time_range.start", given.start, zone)
    end = None if given.end is None else instant("time_range.end", given.end, zone)
    if start is not None and end is not None and start >= end:
        remedy = "the range is half-open, so its end must be after its start"
        raise InvalidRequestError("time_range", f"{given.start} to {given.end}", remedy)
    return Interval(start, end)


def instant(place: str, given: object, zone: ZoneInfo) -> datetime:
    """The instant in UTC that an ISO 8601 text, a date or a datetime means, in `zone` where it names none.

    Raises InvalidRequestError that names `place`.
    """
    try:
        value = datetime.fromisoformat(given) if isinstance(given, str) else given
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # told below, with what would have been right
    raise InvalidRequestError(place, given, "give an ISO 8601 date or datetime such as '2025-07-01T12:00:00Z'")


def _relative(given: str, zone: ZoneInfo, now: datetime) -> Interval:
    named = {"today": "this_day", "yesterday": "last_day"}.get(given, given)
    try:
        if rolling := _ROLLING.fullmatch(named):
            return Interval(_earlier(now, int(rolling[1]), rolling[2], zone), now.astimezone(UTC))
        if calendar := _CALENDAR.fullmatch(named):
            this = floor(now, calendar[2], zone)
            if calendar[1] == "this":
                return Interval(this, following(this, calendar[2], zone))
            return Interval(floor(this - timedelta(microseconds=1), calendar[2], zone), this)
    except (OverflowError, ValueError):
        raise InvalidRequestError("time_range", given, "it reaches back before the year 1") from None
    known = ["today", "yesterday", "last_7_days", "last_30_days", "last_24_hours", "last_12_months"]
    known += [f"{which}_{unit}" for which in ("this", "last") for unit in UNITS]
    close = near(given, known) or ("last_7_days", "this_month")
    remedy = f"give {{'start': …, 'end': …}}, or a relative range such as {' or '.join(map(repr, close))}"
    raise InvalidRequestError("time_range", given, remedy)


def _earlier(now: datetime, count: int, unit: str, zone: ZoneInfo) -> datetime:
    if unit in _FIXED:
        return (now - timedelta(seconds=count * _FIXED[unit])).astimezone(UTC)
    local = now.astimezone(zone)
    if unit in ("day", "week"):
        return (local - timedelta(days=count * (7 if unit == "week" else 1))).astimezone(UTC)
    months = local.year * 12 + local.month - 1 - count * {"month": 1, "quarter": 3, "year": 12}[unit]
    last_day = (date(months // 12 + (months % 12 == 11), (months + 1) % 12 + 1, 1) - timedelta(days=1)).day
    earlier = local.replace(year=months // 12, month=months % 12 + 1, day=min(local.day, last_day))
    return earlier.astimezone(UTC)


def floor(moment: datetime, unit: str, zone: ZoneInfo) -> datetime:
    """The beginning, as an instant in UTC, of the second … year of `zone` that `moment` is in."""
    local = moment.astimezone(zone)
    if unit in _FIXED:
        # Subtracted from the instant, so that the two hours of a clock set back stay two hours.
        seconds = local.hour * 3600 + local.minute * 60 + local.second
        within = timedelta(seconds=seconds % _FIXED[unit], microseconds=local.microsecond)
        return moment.astimezone(UTC) - within
    return midnight(floor_date(local.date(), unit), zone)


def floor_date(day: date, unit: str) -> date:
    """The first day of the day, week, month, quarter or year that `day` is in."""
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(month=1, day=1) if unit == "year" else day


def following(start: datetime, unit: str, zone: ZoneInfo) -> datetime:
    """The beginning of the next unit after the one that begins at `start`."""
    if unit in _FIXED:
        # A clock set forward or back by less than the unit ends it early, hence the second floor.
        return floor(start + timedelta(seconds=_FIXED[unit]), unit, zone)
    return midnight(following_date(start.astimezone(zone).date(), unit), zone)


def following_date(day: date, unit: str) -> date:
    """The first day of the next unit after the one that begins on `day`."""
    reach = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[unit]
    return floor_date(day + timedelta(days=reach), unit)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which `day` begins in `zone`."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
