"""What one tenant may use, as it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tenancy.analytics.config import Caps, LimitsConfig
from tenancy.analytics.errors import ConfigurationError, near


class TenantLimits(Caps):
    """Caps of one tenant; one that is not given is that of the section `limits` of the settings, null is no cap.

    >>> own = TenantLimits.load({"events_per_second": 100, "stored_bytes": None})
    >>> whole = own.over(LimitsConfig(stored_bytes=10**9, queries_per_second=5))
    >>> whole.events_per_second, whole.stored_bytes, whole.queries_per_second
    (100, None, 5)
    """

    @classmethod
    def load(cls, given: Mapping[str, Any]) -> TenantLimits:
        """The limits that `given` is. Raises ConfigurationError that names the nearest known key."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            if first["type"] != "extra_forbidden":
                raise ConfigurationError(f"limits.{name}", first["input"], first["msg"]) from None
            close = near(name, cls.model_fields) or tuple(cls.model_fields)
            remedy = f"did you mean {' or '.join(map(repr, close))}?"
            raise ConfigurationError(f"limits.{name}", first["input"], remedy) from None

    def given(self) -> dict[str, Any]:
        """What was given, without what follows from the settings."""
        return self.model_dump(mode="json", exclude_unset=True)

    def over(self, defaults: LimitsConfig) -> TenantLimits:
        """These limits, completed by those of the settings."""
        fallback = {name: getattr(defaults, name) for name in type(self).model_fields}
        return TenantLimits(**{**fallback, **self.given()})
