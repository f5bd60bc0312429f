"""TenantBench: what a flood, a dead host or a deployment costs the tenants who did nothing. See docs/tenantbench.md."""
