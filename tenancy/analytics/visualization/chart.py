"""The chart that callers get: a Plotly figure whose page stands alone."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from tenancy.analytics.visualization.page import page


class Chart(go.Figure):  # type: ignore[misc] # Plotly's classes carry no types that mypy follows.
    """A `plotly.graph_objects.Figure`: `.show()`, `.to_json()`, `.update_layout(…)` and all the rest.

    `.to_html()` without arguments is a whole page that needs no network; with arguments it is Plotly's own.
    """

    def to_html(self, *args: Any, **options: Any) -> str:
        if args or options:
            return str(super().to_html(*args, **options))
        return page(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the data so that it could be drawn; shown below the title."""
        return tuple((self.layout.meta or {}).get("notes", ()))
