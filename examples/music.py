"""Thirty days of music plays from a seeded generator: the same seed gives the same bytes.

Listeners have sessions, sessions have days and hours they prefer, songs have a popularity (Zipf). On top of that
things are planted, and `Music.planted` says exactly what: a genre that grows, an afternoon on which plays break off,
rows that are wrong in seven ways, and rows that are sent twice. Songs and artists are made of words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

START = datetime(2025, 7, 1, tzinfo=UTC)
DAYS = 30
SONGS, ARTISTS, USERS = 1_500, 180, 12_000

GENRES = ("pop", "rock", "hip-hop", "electronic", "folk", "jazz", "classical", "ambient", "metal", "latin")
GENRE_WEIGHTS = (0.2, 0.17, 0.15, 0.12, 0.09, 0.07, 0.06, 0.05, 0.05, 0.04)

ACTIONS = ("play_song", "skip_song", "like_song", "add_to_playlist", "share_song")
ACTION_WEIGHTS = (0.7, 0.18, 0.08, 0.03, 0.01)

DEVICES = ("android", "ios", "web", "speaker")
DEVICE_WEIGHTS = (0.42, 0.3, 0.18, 0.1)

COUNTRIES = {"US": (0.3, -6), "BR": (0.16, -3), "DE": (0.13, 2), "GB": (0.12, 1), "IN": (0.17, 5), "JP": (0.12, 9)}
"""Share of the listeners, and hours their clocks are ahead of UTC."""

HOURS = (3, 2, 1, 1, 1, 2, 4, 7, 8, 7, 6, 6, 7, 7, 7, 8, 9, 11, 13, 14, 14, 12, 9, 6)
WEEKDAYS = (0.9, 0.88, 0.92, 0.97, 1.15, 1.25, 1.1)
"""From Monday on."""

DIRTY = (
    "malformed_json",
    "type_conflict",
    "missing_required",
    "time_out_of_range",
    "invalid_time",
    "not_in_enum",
    "below_minimum",
)
"""What is wrong with the rows that are wrong: the codes they are refused with."""

_ADJECTIVES = "amber distant electric gentle golden hidden hollow midnight neon northern paper quiet silver velvet wild"
_NOUNS = (
    "anchors avenues foxes gardens harbours lanterns letters meadows mirrors oceans orchards rivers signals sparrows"
)
_VERBS = "after beneath beyond calling chasing counting dreaming finding leaving missing painting remembering waiting"


@dataclass(frozen=True, slots=True)
class Trend:
    """A genre that is played `factor` times as much, among all, on the last day as it would be."""

    genre: str
    factor: float


@dataclass(frozen=True, slots=True)
class Incident:
    """From `start` to `end` (half-open), plays in one country on one device break off within three seconds."""

    start: datetime
    end: datetime
    country: str
    device: str
    plays: int


@dataclass(frozen=True, slots=True)
class Planted:
    """What is in the rows, to hold receipts and findings against."""

    rows: int
    accepted: int
    duplicates: int
    dirty: Mapping[str, int]
    """Rows by the code they are refused with."""
    trend: Trend
    incident: Incident


@dataclass(frozen=True, slots=True)
class Music:
    """Songs, the lines of their plays in order of time, and what was planted."""

    songs: tuple[dict[str, str], ...]
    lines: tuple[bytes, ...]
    planted: Planted

    def batches(self, rows: int) -> Iterator[bytes]:
        """NDJSON bodies of `rows` lines each."""
        lines = iter(self.lines)
        while batch := list(islice(lines, rows)):
            yield b"\n".join(batch) + b"\n"


def tenant() -> dict[str, Any]:
    """The tenant's configuration: datasets with their rules, and the semantic model."""
    config: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("music.yaml").read_text())
    return config


