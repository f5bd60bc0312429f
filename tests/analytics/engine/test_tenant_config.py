from __future__ import annotations

from typing import Any

import pytest

from tenancy.analytics.engine import TenantConfig
from tenancy.analytics.errors import ConfigurationError, InvalidRequestError


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"dataset": []}, r"tenant\.dataset: .* 'datasets'"),
        ({"datasets": [{"name": "plays", "feilds": {}}]}, r"tenant\.datasets\.0\.feilds: .* 'fields'"),
        (
            {"datasets": [{"name": "plays", "fields": {"a": {"type": "string", "maxlength": 3}}}]},
            r"tenant\.datasets\.0\.fields\.a\.maxlength: 3 .* 'max_length'",
        ),
        (
            {"datasets": [{"name": "plays", "enrichments": [{"stepp": "session"}]}]},
            r"tenant\.datasets\.0\.enrichments\.0\.step: None .* must be given",
        ),
        ({"datasets": [{"name": "plays"}, {"name": "plays"}]}, "'plays' is declared twice"),
        ({"datasets": [{"name": "songs", "kind": "dimension"}]}, "a dimension table names its key"),
        ({"datasets": [{"name": "plays", "fields": {"a": {"type": "text"}}}]}, r"fields\.a\.type: 'text'"),
    ],
)
def test_what_is_not_right_is_named_with_what_would_be(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        TenantConfig.load(given)


def test_a_dataset_may_not_have_the_name_of_a_quarantine() -> None:
    with pytest.raises(InvalidRequestError, match="plays_quarantine"):
        TenantConfig.load({"datasets": [{"name": "plays_quarantine"}]})


def test_a_model_is_checked_when_the_tenant_is_registered() -> None:
    with pytest.raises(InvalidRequestError, match="did you mean 'datasets'"):
        TenantConfig.load({"model": {"dataset": {}}})


def test_settings_are_equal_however_the_configuration_was_written() -> None:
    short = TenantConfig.load({"datasets": [{"name": "plays"}]})
    spelt_out = TenantConfig.load({"datasets": [{"name": "plays", "kind": "events", "fields": {}}], "model": None})

    assert short.settings() == spelt_out.settings()
    assert TenantConfig.load(short.settings()) == short
