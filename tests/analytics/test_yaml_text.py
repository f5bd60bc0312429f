"""What tenants write as YAML means what it says."""

from __future__ import annotations

from typing import Any

import pytest

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.yaml_text import parse_yaml


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "On", "NO", "y"])
def test_words_that_yaml_once_took_for_truth_values_are_words(word: str) -> None:
    assert parse_yaml(f"{{{word}: {word}}}") == {word: word}


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("7", 7), ("~", None), ("", None)])
def test_what_is_no_word_keeps_its_meaning(text: str, value: Any) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: [", "model line 2, column 5"),
        ("a: &x [1]\nb: *x", "model line 2, column 4"),
        ("!!python/object/apply:os.getcwd []", "model line 1, column 1"),
        ("[" * 5_000, "model"),
    ],
)
def test_a_text_that_cannot_be_read_is_an_error_that_names_the_line(text: str, where: str) -> None:
    with pytest.raises(InvalidRequestError, match=where):
        parse_yaml(text, "model")
