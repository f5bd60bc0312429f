"""Bring-up of a system, its health, and the `tenancy` command line."""
