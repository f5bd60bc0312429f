from __future__ import annotations

import pytest

from actors.placement import Condition, Sight, Step, may_retire, when_asked


def test_an_owner_of_the_current_epoch_is_handed_out() -> None:
    assert when_asked(Sight(Condition.SERVING, epoch=7), current_epoch=7) is Step.SERVE


def test_a_host_that_was_fenced_off_without_knowing_it_is_replaced() -> None:
    assert when_asked(Sight(Condition.SERVING, epoch=7), current_epoch=8) is Step.REPLACE


def test_a_new_host_takes_its_tenant_over() -> None:
    assert when_asked(Sight(Condition.NEW), current_epoch=7) is Step.OPEN


@pytest.mark.parametrize(
    "condition", [c for c in Condition if c is not Condition.SERVING and c is not Condition.NEW], ids=str
)
def test_a_host_in_any_other_condition_is_replaced(condition: Condition) -> None:
    assert when_asked(Sight(condition, epoch=7), current_epoch=7) is Step.REPLACE


@pytest.mark.parametrize(
    ("sight", "cold"),
    [
        (Sight(Condition.SERVING, 1, idle_s=300.0), True),
        (Sight(Condition.SERVING, 1, idle_s=299.9), False),
        (Sight(Condition.SERVING, 1, idle_s=300.0, in_flight=1), False),
        (Sight(Condition.NEW, idle_s=300.0), True),
        (Sight(Condition.NEW, idle_s=1.0), False),
        (Sight(Condition.FENCED, 1), True),
        (Sight(Condition.RETIRED, 1), True),
        (Sight(Condition.DEAD), True),
        (Sight(Condition.SILENT), False),
    ],
    ids=lambda value: value.condition.value if isinstance(value, Sight) else str(value),
)
def test_only_hosts_without_work_go_cold(sight: Sight, cold: bool) -> None:
    assert may_retire(sight, idle_seconds=300.0) is cold
