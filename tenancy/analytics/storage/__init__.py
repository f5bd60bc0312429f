"""Storage: durable, encrypted, fast.

    filesystem      the encrypted filesystem, over any that fsspec knows; `framing` is its format
    catalog         the SQL database that says which tenants, datasets and segments there are
    store           one dataset of one tenant: log, buffer, segments; `tenant_store` holds all of a tenant's
    snapshot        what a reader sees

Import what you need from its module: importing this package loads no driver and opens nothing.
"""
