"""Multi-tenant analytics: collect, keep, ask, draw. The door is `tenancy.analytics.core`."""
