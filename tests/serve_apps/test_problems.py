from http import HTTPStatus

import orjson
import pytest

from serve_apps.problems import MEDIA_TYPE, of_error
from tenancy.analytics import errors
from tenancy.analytics.errors import AnalyticsError

EXAMPLES: list[AnalyticsError] = [
    errors.InvalidRequestError("limit", -1, "give a whole number"),
    errors.ConfigurationError("performance.query_timeout", 5, "did you mean 'query_timeout_seconds'?"),
    errors.AuthenticationError(),
    errors.AccessDeniedError("read this tenant"),
    errors.UnknownNameError("dimension", "genr", ("genre",)),
    errors.ConflictError("tenant 'a' exists", "leave it"),
    errors.PayloadTooLargeError(1024),
    errors.UnsupportedMediaError("text/csv", ("application/json",)),
    errors.IdempotencyMismatchError("k1"),
    errors.BackpressureError("tenant_001", "buffer_rows", 50_000, 0.2),
    errors.LimitExceededError("tenant_001", "events_per_second", 100, 250, 1.52),
    errors.QueryTimeoutError(60.0),
    errors.QueryMemoryError(4096),
    errors.StaleOwnerError("tenant_001", 1, 2),
    errors.UnavailableError("the catalog", "locked"),
    errors.CatalogUnavailableError("connection refused"),
    errors.StaleLayoutError("tenant_001", 1, 2),
    errors.MemoryPressureError("the host", 500, 510, 2.0),
    errors.StorageFullError("/data"),
    errors.IntegrityError("tenancy://a/b", "cut"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
def test_every_error_is_a_problem_document(error: AnalyticsError) -> None:
    response = of_error(error, "/v1/tenants/tenant_001/query")
    document = orjson.loads(response.body)
    assert response.headers["content-type"] == MEDIA_TYPE
    assert response.status_code == document["status"] == error.status
    assert document["type"].endswith(error.code)
    assert document["code"] == error.code
    assert document["detail"] == str(error)
    assert document["instance"] == "/v1/tenants/tenant_001/query"
    assert HTTPStatus(document["status"])
    assert ("retry-after" in response.headers) == (error.retry_after_s is not None)


def test_every_class_of_the_tree_has_an_example() -> None:
    def leaves(kind: type[AnalyticsError]) -> set[type[AnalyticsError]]:
        below = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
        return {kind} if not below else set().union(*map(leaves, below))

    assert leaves(AnalyticsError) <= {type(error) for error in EXAMPLES}


def test_a_limit_says_which_how_much_and_how_long() -> None:
    response = of_error(errors.BackpressureError("tenant_001", "buffer_rows", 50_000, 0.2), "/")
    document = orjson.loads(response.body)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert document["retry_after"] == 0.2
    assert document["limit"] == {"name": "buffer_rows", "allowed": 50_000}


def test_a_misspelt_name_comes_with_suggestions() -> None:
    document = orjson.loads(of_error(errors.UnknownNameError("dimension", "genr", ("genre",)), "/").body)
    assert document["suggestions"] == ["genre"]


def test_without_a_key_the_scheme_is_named() -> None:
    assert of_error(errors.AuthenticationError(), "/").headers["www-authenticate"].startswith("Bearer")


def test_a_limit_says_in_the_header_fields_of_the_draft_what_it_is_and_when_to_come_back() -> None:
    response = of_error(errors.LimitExceededError("tenant_001", "events_per_second", 100, 250, 1.52), "/")
    assert response.headers["retry-after"] == "2", "rounded up, so that it is enough"
    assert response.headers["ratelimit-policy"] == '"events_per_second";q=100;qu="events";w=1'
    assert response.headers["ratelimit"] == '"events_per_second";r=0;t=2'
    document = orjson.loads(response.body)
    assert document["limit"] == {"name": "events_per_second", "allowed": 100, "used": 250}
    assert document["retry_after"] == 1.52


def test_a_limit_that_no_waiting_mends_gives_no_time_to_come_back() -> None:
    response = of_error(errors.LimitExceededError("tenant_001", "stored_bytes", 100, 250, None), "/")
    assert "retry-after" not in response.headers
    assert "retry_after" not in orjson.loads(response.body)
    assert response.headers["ratelimit"] == '"stored_bytes";r=0'
