"""Several processes use one catalog at once, from its very first start."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing

from tenancy.analytics.storage.catalog import Catalog

TIMES = 40
PROCESSES = 2

PROGRAM = """
import sys
from tenancy.analytics.storage.catalog import Catalog, Change, WalPosition
from tenancy.analytics.storage.snapshot import Segment

url, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.stdin.readline()                      # all begin together
catalog = Catalog(url)
catalog.migrate()
catalog.create_tenant("shared")
catalog.create_tenant(name)
shared, own = catalog.tenant("shared"), catalog.tenant(name)
epoch = own.raise_epoch()
for number in range(times):
    shared.raise_epoch()
    segment = Segment(f"{number:04d}", f"{name}/{number}", 1, 1, None, None, {})
    own.commit(Change("plays", {"plays": (segment,)}, {}, WalPosition(epoch, number)), epoch)
    assert own.epoch() == epoch
catalog.close()
"""


def test_two_processes_create_migrate_and_commit_at_once(catalog_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, catalog_url, f"own-{number}", str(TIMES)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    said: dict[int, str] = {}

    def talk(number: int) -> None:
        said[number] = processes[number].communicate("go\n", timeout=60)[1]

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.returncode for process in processes] == [0] * PROCESSES, said
    with closing(Catalog(catalog_url)) as catalog:
        assert catalog.tenant("shared").epoch() == PROCESSES * TIMES
        for number in range(PROCESSES):
            assert len(catalog.tenant(f"own-{number}").segments("plays")) == TIMES


def test_many_threads_write_and_read_without_getting_in_their_way(catalog: Catalog) -> None:
    catalog.create_tenant("shared")
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            rows = catalog.tenant("shared")
            for step in range(10):
                rows.save_source_offset(f"source-{number}", str(step))
                assert rows.source_offset(f"source-{number}") == str(step)
                assert rows.epoch() == 0
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
