"""The ledger finds what a system lost, has twice, or showed to the wrong tenant, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tenantbench.ledger import Found, Ledger, Tally
from benchmarks.tenantbench.workload import Batch

BATCH = Batch("a", "b1", rows=4, marker="ma")


def tally(*numbers: int, marker: str = "ma", name: str = "b1") -> Tally:
    return {(marker, name): Found(len(numbers), sum(numbers))}


def test_what_was_acknowledged_and_is_there_once_is_clean() -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    verdict = ledger.audit({"a": tally(0, 1, 2, 3)})
    assert verdict.clean
    assert verdict.acknowledged == 4


@pytest.mark.parametrize(("numbers", "lost", "duplicated"), [((0, 1, 3), 1, 0), ((), 4, 0), ((0, 1, 2, 3, 3), 0, 1)])
def test_missing_and_surplus_events_are_counted(numbers: tuple[int, ...], lost: int, duplicated: int) -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    verdict = ledger.audit({"a": tally(*numbers)})
    assert (verdict.lost, verdict.duplicated) == (lost, duplicated)
    assert "b1" in verdict.details[0]


def test_a_loss_does_not_hide_behind_a_duplicate() -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    verdict = ledger.audit({"a": tally(0, 1, 1, 3)})
    assert (verdict.lost, verdict.duplicated) == (1, 1)


@pytest.mark.parametrize(("numbers", "torn"), [((), 0), ((0, 1, 2, 3), 0), ((0, 1, 2), 3)])
def test_a_batch_without_an_answer_may_be_there_whole_or_not_at_all(numbers: tuple[int, ...], torn: int) -> None:
    ledger = Ledger()
    ledger.doubt(BATCH)
    verdict = ledger.audit({"a": tally(*numbers)})
    assert (verdict.lost, verdict.duplicated, verdict.torn, verdict.unknown) == (0, 0, torn, 4)


def test_a_refused_batch_that_is_there_is_a_duplicate() -> None:
    ledger = Ledger()
    ledger.refuse(BATCH)
    assert ledger.audit({"a": tally(0, 1, 2, 3)}).duplicated == 4


def test_a_batch_that_was_never_sent_is_a_duplicate() -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    answer = {**tally(0, 1, 2, 3), **tally(0, name="b2")}
    assert ledger.audit({"a": answer}).duplicated == 1


def test_an_event_with_another_tenants_marker_is_a_leak() -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    ledger.acknowledge(Batch("b", "b1", 4, "mb"))
    answers = {"a": {**tally(0, 1, 2, 3), **tally(0, marker="mb")}, "b": tally(0, 1, 2, 3, marker="mb")}
    verdict = ledger.audit(answers)
    assert verdict.leaked == 1
    assert not verdict.clean


def test_a_body_that_a_flood_repeats_is_owed_as_often_as_it_was_acknowledged() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.acknowledge(BATCH)
    ledger.doubt(BATCH)
    assert ledger.audit({"a": tally(*[0, 1, 2, 3] * 3)}).clean
    assert ledger.audit({"a": tally(*[0, 1, 2, 3] * 4)}).clean
    assert ledger.audit({"a": tally(*[0, 1, 2, 3] * 2)}).lost == 4
    assert ledger.audit({"a": tally(*[0, 1, 2, 3] * 5)}).duplicated == 4


def test_nothing_of_an_erased_tenant_may_be_there() -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    ledger.forget("a")
    assert ledger.audit({"a": {}}).clean
    assert ledger.audit({"a": tally(0, 1, 2, 3)}).duplicated == 4


def test_a_tenant_that_could_not_be_asked_is_not_called_clean() -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    verdict = ledger.audit({"a": None})
    assert (verdict.unasked, verdict.lost, verdict.clean) == (1, 0, False)


def test_a_name_stands_for_one_batch() -> None:
    ledger = Ledger()
    ledger.acknowledge(BATCH)
    with pytest.raises(ValueError, match="4 rows, not 5"):
        ledger.acknowledge(Batch("a", "b1", 5, "ma"))


batches = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", "z"]), st.sampled_from(["ok", "unknown", "refused"])),
    max_size=30,
)


@given(batches, batches)
def test_ledgers_merged_say_what_one_kept_by_all_says(
    first: list[tuple[str, str, str]], second: list[tuple[str, str, str]]
) -> None:
    def kept(*sent: tuple[str, str, str]) -> Ledger:
        ledger = Ledger()
        for tenant, name, outcome in sent:
            batch = Batch(tenant, name, 3, f"m{tenant}")
            {"ok": ledger.acknowledge, "unknown": ledger.doubt, "refused": ledger.refuse}[outcome](batch)
        return ledger

    merged, whole = kept(*first), kept(*first, *second)
    merged.merge(kept(*second))
    answers: dict[str, Tally | None] = {tenant: {(f"m{tenant}", "x"): Found(3, 3)} for tenant in "abc"}
    assert merged.audit(answers) == whole.audit(answers)
