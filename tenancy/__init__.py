"""Namespace of the analytics system; import from `tenancy.analytics.core`."""
