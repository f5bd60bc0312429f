import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ingestion import Batch, Offset, batches, fingerprint, halves
from tenancy.analytics.errors import ConflictError, InvalidRequestError, UnsupportedMediaError

ROWS = 2_500


def table() -> pa.Table:
    return pa.table({"id": list(range(ROWS)), "name": [f"n{row}" if row % 7 else None for row in range(ROWS)]})


def ndjson(folder: Path) -> Path:
    path = folder / "rows.ndjson"
    path.write_text("".join(f'{{"id":{row},"name":"n{row}"}}\n' for row in range(ROWS)))
    return path


def zipped(folder: Path) -> Path:
    path = folder / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(ndjson(folder).read_bytes()))
    return path


def csv(folder: Path) -> Path:
    path = folder / "rows.csv"
    pacsv.write_csv(table(), path)
    return path


def parquet(folder: Path) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(table(), path, row_group_size=333)
    return path


MAKERS = [ndjson, zipped, csv, parquet]


def ids(found: list[Batch]) -> list[int]:
    collected: list[int] = []
    for batch in found:
        if batch.content_type.endswith("ndjson"):
            collected += [int(line.split(b'"id":')[1].split(b",")[0]) for line in batch.body.splitlines()]
        else:
            with pa.ipc.open_stream(batch.body) as stream:
                collected += stream.read_all().column("id").to_pylist()
    return collected


@pytest.mark.parametrize("make", MAKERS)
def test_batches_hold_every_row_once_in_order(make: Callable[[Path], Path], tmp_path: Path) -> None:
    found = list(batches(make(tmp_path), 400))
    assert [batch.rows for batch in found] == [400] * 6 + [100]
    assert [batch.start for batch in found] == list(range(0, ROWS, 400))
    assert ids(found) == list(range(ROWS))
    assert found[-1].done == 1.0


@pytest.mark.parametrize("make", MAKERS)
def test_a_resumed_load_cuts_the_same_batches(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    whole = list(batches(path, 400))
    assert [batch.body for batch in batches(path, 400, start=1200)] == [batch.body for batch in whole[3:]]
    assert list(batches(path, 400, start=ROWS)) == []


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("rows", [2, 401])
def test_halves_hold_every_row_once_in_order(make: Callable[[Path], Path], rows: int, tmp_path: Path) -> None:
    whole = list(batches(make(tmp_path), rows))[1]
    first, second = halves(whole)
    assert (first.start, first.rows, second.start, second.rows) == (rows, rows // 2, rows + rows // 2, -(-rows // 2))
    assert (len(ids([first])), ids([first, second])) == (rows // 2, ids([whole]))


def test_blank_lines_are_counted_so_that_line_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text('{"id":1}\n\n{"id":2}')
    (batch,) = batches(path, 10)
    assert batch.rows == 3
    assert batch.body == b'{"id":1}\n\n{"id":2}'


def test_a_csv_column_whose_later_values_do_not_fit_becomes_wider(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = [f"{row},{row},{row}" for row in range(500_000)] + ["1.5,late,7"]
    path.write_text("a,b,c\n" + "\n".join(lines) + "\n")
    last = list(batches(path, 500_000))[-1]
    with pa.ipc.open_stream(last.body) as stream:
        found = stream.read_all()
    assert found.schema.types == [pa.float64(), pa.string(), pa.int64()]
    assert found.to_pylist() == [{"a": 1.5, "b": "late", "c": 7}]


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"id":1}\n' * 1000)[:-5])
    with pytest.raises(InvalidRequestError, match=r"rows\.ndjson\.gz"):
        list(batches(path, 10))


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"")
    with pytest.raises(UnsupportedMediaError, match="parquet"):
        batches(tmp_path / "rows.xlsx", 10)


def test_another_content_is_another_source(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a" * 100)
    two.write_bytes(b"a" * 99 + b"b")
    assert fingerprint(one) != fingerprint(two)
    assert len(fingerprint(one)) == 32


@given(rows=st.integers(0, 2**60), batch_rows=st.integers(1, 2**30), until=st.integers(0, 2**60))
def test_an_offset_survives_being_text(rows: int, batch_rows: int, until: int) -> None:
    assert Offset.parse(str(Offset(rows, batch_rows, until))) == Offset(rows, batch_rows, until)


@pytest.mark.parametrize("text", ["", "rows:1:2", "rows:a:b:c", "bytes:1:2:3", "rows:-1:5:9"])
def test_an_offset_of_somebody_else_is_not_touched(text: str) -> None:
    with pytest.raises(ConflictError):
        Offset.parse(text)
