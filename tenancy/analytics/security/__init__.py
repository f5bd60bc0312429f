"""Who may do what, and the keys that everything stored is encrypted under."""

from tenancy.analytics.security.api_keys import ApiKey, ApiKeys, NewApiKey
from tenancy.analytics.security.keys import TenantKeyRing
from tenancy.analytics.security.master import EnvironmentKeyProvider, FileKeyProvider, KeyProvider, key_provider
from tenancy.analytics.security.principals import Action, Principal, Role

__all__ = [
    "Action",
    "ApiKey",
    "ApiKeys",
    "EnvironmentKeyProvider",
    "FileKeyProvider",
    "KeyProvider",
    "NewApiKey",
    "Principal",
    "Role",
    "TenantKeyRing",
    "key_provider",
]
