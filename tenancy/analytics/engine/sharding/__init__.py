"""Tenants larger than one host: rows spread over shards by the hash of their key, answers made of all of them.

`docs/sharding.md` says what holds. `split` and `merge` are pure; `shard` is one of them as the others see it,
`sharded` all of them as one, `resharding` the change of their number.
"""
