"""Names that become paths are checked, and receipts speak for every row."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.types import Receipt, Receipts, ReceiptStatus, dataset_name, quarantine_of, tenant_id


@pytest.mark.parametrize(
    "name", ["../etc", "a/b", "", "A", "tenant 1", "x" * 64, "ténant", "a'; drop table x", None, 7, "_a"]
)
def test_a_tenant_id_that_could_leave_its_folder_or_quote_is_refused(name: object) -> None:
    with pytest.raises(InvalidRequestError, match="tenant id"):
        tenant_id(name)


@pytest.mark.parametrize("name", ["tenant_001", "a", "0-9", "x" * 63])
def test_an_ordinary_tenant_id_passes_unchanged(name: str) -> None:
    assert tenant_id(name) == name


@pytest.mark.parametrize("name", ["1plays", "Plays", "plays_quarantine", "a-b", "x" * 64, ""])
def test_a_dataset_name_nobody_may_write_to_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="dataset name"):
        dataset_name(name)


def test_the_quarantine_of_a_dataset_is_named_after_it() -> None:
    assert quarantine_of(dataset_name("plays")) == "plays_quarantine"


@given(st.integers(0, 200), st.data())
def test_counts_add_up_to_the_rows(rows: int, data: st.DataObject) -> None:
    statuses = data.draw(st.lists(st.sampled_from(ReceiptStatus), min_size=rows, max_size=rows))
    kept_out = (ReceiptStatus.DUPLICATE, ReceiptStatus.QUARANTINED)
    exceptions = {i: Receipt(i, status, None) for i, status in enumerate(statuses) if status in kept_out}
    late = np.packbits(np.array([status is ReceiptStatus.LATE for status in statuses], bool)).tobytes()
    receipts = Receipts(rows, exceptions, late=late)
    assert receipts.counts() == {status.value: statuses.count(status) for status in ReceiptStatus}
    assert [receipt.status for receipt in receipts] == statuses
    assert [receipt.index for receipt in receipts] == list(range(rows))


def test_assigned_ids_count_up_and_a_row_with_its_own_id_is_not_given_one() -> None:
    first = uuid.UUID("0198a3f0-7c00-7000-8000-000000000000").int
    receipts = Receipts(3, first_id=first, own_ids=bytes([0b0100_0000]))
    assert [receipt.event_id for receipt in receipts] == [
        "0198a3f0-7c00-7000-8000-000000000000",
        None,
        "0198a3f0-7c00-7000-8000-000000000002",
    ]


def test_there_is_no_receipt_beyond_the_rows() -> None:
    with pytest.raises(IndexError):
        Receipts(2)[2]
