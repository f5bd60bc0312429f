"""Roles reach what they are for, and nothing of another tenant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.errors import AccessDeniedError
from tenancy.analytics.security.principals import Action, Principal, Role
from tenancy.analytics.storage.catalog.values import EVERY_TENANT

some_roles = st.frozensets(st.sampled_from(list(Role)), min_size=1)
some_action = st.sampled_from(list(Action))

ALLOWED = {
    Role.ADMIN: set(Action) - {Action.MANAGE_TENANTS},
    Role.WRITER: {Action.INGEST, Action.LIST_DATASETS},
    Role.ANALYST: {Action.QUERY, Action.EXPLAIN, Action.LIST_DATASETS, Action.READ_QUARANTINE},
}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_do_exactly_what_it_is_for(role: Role) -> None:
    principal = Principal("k", "tenant_001", frozenset({role}))
    assert {action for action in Action if principal.may(action, "tenant_001")} == ALLOWED[role]


@given(some_roles, some_action)
def test_no_role_reaches_another_tenant(roles: frozenset[Role], action: Action) -> None:
    assert not Principal("k", "tenant_001", roles).may(action, "tenant_002")
    assert not Principal("k", "tenant_001", roles).may(action, EVERY_TENANT)


@given(some_roles, some_roles, some_action)
def test_roles_add_up(some: frozenset[Role], more: frozenset[Role], action: Action) -> None:
    def may(roles: frozenset[Role]) -> bool:
        return Principal("k", "tenant_001", roles).may(action, "tenant_001")

    assert may(some | more) == (may(some) or may(more))


@given(some_action)
def test_the_admin_of_the_installation_may_do_everything(action: Action) -> None:
    admin = Principal("k", EVERY_TENANT, frozenset({Role.ADMIN}))
    assert admin.is_installation_admin
    assert admin.may(action, "tenant_001")
    assert admin.may(action, EVERY_TENANT)


def test_an_analyst_of_the_installation_reads_every_tenant_and_changes_none() -> None:
    analyst = Principal("k", EVERY_TENANT, frozenset({Role.ANALYST}))
    assert analyst.may(Action.QUERY, "tenant_001")
    assert not analyst.may(Action.INGEST, "tenant_001")
    assert not analyst.may(Action.MANAGE_TENANTS, EVERY_TENANT)


def test_a_refusal_says_what_and_never_whose() -> None:
    with pytest.raises(AccessDeniedError) as caught:
        Principal("k", "tenant_001", frozenset({Role.ADMIN})).require(Action.QUERY, "tenant_002")
    assert "may not query" in str(caught.value)
    assert "tenant_00" not in f"{caught.value} {caught.value.args}"