def generate(rows: int = 500_000, seed: int = 1) -> Music:
    """`rows` lines, 2 % of them wrong and 1 % sent before.

    >>> music = generate(rows=1_000)
    >>> music.planted.accepted, music.planted.duplicates, sum(music.planted.dirty.values())
    (970, 10, 20)
    >>> music.songs[0]["song_id"]
    'song_0001'
    """
    random = np.random.default_rng(seed)
    duplicates, dirty = rows // 100, rows // 50
    songs, genre_of, length_ms = _songs(random)
    events = _events(random, rows - duplicates, genre_of, length_ms)
    lines = _lines(events)
    wrong = np.sort(random.choice(len(lines), dirty, replace=False))
    kinds = random.integers(len(DIRTY), size=dirty)
    for position, kind in zip(wrong.tolist(), kinds.tolist(), strict=True):
        lines[position] = _spoilt(lines[position], DIRTY[kind])
    right = np.setdiff1d(np.arange(len(lines)), wrong)
    again = random.choice(right, duplicates, replace=False)
    # A row that is sent again comes a little later, between others.
    order = np.concatenate([np.arange(len(lines)), again + random.integers(1, 400, duplicates) + 0.5])
    every = np.concatenate([np.arange(len(lines)), again])[np.argsort(order, kind="stable")]
    begin, end = (START + timedelta(days=_INCIDENT_DAY, hours=hour) for hour in _INCIDENT_HOURS)
    broken = int(np.isin(np.flatnonzero(events.broken), right).sum())
    planted = Planted(
        rows=len(every),
        accepted=len(right),
        duplicates=duplicates,
        dirty={code: int((kinds == number).sum()) for number, code in enumerate(DIRTY)},
        trend=Trend(_GROWING, _GROWTH),
        incident=Incident(begin, end, _INCIDENT_COUNTRY, _INCIDENT_DEVICE, broken),
    )
    return Music(songs, tuple(lines[position] for position in every.tolist()), planted)


_DURATION = '"duration":%d,'
_GROWING, _GROWTH = "ambient", 4.0
_INCIDENT_DAY, _INCIDENT_HOURS = 11, (12, 18)
_INCIDENT_COUNTRY, _INCIDENT_DEVICE = "BR", "android"
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Events:
    user: _Ints
    action: _Ints
    song: _Ints
    time_ms: _Ints
    """From the start."""
    duration: _Ints
    """Below zero where the action has none."""
    device: _Ints
    country: _Ints
    broken: npt.NDArray[np.bool_]


def _songs(random: np.random.Generator) -> tuple[tuple[dict[str, str], ...], _Ints, _Ints]:
    adjectives, nouns, verbs = _ADJECTIVES.split(), _NOUNS.split(), _VERBS.split()
    bands = [f"{adjective.title()} {noun.title()}" for adjective in adjectives for noun in nouns]
    artists = [bands[index] for index in random.choice(len(bands), ARTISTS, replace=False)]
    artist_genre = random.choice(len(GENRES), ARTISTS, p=GENRE_WEIGHTS)
    artist = random.integers(ARTISTS, size=SONGS)
    titles = [f"{verb.title()} {adjective} {noun}" for verb in verbs for adjective in adjectives for noun in nouns]
    title = random.choice(len(titles), SONGS, replace=False)
    songs = tuple(
        {
            "song_id": f"song_{number + 1:04}",
            "title": titles[title[number]],
            "artist": artists[artist[number]],
            "genre": GENRES[artist_genre[artist[number]]],
        }
        for number in range(SONGS)
    )
    return songs, artist_genre[artist], (random.normal(210, 45, SONGS).clip(90, 420) * 1_000).astype(np.int64)


