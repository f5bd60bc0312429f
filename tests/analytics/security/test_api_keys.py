"""API keys open what they were made for until they are revoked, and nobody can read them anywhere."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import AuthenticationError, CatalogUnavailableError, InvalidRequestError, UnknownNameError
from tenancy.analytics.security import api_keys
from tenancy.analytics.security.api_keys import ApiKeys
from tenancy.analytics.security.principals import Action, Role
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.storage.catalog.values import EVERY_TENANT
from tenancy.analytics.testing import ManualClock

CHEAP = {"n": 16, "r": 1, "p": 1}


@pytest.fixture
def keys(catalog: Catalog, clock: ManualClock) -> ApiKeys:
    return ApiKeys(catalog, clock, cache_seconds=2.0, cost=CHEAP)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many hashes were computed since the test began."""
    count = 0
    scrypt = hashlib.scrypt

    def counted(*given: Any, **settings: Any) -> bytes:
        nonlocal count
        count += 1
        return scrypt(*given, **settings)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    return lambda: count


def test_a_key_says_who_its_holder_is(keys: ApiKeys) -> None:
    made = keys.create("tenant_001", ["analyst", "writer"], label="notebook")
    principal = keys.verify(made.text)
    assert principal.key_id == made.key.id
    assert principal.tenant == "tenant_001"
    assert principal.roles == {Role.ANALYST, Role.WRITER}
    assert principal.may(Action.QUERY, "tenant_001")


def test_a_key_has_the_form_that_is_documented(keys: ApiKeys) -> None:
    made = keys.create("tenant_001", ["writer"])
    prefix, id, secret = made.text.split("_", 2)
    assert prefix == "tk"
    assert len(id) >= 12
    assert len(secret) == 43  # 256 bits in base64
    assert made.key.id == id


def test_a_key_of_the_installation_reaches_every_tenant(keys: ApiKeys) -> None:
    principal = keys.verify(keys.create(EVERY_TENANT, ["admin"]).text)
    assert principal.may(Action.MANAGE_TENANTS, "tenant_002")


def test_the_real_cost_is_what_is_stored_with_the_hash(catalog: Catalog) -> None:
    made = ApiKeys(catalog).create("tenant_001", ["writer"])
    row = catalog.api_key(made.key.id)
    assert row is not None
    assert row.parameters == {"n": 2**8, "r": 8, "p": 1}
    # A key goes on working when the cost of new ones changes.
    assert ApiKeys(catalog, cost=CHEAP).verify(made.text).key_id == made.key.id


def test_no_secret_is_stored_or_shown(keys: ApiKeys, catalog: Catalog, tmp_path: Path) -> None:
    made = keys.create("tenant_001", ["writer"])
    secret = made.text.split("_", 2)[2]
    keys.verify(made.text)
    assert (
        secret
        not in f"{made!r} {made.key!r} {keys.list('tenant_001')!r} {vars(keys)!r} {catalog.api_key(made.key.id)!r}"
    )
    catalog.close()
    assert not any(secret.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_equal_secrets_would_have_different_hashes(keys: ApiKeys, catalog: Catalog) -> None:
    rows = [catalog.api_key(keys.create("tenant_001", ["writer"]).key.id) for _ in range(2)]
    assert rows[0] is not None
    assert rows[1] is not None
    assert rows[0].salt != rows[1].salt


def test_every_refusal_is_the_same_whatever_is_wrong(keys: ApiKeys) -> None:
    good, revoked = keys.create("tenant_001", ["writer"]), keys.create("tenant_001", ["writer"])
    keys.revoke("tenant_001", revoked.key.id)
    other = keys.create("tenant_002", ["writer"])
    last = "A" if good.text[-5] != "A" else "B"
    wrong = [
        "",
        "tk_",
        "Bearer " + good.text,
        good.text + "\n",
        good.text[:-1],
        good.text[:-5] + last + good.text[-4:],
        good.text.upper(),
        f"tk_{good.key.id}_{other.text.split('_', 2)[2]}",
        f"tk_{'a' * 16}_{good.text.split('_', 2)[2]}",
        "\ud800" + good.text,
        "tk_' OR 1=1 --_" + "A" * 43,
        revoked.text,
    ]
    said = set()
    for text in wrong:
        with pytest.raises(AuthenticationError) as caught:
            keys.verify(text)
        said.add(str(caught.value))
    assert len(said) == 1
    assert keys.verify(good.text).key_id == good.key.id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.text())
