"""Who calls, and whether they may: a bearer API key (RFC 6750) and, for every route, one action.

A dependency runs before the body is read. It never looks whether the tenant exists, so a key that does not reach a
tenant learns nothing: the answer is 403 either way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serve_apps.services import services
from tenancy.analytics.errors import AuthenticationError
from tenancy.analytics.security import Action, ApiKeys, Principal
from tenancy.analytics.storage.catalog.values import EVERY_TENANT
from tenancy.analytics.types import tenant_id

_SCHEME = HTTPBearer(scheme_name="API key", description="A key made with `tenancy key create`", auto_error=False)

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]


async def principal(keys: ApiKeys, credentials: HTTPAuthorizationCredentials | None) -> Principal:
    """The holder of the key. Raises AuthenticationError, always the same one, when there is none."""
    if credentials is None or not credentials.credentials:
        raise AuthenticationError
    recalled = keys.recall(credentials.credentials)
    if recalled is not None:
        return recalled
    return await asyncio.to_thread(keys.verify, credentials.credentials)


def allowed(action: Action) -> Callable[[Request, str, Credentials], AsyncIterator[Principal]]:
    """The dependency of a route below `/v1/tenants/{tenant}` that does `action`.

    It raises AuthenticationError, AccessDeniedError, and for a key that reaches every tenant InvalidRequestError
    where the name is none that a tenant may have. Who may also takes one of the tenant's slots in this replica, until
    the answer is sent, or LimitExceededError is raised.
    """

    async def dependency(request: Request, tenant: str, credentials: Credentials) -> AsyncIterator[Principal]:
        held = services(request)
        caller = await principal(held.keys, credentials)
        caller.require(action, tenant)
        if tenant != EVERY_TENANT or action is not Action.MANAGE_KEYS:
            tenant_id(tenant)
        with held.edge.at_work(tenant):
            yield caller

    return dependency


async def operator(request: Request, credentials: Credentials) -> Principal:
    """The dependency of a route over all tenants: a key of the installation with the role `admin`."""
    caller = await principal(services(request).keys, credentials)
    caller.require(Action.MANAGE_TENANTS, EVERY_TENANT)
    return caller
