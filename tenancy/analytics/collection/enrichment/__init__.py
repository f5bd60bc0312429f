"""Enrichment: columns added to events as they are collected.

Declared in `DatasetSchema.enrichments`, by the names in `STEPS`. A step is one file with one class; to add
one, write the class and its line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tenancy.analytics.collection.enrichment.lookup import Lookup
from tenancy.analytics.collection.enrichment.session import Session
from tenancy.analytics.collection.enrichment.step import Context, Lookups, Recent, Step, no_history, no_lookups
from tenancy.analytics.collection.enrichment.user_agent import UserAgent
from tenancy.analytics.errors import InvalidRequestError, near

STEPS: Mapping[str, Callable[[Mapping[str, object], Context], Step]] = {
    "lookup": Lookup,
    "session": Session,
    "user_agent": UserAgent,
}


def build(context: Context) -> tuple[Step, ...]:
    """The steps that the schema in `context` declares, in order.

    Raises InvalidRequestError for an unknown step or option, with the nearest known, and for a step that
    writes a column of another type than the dataset has.
    """
    steps = []
    for declared in context.schema.enrichments:
        make = STEPS.get(declared.step)
        if make is None:
            close = near(declared.step, STEPS) or tuple(sorted(STEPS))
            raise InvalidRequestError(
                "enrichment step", declared.step, f"did you mean {' or '.join(map(repr, close))}?"
            )
        step = make(declared.options, context)
        for name, spec in step.columns.items():
            known = context.schema.fields.get(name)
            if known is not None and known.type is not spec.type:
                raise InvalidRequestError(
                    f"enrichment {declared.step!r}",
                    name,
                    f"the dataset has this column as {known.type.value}, the step writes {spec.type.value}; "
                    "give a prefix",
                )
        steps.append(step)
    return tuple(steps)


__all__ = ["STEPS", "Context", "Lookups", "Recent", "Step", "build", "no_history", "no_lookups"]