def test_no_text_breaks_verification(keys: ApiKeys, text: str) -> None:
    with pytest.raises(AuthenticationError):
        keys.verify(text)


def test_a_hash_is_paid_for_once_not_for_every_request(
    keys: ApiKeys, clock: ManualClock, hashes: Callable[[], int]
) -> None:
    made = keys.create("tenant_001", ["writer"])
    before = hashes()
    for _ in range(5):
        for _ in range(20):
            keys.verify(made.text)
        clock.advance(timedelta(seconds=3))  # looked up again, but not hashed again
    assert hashes() == before + 1


def test_many_first_calls_at_once_pay_for_one_hash(keys: ApiKeys, hashes: Callable[[], int]) -> None:
    made = keys.create("tenant_001", ["writer"])
    before = hashes()
    with ThreadPoolExecutor(8) as pool:
        ids = {principal.key_id for principal in pool.map(keys.verify, [made.text] * 32)}
    assert ids == {made.key.id}
    assert hashes() == before + 1


def wrong(text: str, number: int = 0) -> str:
    """The id of this key with another secret."""
    return f"{text[:-43]}{number:A>43}"


def test_a_wrong_secret_that_is_repeated_costs_one_hash(
    keys: ApiKeys, clock: ManualClock, hashes: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = wrong(keys.create("tenant_001", ["writer"]).text)
    before = hashes()

    def refused(_: int) -> None:
        with pytest.raises(AuthenticationError):
            keys.verify(text)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(refused, range(32)))
    clock.advance(timedelta(seconds=3))
    refused(0)
    assert hashes() == before + 1
    monkeypatch.setattr(keys, "_rows", None)  # nothing is looked up either
    refused(0)


