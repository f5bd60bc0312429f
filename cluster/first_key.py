"""Makes the operator's API key, on the cluster itself: `python -m cluster.first_key ADDRESS [--another] < SETTINGS`.

A program of its own because Ray reads its environment when it is imported, and `tenancy up` decides that
environment. Settings are those of a Serve application (`serve_apps.settings`), as JSON on standard input. The answer
is one JSON object on standard output: `{"secret": …}`, null where there is such a key already and `--another`, for an
operator who lost it, was not given.
"""

from __future__ import annotations

import logging
import sys

import orjson
import ray

from cluster.answering import answering
from serve_apps.settings import AppSettings
from tenancy.analytics.security import ApiKeys, Role
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.storage.catalog.values import EVERY_TENANT

LABEL = "made at first start"
LABEL_OF_ANOTHER = "made by up --new-admin-key"
_ANOTHER = "--another"


def first_key(settings: AppSettings, another: bool) -> str | None:
    """The secret of a key that administers the installation; None where one was made before, revoked or not.

    With `another` one is made in any case. Keys there are stay valid: whoever uses them is not locked out.
    """
    catalog = Catalog.open(settings.load().storage)
    try:
        keys = ApiKeys(catalog)
        if another:
            return keys.create(EVERY_TENANT, [Role.ADMIN], LABEL_OF_ANOTHER).text
        if any(Role.ADMIN in key.roles for key in keys.list(EVERY_TENANT)):
            return None
        return keys.create(EVERY_TENANT, [Role.ADMIN], LABEL).text
    finally:
        catalog.close()


def main(address: str, another: bool) -> None:
    """Runs `first_key` on the head node, where a catalog in a file is."""
    out = answering()
    ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    settings = AppSettings.model_validate_json(sys.stdin.buffer.read())
    on_head = {"node:__internal_head__": 0.001}
    task = ray.remote(num_cpus=0, resources=on_head, max_retries=0)(first_key)
    secret = ray.get(task.remote(settings, another), timeout=60)
    with out:
        out.write(orjson.dumps({"secret": secret}))


if __name__ == "__main__":
    main(sys.argv[1], _ANOTHER in sys.argv[2:])
