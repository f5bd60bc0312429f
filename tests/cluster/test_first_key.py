from pathlib import Path

from cluster.first_key import LABEL, LABEL_OF_ANOTHER, first_key
from serve_apps.settings import AppSettings
from tenancy.analytics.security import ApiKeys, Role
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.storage.catalog.values import EVERY_TENANT


def test_another_key_is_made_only_when_asked_for_and_revokes_nothing(tmp_path: Path) -> None:
    settings = AppSettings(config={"storage": {"root": str(tmp_path)}})
    first = first_key(settings, another=False)
    assert first is not None
    assert first_key(settings, another=False) is None
    another = first_key(settings, another=True)
    assert another is not None
    catalog = Catalog.open(settings.load().storage)
    try:
        keys = ApiKeys(catalog)
        for text in (first, another):
            principal = keys.verify(text)
            assert (principal.tenant, principal.roles) == (EVERY_TENANT, frozenset({Role.ADMIN}))
        listed = keys.list(EVERY_TENANT)
        assert {key.label for key in listed} == {LABEL, LABEL_OF_ANOTHER}
        assert not any(key.revoked_at for key in listed)
    finally:
        catalog.close()


def test_the_first_key_of_a_storage_may_be_asked_for_as_another(tmp_path: Path) -> None:
    settings = AppSettings(config={"storage": {"root": str(tmp_path)}})
    assert first_key(settings, another=True) is not None
    assert first_key(settings, another=False) is None
