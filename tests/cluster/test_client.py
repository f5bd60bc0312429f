"""What a client refuses before it calls anybody."""

import pytest
from typer.testing import CliRunner

from cluster.client import Client
from cluster.command_line import app
from tenancy.analytics.errors import InvalidRequestError


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "localhost", "ftp://host", "http://", "http://host:port", ""])
def test_a_url_that_is_none_is_told_with_an_example(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"http://127\.0\.0\.1:8000"):
        Client(url, "tk_a_b")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://events.internal/ingest", "http://[::1]:8000"])
def test_a_url_with_its_scheme_is_taken(url: str) -> None:
    with Client(url, "tk_a_b"):
        pass


@pytest.mark.parametrize("key", ["tk_ä", "tk_a\nb", "tk_…"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Client("http://127.0.0.1:8000", key)
    assert repr(key) not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "127.0.0.1:8000", "--key", "tk_a_b"),
        ("--url", "http://127.0.0.1:9", "--key", "tk_ä"),
    ],
)
def test_either_is_a_usage_error_of_a_command(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["tenant", "list", *arguments]).exit_code == 2


@pytest.mark.parametrize("query", ["x" * 5_000, "a\0b", ".", "/nonexistent/query.json"])
def test_a_query_that_is_neither_json_nor_a_file_is_a_usage_error(query: str) -> None:
    arguments = ["query", "t", query, "--url", "http://127.0.0.1:9", "--key", "tk_a_b"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 2
    assert "give JSON" in " ".join(answer.stderr.split())
