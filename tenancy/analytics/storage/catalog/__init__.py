"""The catalog: the SQL database that says which tenants, datasets and segments there are.

    catalog = Catalog.open(StorageConfig(root="/var/lib/tenancy"))
    catalog.create_tenant("tenant_001")
    rows = catalog.tenant("tenant_001")
    epoch = rows.raise_epoch()
    rows.commit(Change("plays", add={"plays": (segment,)}, wal_position=WalPosition(epoch, 7)), epoch)

SQLite by default, PostgreSQL by URL. Rows of a tenant are reached only through `TenantCatalog`.
"""

from tenancy.analytics.storage.catalog.catalog import Catalog
from tenancy.analytics.storage.catalog.tenant_catalog import TenantCatalog
from tenancy.analytics.storage.catalog.values import (
    ApiKeyRow,
    Change,
    DedupRun,
    IdempotencyRecord,
    KeyRow,
    ShardLayout,
    TenantRecord,
    UsageAddition,
    UsageRow,
    WalPosition,
)

__all__ = [
    "ApiKeyRow",
    "Catalog",
    "Change",
    "DedupRun",
    "IdempotencyRecord",
    "KeyRow",
    "ShardLayout",
    "TenantCatalog",
    "TenantRecord",
    "UsageAddition",
    "UsageRow",
    "WalPosition",
]
