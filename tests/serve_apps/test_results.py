import io

import orjson
import pyarrow as pa
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serve_apps.results import ARROW, JSON, NDJSON, preferred, respond
from tenancy.analytics.query import QueryResult, QueryStats, ResultField


def asked(accept: str) -> Request:
    return Request({"type": "http", "headers": [(b"accept", accept.encode())]})


RESULT = QueryResult(
    pa.table({"genre": ["pop", "jazz"], "avg_duration": [1.5, float("nan")]}),
    (ResultField("genre", "string", "dimension"), ResultField("avg_duration", "float", "metric")),
    QueryStats(10, 100, 2, 1, 2, True, 1.0, 2.0, 3.0),
    "SELECT 1",
    "next",
)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/x-ndjson", NDJSON),
        ("application/vnd.apache.arrow.stream", ARROW),
        ("application/json;q=0.5, application/x-ndjson", NDJSON),
        ("application/json;q=0, */*", NDJSON),
        ("text/html, */*;q=0.1", JSON),
        ("APPLICATION/X-NDJSON ; Q=1", NDJSON),
    ],
)
def test_the_most_welcome_form_is_chosen(accept: str, media: str) -> None:
    assert preferred(accept) == media


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "application/json;q=nonsense"])
def test_nothing_acceptable_is_406(accept: str) -> None:
    with pytest.raises(HTTPException) as caught:
        preferred(accept)
    assert caught.value.status_code == 406


async def test_json_holds_everything_and_no_nan() -> None:
    answer = orjson.loads((await respond(asked(JSON), RESULT)).body)
    assert answer["data"] == [{"genre": "pop", "avg_duration": 1.5}, {"genre": "jazz", "avg_duration": None}]
    assert answer["schema"][1] == {"name": "avg_duration", "type": "float", "role": "metric"}
    assert answer["stats"]["segments_pruned"] == 1
    assert answer["next_cursor"] == "next"


async def test_ndjson_is_a_row_a_line_and_the_rest_is_in_headers() -> None:
    response = await respond(asked(NDJSON), RESULT)
    assert [orjson.loads(line)["genre"] for line in bytes(response.body).splitlines()] == ["pop", "jazz"]
    assert response.headers["x-next-cursor"] == "next"
    assert response.headers["x-truncated"] == "true"


async def test_arrow_is_the_table_itself() -> None:
    response = await respond(asked(ARROW), RESULT)
    with pa.ipc.open_stream(io.BytesIO(bytes(response.body))) as stream:
        assert stream.read_all().column("genre").to_pylist() == ["pop", "jazz"]
