"""docs/configuration.md names every setting, its default and its meaning, as the models have them."""

from pathlib import Path

import pytest

from tenancy.analytics.config import AnalyticsConfig

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def rows() -> list[str]:
    return [
        f"| `{section}.{name}` | `{setting.get_default(call_default_factory=True)}` | {setting.description} |"
        for section, field in AnalyticsConfig.model_fields.items()
        for name, setting in type(field.default).model_fields.items()
    ]


@pytest.mark.parametrize("row", rows())
def test_the_page_describes_the_setting_as_it_is(row: str) -> None:
    assert row.replace("\n", " ") in PAGE.read_text()
