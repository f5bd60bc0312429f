"""The error tree survives process borders and names what was wrong."""

import inspect
import pickle
from collections.abc import Iterator

import pytest

from tenancy.analytics import errors
from tenancy.analytics.errors import AnalyticsError, InvalidRequestError, near

SAMPLES: dict[str, object] = {
    "str": "plays",
    "int": 7,
    "float": 1.5,
    "float | None": 2.5,
    "object": [1, 2],
    "tuple[str, ...]": ("a", "b"),
}


def concrete_errors() -> Iterator[type[AnalyticsError]]:
    for _, error in inspect.getmembers(errors, inspect.isclass):
        if issubclass(error, AnalyticsError):
            yield error


def an_instance(error: type[AnalyticsError]) -> AnalyticsError:
    if error.__init__ is Exception.__init__:
        return error("reason")
    parameters = list(inspect.signature(error.__init__).parameters.values())[1:]
    return error(*(SAMPLES[str(parameter.annotation)] for parameter in parameters))


@pytest.mark.parametrize("error", list(concrete_errors()))
def test_every_error_arrives_from_another_process_with_its_type_sentence_and_data(error: type[AnalyticsError]) -> None:
    sent = an_instance(error)
    arrived = pickle.loads(pickle.dumps(sent))
    assert type(arrived) is error
    assert str(arrived) == str(sent)
    assert arrived.args == sent.args
    assert vars(arrived) == vars(sent)


@pytest.mark.parametrize("error", list(concrete_errors()))
def test_every_error_has_a_status_and_says_whether_to_retry(error: type[AnalyticsError]) -> None:
    instance = an_instance(error)
    assert 400 <= instance.status < 600
    if instance.status in (429, 503, 507) and error is not errors.LimitError:
        assert instance.retry_after_s is not None


def test_no_two_kinds_of_error_share_a_code() -> None:
    codes = [error.code for error in concrete_errors()]
    assert len(codes) == len(set(codes))


def test_a_long_value_is_cut_in_the_sentence() -> None:
    assert len(str(InvalidRequestError("filter", "x" * 10_000, "shorten it"))) < 300


def test_near_names_come_best_first_and_far_ones_not_at_all() -> None:
    assert near("playcount", ["play_count", "artist", "pay_count"])[0] == "play_count"
    assert near("zzzz", ["play_count"]) == ()