def _events(random: np.random.Generator, count: int, genre_of: _Ints, length_ms: _Ints) -> _Events:
    lengths = random.geometric(1 / 9, size=count)  # sessions of nine events in the mean, more than are needed
    sessions = int(np.searchsorted(np.cumsum(lengths), count)) + 1
    lengths = lengths[:sessions]
    lengths[-1] -= lengths.sum() - count
    session = np.repeat(np.arange(sessions), lengths)

    user = random.choice(USERS, sessions, p=_zipf(USERS, 0.6))
    names = list(COUNTRIES)
    country_of = random.choice(len(names), USERS, p=[share for share, _ in COUNTRIES.values()])
    device_of = random.choice(len(DEVICES), USERS, p=DEVICE_WEIGHTS)
    ahead = np.array([hours for _, hours in COUNTRIES.values()])[country_of[user]]

    days = np.array([WEEKDAYS[(START + timedelta(days=day)).weekday()] for day in range(DAYS)])
    day = random.choice(DAYS, sessions, p=days / days.sum())
    hour = random.choice(24, sessions, p=np.array(HOURS) / sum(HOURS))
    begin = ((day * 24 + hour - ahead) % (DAYS * 24)) * 3_600_000 + random.integers(3_600_000, size=sessions)

    action = random.choice(len(ACTIONS), count, p=ACTION_WEIGHTS)
    song = _chosen(random, begin[session] // 86_400_000, genre_of)
    heard = np.where(action == 0, random.beta(6, 1.2, count) * length_ms[song], random.uniform(2_000, 40_000, count))
    duration = np.where(action <= 1, heard, -1).astype(np.int64)
    # One thing after the other within a session, with a breath between.
    spent = np.where(action <= 1, heard, 4_000).astype(np.int64) + random.integers(500, 6_000, count)
    passed = np.cumsum(spent) - spent
    first = np.cumsum(lengths) - lengths
    time_ms = begin[session] + passed - np.repeat(passed[first], lengths)
    # A session that would run past the end began earlier.
    last = first + lengths - 1
    time_ms -= np.repeat((time_ms[last] - DAYS * 86_400_000 + 1).clip(0), lengths)

    country, device = country_of[user][session], device_of[user][session]
    low, high = ((_INCIDENT_DAY * 24 + hour) * 3_600_000 for hour in _INCIDENT_HOURS)
    broken = (time_ms >= low) & (time_ms < high) & (action == 0)
    broken &= (country == names.index(_INCIDENT_COUNTRY)) & (device == DEVICES.index(_INCIDENT_DEVICE))
    duration[broken] = random.integers(200, 3_000, int(broken.sum()))
    order = np.argsort(time_ms, kind="stable")
    return _Events(
        user=user[session][order],
        action=action[order],
        song=song[order],
        time_ms=time_ms[order],
        duration=duration[order],
        device=device[order],
        country=country[order],
        broken=broken[order],
    )


def _chosen(random: np.random.Generator, day: _Ints, genre_of: _Ints) -> _Ints:
    """A song for each event: Zipf among all of them, and more of the growing genre every day."""
    popularity = random.permutation(_zipf(SONGS, 0.9))
    growing = genre_of == GENRES.index(_GROWING)
    song = np.empty(len(day), np.int64)
    for number in range(DAYS):
        weight = popularity * np.where(growing, 1 + (_GROWTH - 1) * number / (DAYS - 1), 1.0)
        there = day == number
        song[there] = random.choice(SONGS, int(there.sum()), p=weight / weight.sum())
    return song


def _zipf(count: int, exponent: float) -> npt.NDArray[np.float64]:
    weight = np.arange(1, count + 1) ** -exponent
    return np.asarray(weight / weight.sum())


def _lines(events: _Events) -> list[bytes]:
    stamps = np.datetime_as_string(np.datetime64(START.replace(tzinfo=None), "ms") + events.time_ms, unit="ms")
    countries = list(COUNTRIES)
    columns = (events.user, events.action, events.song, events.duration, events.device, events.country)
    rows = zip(stamps.tolist(), *(column.tolist() for column in columns), strict=True)
    return [
        (
            f'{{"event_id":"evt_{number:07}","user_id":"user_{user + 1}","action":"{ACTIONS[action]}",'
            f'"song_id":"song_{song + 1:04}","timestamp":"{stamp}Z",'
            f"{_DURATION % duration if duration >= 0 else ''}"
            f'"device":"{DEVICES[device]}","country":"{countries[country]}"}}'
        ).encode()
        for number, (stamp, user, action, song, duration, device, country) in enumerate(rows, 1)
    ]


def _spoilt(line: bytes, code: str) -> bytes:
    """`line` as a careless producer sends it."""
    if code == "malformed_json":
        return line[: len(line) * 2 // 3]
    if code == "missing_required":
        before, _, after = line.partition(b'"user_id":"')
        return before + after.partition(b'",')[2]
    if code in ("time_out_of_range", "invalid_time"):
        before, _, after = line.partition(b'"timestamp":"')
        return (
            before
            + b'"timestamp":"'
            + (b"9999-12-31T00:00:00Z" if code == "time_out_of_range" else b"yesterday")
            + b'"'
            + after.partition(b'"')[2]
        )
    if code == "not_in_enum":
        before, _, after = line.partition(b'"action":"')
        return before + b'"action":"plya_song"' + after.partition(b'"')[2]
    without = line.partition(b'"duration":')
    rest = without[2].partition(b",")[2] if without[1] else b""
    head, tail = (without[0], rest) if without[1] else (line[:-1] + b",", b"")
    value = b'"duration":"three minutes"' if code == "type_conflict" else b'"duration":-5'
    return head + value + (b"," + tail if tail else b"}")
