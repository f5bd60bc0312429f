"""Reads the body of any payload: the fast way where every row is as expected, row by row where one is not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import orjson

from tenancy.analytics.collection.arrow import read_table
from tenancy.analytics.collection.fast import read_fast
from tenancy.analytics.collection.layout import Layout
from tenancy.analytics.collection.lenient import count_keys, keys_at_most
from tenancy.analytics.collection.lines import CleanBody, Lines, count_if_clean
from tenancy.analytics.collection.payload import Media, Payload
from tenancy.analytics.collection.reading import RawRows, Reading
from tenancy.analytics.collection.slow import SlowReading
from tenancy.analytics.errors import InvalidRequestError

_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one event may be."""

    max_row_bytes: int
    max_depth: int


def read(payload: Payload, layout: Layout, limits: Limits) -> tuple[Reading, Layout]:
    """The rows of `payload` under `layout.schema`, and what was learned of their shape.

    Raises InvalidRequestError for a body that is empty, or that as a whole is not what it says it is.
    """
    match payload.media:
        case Media.NDJSON:
            return read_lines(payload.text(), None, layout, limits)
        case Media.JSON:
            whole = payload.text().strip()
            fast = _read_clean_array(whole, layout, limits)
            if fast is not None:
                return fast
            body, lines = _array_lines(whole)
            return read_lines(body, lines, layout, limits)
        case Media.ARROW | Media.TABLE:
            table = payload.table()
            reading = read_table(table, layout, limits.max_depth, limits.max_row_bytes)
            if isinstance(reading, Lines):
                return read_lines(reading.body(), reading, layout, limits)
            return reading, layout


def lines_of(payload: Payload) -> Lines:
    """The rows of a body of JSON as texts of their own. Raises InvalidRequestError as `read` does."""
    if payload.media is Media.NDJSON:
        return Lines.of(payload.text())
    _, lines = _array_lines(payload.text().strip())
    return lines


def read_lines(body: bytes, lines: Lines | None, layout: Layout, limits: Limits) -> tuple[Reading, Layout]:
    """NDJSON; `lines` are given where they are known already and have no numbers."""
    rows = count_if_clean(body, limits.max_row_bytes)
    if rows is None and lines is None:
        lines = Lines.of(body)
        body = lines.body()
        rows = count_if_clean(body, limits.max_row_bytes)
    fast = None if rows is None else _read_clean(body, rows, layout, limits, lines or CleanBody(body))
    if fast is not None:
        return fast
    if lines is None:
        lines = Lines.of(body)
    reading, shapes = SlowReading(lines, layout.schema, limits.max_row_bytes, limits.max_depth).read()
    if not reading.grown:  # what grew changes the schema, and the next batch is learned from under that one
        for row in shapes:
            layout = layout.learned(row, limits.max_depth) or layout
    return reading, layout


def _read_clean(body: bytes, rows: int, layout: Layout, limits: Limits, raw: RawRows) -> tuple[Reading, Layout] | None:
    """The fast way, expecting what is known and the shape of the first row, which most often is that of all."""
    end = body.find(b"\n")
    try:
        first = orjson.loads(body if end < 0 else body[:end])
    except orjson.JSONDecodeError:
        return None
    expected = layout.learned(first, limits.max_depth)
    reading = None if expected is None else read_fast(body, rows, expected, raw)
    return None if expected is None or reading is None else (reading, expected)


def _read_clean_array(body: bytes, layout: Layout, limits: Limits) -> tuple[Reading, Layout] | None:
    """An array of objects the fast way, by making its commas line breaks; None where that may not be right.

    A comma that was none between two elements makes the text invalid, and the parser refuses it: JSON has no
    line break in a string, and none between `}` and `{` that stands for a comma.
    """
    if not (body.startswith(b"[{") and body.endswith(b"}]")) or b"\n" in body:
        return None
    lines = body[1:-1].replace(b"},{", b"}\n{").replace(b"}, {", b"}\n{")
    rows = count_if_clean(lines, limits.max_row_bytes)
    return None if rows is None else _read_clean(lines, rows, layout, limits, CleanBody(lines, numbered=False))


def _array_lines(body: bytes) -> tuple[bytes, Lines]:
    """One JSON document, an object or an array of them, as lines."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _elements(body)
    if isinstance(value, dict):
        return one_line_each([body])
    if not isinstance(value, list):
        raise InvalidRequestError("body", value, "send a JSON object, or an array of objects")
    if keys_at_most(body) != count_keys(value):  # perhaps a key that came twice: keep every text as it is
        return _elements(body)
    texts = [orjson.dumps(row) for row in value]
    return b"\n".join(texts), Lines(texts)


def _elements(body: bytes) -> tuple[bytes, Lines]:
    """The texts of an array's elements, cut out exactly, with all that strict JSON would not read."""
    text = body.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    try:
        if not text.startswith("[", at):
            _, end = decoder.raw_decode(text, at)
            if _skip(text, end) != len(text):
                raise json.JSONDecodeError("more than one document", text, end)
            return one_line_each([body])
        texts: list[bytes] = []
        at = _skip(text, at + 1)
        while not text.startswith("]", at):
            _, end = decoder.raw_decode(text, at)
            texts.append(text[at:end].encode("utf-8", "surrogateescape"))
            at = _skip(text, end)
            if text.startswith(",", at):
                at = _skip(text, at + 1)
                if text.startswith("]", at):
                    raise json.JSONDecodeError("a value is missing", text, at)
            elif not text.startswith("]", at):
                raise json.JSONDecodeError("',' or ']' is missing", text, at)
        if _skip(text, at + 1) != len(text):
            raise json.JSONDecodeError("more than one document", text, at + 1)
    except json.JSONDecodeError as error:
        around = text[max(error.pos - 20, 0) : error.pos + 20].encode("utf-8", "replace").decode()
        place = f"body, line {error.lineno}, column {error.colno}"
        remedy = f"send valid JSON ({error.msg}); for one object a line send application/x-ndjson"
        raise InvalidRequestError(place, around, remedy) from None
    except (RecursionError, ValueError) as error:
        raise InvalidRequestError("body", text[:40], f"send valid JSON of fewer levels ({error})") from None
    return one_line_each(texts)


def one_line_each(texts: list[bytes]) -> tuple[bytes, Lines]:
    """Lines of texts that may have line breaks in them: those between values become spaces in the joined body.

    A line break within a string is not JSON, and the row is refused for it either way.
    """
    return b"\n".join(text.replace(b"\n", b" ").replace(b"\r", b" ") for text in texts), Lines(texts)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