def test_wrong_secrets_for_one_key_keep_no_other_waiting(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    attacked, other = (keys.create("tenant_001", ["writer"]) for _ in range(2))
    salts: list[bytes] = []
    began, go_on = threading.Event(), threading.Event()
    scrypt = hashlib.scrypt

    def slow(secret: bytes, *, salt: bytes, **settings: Any) -> bytes:
        salts.append(salt)
        if len(salts) == 1:
            began.set()
            assert go_on.wait(30)
        return scrypt(secret, salt=salt, **settings)

    monkeypatch.setattr(hashlib, "scrypt", slow)
    with ThreadPoolExecutor(4) as pool:
        attempts = [pool.submit(keys.verify, wrong(attacked.text, number)) for number in range(4)]
        assert began.wait(30)
        assert keys.verify(other.text).key_id == other.key.id
        assert len(salts) == 2, "those of one key wait for each other"
        go_on.set()
    assert [type(attempt.exception()) for attempt in attempts] == [AuthenticationError] * 4
    assert len(keys._turns) == 0


def test_an_unknown_id_costs_no_hash(keys: ApiKeys, hashes: Callable[[], int]) -> None:
    with pytest.raises(AuthenticationError):
        keys.verify(f"tk_{'a' * 16}_{'A' * 43}")
    assert hashes() == 0


def test_a_key_revoked_here_stops_at_once(keys: ApiKeys) -> None:
    made = keys.create("tenant_001", ["writer"])
    keys.verify(made.text)
    keys.revoke("tenant_001", made.key.id)
    with pytest.raises(AuthenticationError):
        keys.verify(made.text)


def test_a_key_revoked_elsewhere_stops_within_the_time_of_the_cache(
    keys: ApiKeys, catalog: Catalog, clock: ManualClock
) -> None:
    made = keys.create("tenant_001", ["writer"])
    keys.verify(made.text)
    ApiKeys(catalog, clock, cost=CHEAP).revoke("tenant_001", made.key.id)
    clock.advance(timedelta(seconds=1.9))
    keys.verify(made.text)
    clock.advance(timedelta(seconds=0.1))
    with pytest.raises(AuthenticationError):
        keys.verify(made.text)


def test_without_a_cache_a_key_revoked_elsewhere_stops_at_once(catalog: Catalog, clock: ManualClock) -> None:
    here, there = (ApiKeys(catalog, clock, cache_seconds=0, cost=CHEAP) for _ in range(2))
    made = here.create("tenant_001", ["writer"])
    here.verify(made.text)
    there.revoke("tenant_001", made.key.id)
    with pytest.raises(AuthenticationError):
        here.verify(made.text)


def test_keys_known_already_are_honoured_for_a_while_without_a_catalog(
    catalog: Catalog, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ApiKeys(catalog, clock, cache_seconds=2.0, grace_seconds=60.0, cost=CHEAP)
    known = keys.create(EVERY_TENANT, ["admin"]).text
    unknown = keys.create(EVERY_TENANT, ["admin"]).text
    keys.verify(known)

    def out_of_reach(_id: str) -> None:
        raise CatalogUnavailableError("connection refused")

    monkeypatch.setattr(catalog, "api_key", out_of_reach)
    clock.advance(timedelta(seconds=61.9))

    assert keys.verify(known).roles
    with pytest.raises(CatalogUnavailableError):
        keys.verify(unknown)
    clock.advance(timedelta(seconds=0.2))
    with pytest.raises(CatalogUnavailableError):
        keys.verify(known)


def test_the_cache_is_bounded(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "_MOST_CACHED", 3)
    for _ in range(5):
        keys.verify(keys.create("tenant_001", ["writer"]).text)
    made = keys.create("tenant_001", ["writer"])
    for number in range(5):
        with pytest.raises(AuthenticationError):
            keys.verify(wrong(made.text, number))
    assert (len(keys._proven), len(keys._refused)) == (3, 3)


def test_a_tenant_cannot_revoke_the_key_of_another(keys: ApiKeys) -> None:
    made = keys.create("tenant_001", ["writer"])
    with pytest.raises(UnknownNameError, match=made.key.id):
        keys.revoke("tenant_002", made.key.id)
    keys.verify(made.text)


def test_revoking_twice_is_an_error_that_names_the_key(keys: ApiKeys) -> None:
    made = keys.create("tenant_001", ["writer"])
    keys.revoke("tenant_001", made.key.id)
    with pytest.raises(UnknownNameError, match=made.key.id):
        keys.revoke("tenant_001", made.key.id)


def test_keys_are_listed_by_tenant_with_their_state(keys: ApiKeys, clock: ManualClock) -> None:
    first = keys.create("tenant_001", ["writer"], label="loader").key
    clock.advance(timedelta(seconds=1))
    second = keys.create("tenant_001", ["analyst"]).key
    keys.create("tenant_002", ["analyst"])
    keys.revoke("tenant_001", first.id)
    listed = keys.list("tenant_001")
    assert [key.id for key in listed] == [first.id, second.id]
    assert listed[0].label == "loader"
    assert listed[0].revoked_at == clock.now()
    assert listed[1] == second


@pytest.mark.parametrize("roles", [[], ["owner"], ["writer", "root"]])
def test_an_unknown_role_or_none_is_refused_with_the_known_ones(keys: ApiKeys, roles: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="admin, writer, analyst"):
        keys.create("tenant_001", roles)


def test_a_key_for_nobody_is_refused(keys: ApiKeys) -> None:
    with pytest.raises(UnknownNameError):
        keys.create("tenant_003", ["writer"])
    with pytest.raises(InvalidRequestError):
        keys.create("../tenant_001", ["writer"])


def test_a_verified_key_is_recalled_without_waiting_until_its_time_is_over(keys: ApiKeys, clock: ManualClock) -> None:
    made = keys.create("tenant_001", ["writer"])
    assert keys.recall(made.text) is None
    principal = keys.verify(made.text)
    assert keys.recall(made.text) == principal
    clock.advance(timedelta(seconds=2))
    assert keys.recall(made.text) is None
    keys.verify(made.text)
    keys.revoke("tenant_001", made.key.id)
    assert keys.recall(made.text) is None
