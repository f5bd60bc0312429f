"""What a tenant may use, and what it used: caps as token buckets, and exact accounts by the hour."""

from tenancy.analytics.engine.limits.accounts import Accounts
from tenancy.analytics.engine.limits.gate import Gate, Standing
from tenancy.analytics.engine.limits.tenant_limits import TenantLimits
from tenancy.analytics.engine.limits.token_bucket import TokenBucket
from tenancy.analytics.engine.limits.usage import UsageLedger

__all__ = ["Accounts", "Gate", "Standing", "TenantLimits", "TokenBucket", "UsageLedger"]
