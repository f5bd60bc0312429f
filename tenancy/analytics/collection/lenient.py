"""A second look at a line that strict JSON refuses: what exactly is wrong with it, and what can still be read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from tenancy.analytics.collection import refusals
from tenancy.analytics.types import Refusal

_KEY = re.compile(rb'"\s*:')


class _Repeated(dict[str, object]):
    """An object in which, or below which, a key came twice."""

    key: str


def lenient(line: bytes, reason: str) -> object | Refusal:
    """The value of a line with NaN, infinities, lone surrogates or stray bytes in it, or why there is none."""
    try:
        value: object = json.loads(line.decode("utf-8", "surrogateescape"))
    except RecursionError:
        return refusals.too_deep(None, 1_000)
    except ValueError:
        try:
            line.decode()
        except UnicodeDecodeError:
            return refusals.invalid_utf8(None, line)
        return refusals.malformed(line, reason)
    return value


def repeated_key(line: bytes) -> str | None:
    """A key that comes twice in one object of `line`, at any depth."""
    try:
        value = json.loads(line.decode("utf-8", "surrogateescape"), object_pairs_hook=_pairs)
    except (RecursionError, ValueError):  # judged already, by what reads its values
        return None
    return value.key if isinstance(value, _Repeated) else None


def keys_at_most(text: bytes) -> int:
    """No fewer than the keys in `text`, each time one is written; more where a string has a quote before a colon.

    So where it equals `count_keys` of what the text parsed to, no key came twice.
    """
    if b'" ' in text or b'"\t' in text or b'"\n' in text or b'"\r' in text:
        return len(_KEY.findall(text))
    return text.count(b'":')


def count_keys(value: object) -> int:
    """The keys of all objects in `value`, at any depth."""
    count = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            count += len(item)
            waiting += [inner for inner in item.values() if isinstance(inner, dict | list)]
        elif isinstance(item, list):
            waiting += [inner for inner in item if isinstance(inner, dict | list)]
    return count


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    plain = dict(pairs)
    twice: str | None = None
    if len(plain) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counted.items() if count > 1)
    twice = twice or _below(plain.values())
    if twice is None:
        return plain
    marked = _Repeated(plain)
    marked.key = twice
    return marked


def _below(values: Iterable[object]) -> str | None:
    for value in values:
        if isinstance(value, _Repeated):
            return value.key
        if isinstance(value, list):
            found = _below(value)
            if found is not None:
                return found
    return None
