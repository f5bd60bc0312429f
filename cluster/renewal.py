"""Replaces the directory and then every host, live: `python -m cluster.renewal ADDRESS < SETTINGS`.

A program of its own because Ray reads its environment when it is imported. Settings are those of a Serve application,
as JSON on standard input. The answer is one JSON object on standard output: `{"hosts": …, "tenants": …}`.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import orjson
import ray

from actors.directory_handle import DirectoryHandle
from cluster.answering import answering
from serve_apps.settings import AppSettings
from tenancy.analytics.errors import UnknownNameError


async def renew(settings: AppSettings) -> dict[str, int]:
    """How many hosts were replaced, and how many tenants moved."""
    directory = DirectoryHandle(settings.load())
    await directory.replace()
    hosts = tenants = 0
    for host in await directory.hosts():
        try:
            tenants += len(await directory.renew(host.name))
        except UnknownNameError:  # it died meanwhile, and whoever comes in its place is new
            continue
        hosts += 1
    return {"hosts": hosts, "tenants": tenants}


def main(address: str) -> None:
    """Runs `renew` as a driver of the cluster."""
    out = answering()
    ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    told = asyncio.run(renew(AppSettings.model_validate_json(sys.stdin.buffer.read())))
    with out:
        out.write(orjson.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
