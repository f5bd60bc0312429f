"""How fast events come in over HTTP: 8 connections, NDJSON batches of 1,000, each answered when it is durable.

Measured with the throughput-optimised mode of Serve and HAProxy in front, and with Serve's defaults; and the time to
a durable acknowledgement when events come at half of the measured rate, whether or not answers keep up (open loop).
Client and service share the machine.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.clusters import Service, a_service
from benchmarks.engines import TENANT
from benchmarks.report import Measurement, Report, at_least, at_most, median, percentile
from benchmarks.workload import ndjson

BATCH = 1_000
CONNECTIONS = 8
ROUND_S = 6.0
ROUNDS = 5
BODY = ndjson(BATCH)
PATH = f"/v1/tenants/{TENANT}/datasets/user_interactions/events"


def flood(service: Service, path: str) -> float:
    """Events a second when every connection sends the next batch as soon as the last is acknowledged."""

    def send(_: int) -> int:
        connection, sent = service.connection(), 0
        until = time.perf_counter() + ROUND_S
        while time.perf_counter() < until:
            answer = connection.call("POST", path, BODY, "application/x-ndjson")
            sent += answer["counts"]["accepted"]
        return sent

    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        sent = sum(pool.map(send, range(CONNECTIONS)))
    return sent / (time.perf_counter() - started)


def paced(service: Service, path: str, rate: float) -> list[float]:
    """Seconds from when each batch was due until it was acknowledged, at `rate` events a second."""
    total = int(rate * ROUND_S * 2 / BATCH)
    due = iter(range(total))
    lock = threading.Lock()
    started = time.perf_counter() + 0.1

    def send(_: int) -> list[float]:
        connection = service.connection()
        taken: list[float] = []
        while True:
            with lock:
                index = next(due, None)
            if index is None:
                return taken
            at = started + index * BATCH / rate
            time.sleep(max(0.0, at - time.perf_counter()))
            connection.call("POST", path, BODY, "application/x-ndjson")
            taken.append(time.perf_counter() - at)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [seconds for part in pool.map(send, range(CONNECTIONS)) for seconds in part]


def measure() -> Report:
    found = []
    with a_service() as service:
        flood(service, PATH)
        rate = median([flood(service, PATH) for _ in range(ROUNDS)])
        found.append(at_least("8 connections, HAProxy and throughput mode", rate, "events/s", 100_000))
        taken = [seconds for _ in range(3) for seconds in paced(service, PATH, min(rate, 100_000) / 2)]
        found.append(Measurement("acknowledgement at 50,000 events/s, p50", 1e3 * median(taken), "ms"))
        found.append(at_most("acknowledgement at 50,000 events/s, p99", 1e3 * percentile(taken, 0.99), "ms", 100))
    with a_service(haproxy=False, throughput=False) as service:
        flood(service, PATH)
        plain = median([flood(service, PATH) for _ in range(ROUNDS)])
        found.append(Measurement("8 connections, Serve's defaults", plain, "events/s"))
        found.append(Measurement("HAProxy and throughput mode against Serve's defaults", rate / plain, "×"))
    return Report("ingest_http", tuple(found))


if __name__ == "__main__":
    measure().save()
