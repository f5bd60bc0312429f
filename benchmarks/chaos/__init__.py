"""Chaos: a system under load whose parts die, freeze and move at random. `make chaos`; see docs/operations.md."""
