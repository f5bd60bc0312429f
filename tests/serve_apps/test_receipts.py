import orjson

from serve_apps.receipts import receipts_json
from tenancy.analytics.types import Receipt, Receipts, ReceiptStatus, Refusal

REFUSED = Receipt(
    6, ReceiptStatus.QUARANTINED, "id-7", 7, Refusal("type-conflict", "duration", "long", "send a number")
)


def test_only_rows_that_were_not_stored_are_listed_in_order() -> None:
    exceptions = {9: Receipt(9, ReceiptStatus.DUPLICATE, None, 10), 6: REFUSED}
    answer = orjson.loads(receipts_json(Receipts(1000, exceptions)))
    assert answer["counts"] == {"accepted": 998, "duplicate": 1, "quarantined": 1, "late": 0}
    assert [receipt["index"] for receipt in answer["receipts"]] == [6, 9]
    assert answer["receipts"][0] == {
        "index": 6,
        "line": 7,
        "status": "quarantined",
        "event_id": "id-7",
        "error": {"code": "type-conflict", "field": "duration", "value": "long", "remedy": "send a number"},
    }


def test_every_row_is_listed_when_asked_for() -> None:
    answer = orjson.loads(receipts_json(Receipts(3, first_id=5, late=b"\x40"), every=True))
    assert [receipt["status"] for receipt in answer["receipts"]] == ["accepted", "late", "accepted"]
    assert answer["receipts"][2]["event_id"] == "00000000-0000-0000-0000-000000000007"


def test_late_rows_are_counted_and_not_listed() -> None:
    answer = orjson.loads(receipts_json(Receipts(1000, {9: Receipt(9, ReceiptStatus.DUPLICATE, "a")}, late=b"\xff")))
    assert answer["counts"] == {"accepted": 991, "duplicate": 1, "quarantined": 0, "late": 8}
    assert [receipt["index"] for receipt in answer["receipts"]] == [9]
