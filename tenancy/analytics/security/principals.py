"""Who asks, and what they may do: a principal's roles, decided purely from values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from tenancy.analytics.errors import AccessDeniedError
from tenancy.analytics.storage.catalog.values import EVERY_TENANT


class Role(StrEnum):
    """What a key is for."""

    ADMIN = "admin"
    WRITER = "writer"
    ANALYST = "analyst"


class Action(StrEnum):
    """Something a principal may do or not. The value completes "this key may not …"."""

    INGEST = "send events"
    LIST_DATASETS = "list datasets"
    QUERY = "query"
    EXPLAIN = "explain queries"
    READ_QUARANTINE = "read quarantined events"
    REPLAY_QUARANTINE = "replay quarantined events"
    CHANGE_MODEL = "change the semantic model"
    CHANGE_DATASETS = "change datasets"
    MANAGE_KEYS = "manage API keys"
    # Of the installation: no role inside a tenant reaches these.
    MANAGE_TENANTS = "manage tenants"


_INSTALLATION = frozenset({Action.MANAGE_TENANTS})

GRANTS: Mapping[Role, frozenset[Action]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Action) - _INSTALLATION,
        Role.WRITER: frozenset({Action.INGEST, Action.LIST_DATASETS}),
        Role.ANALYST: frozenset({Action.QUERY, Action.EXPLAIN, Action.LIST_DATASETS, Action.READ_QUARANTINE}),
    }
)
"""What each role may do inside its tenant."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of an API key. `tenant` is `EVERY_TENANT` for keys of the installation.

    >>> analyst = Principal("k1", "tenant_001", frozenset({Role.ANALYST}))
    >>> analyst.may(Action.QUERY, "tenant_001"), analyst.may(Action.QUERY, "tenant_002")
    (True, False)
    >>> analyst.require(Action.INGEST, "tenant_001")
    Traceback (most recent call last):
    tenancy.analytics.errors.AccessDeniedError: this key may not send events; \
ask an administrator of the tenant for a key that may
    """

    key_id: str
    tenant: str
    roles: frozenset[Role]

    @property
    def is_installation_admin(self) -> bool:
        return self.tenant == EVERY_TENANT and Role.ADMIN in self.roles

    def may(self, action: Action, tenant: str) -> bool:
        """Whether this principal may do `action` in `tenant`, which need not exist."""
        if self.is_installation_admin:
            return True
        return self.tenant in (tenant, EVERY_TENANT) and any(action in GRANTS[role] for role in self.roles)

    def require(self, action: Action, tenant: str) -> None:
        """AccessDeniedError unless `may`: the same for a tenant of others as for one that does not exist."""
        if not self.may(action, tenant):
            raise AccessDeniedError(action.value)
