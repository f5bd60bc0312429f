"""A peer: one process, FastAPI, and for each tenant a DuckDB database in a file of its own.

What a good engineer writes in an afternoon, and an honest one: a batch and its idempotency key are one transaction, an
answer means that it is durable, keys open one tenant only, a removed tenant's file is gone. It has no scheduler, no
limits and no memory budget between tenants; what that costs is what the benchmark shows.

`python -m benchmarks.tenantbench.peer_server FOLDER PORT OPERATOR_KEY`
"""

from __future__ import annotations

import secrets
import sqlite3
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.json as pj
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

OPEN_FILES = 256
_TABLES = """
CREATE TABLE IF NOT EXISTS events (marker VARCHAR, batch VARCHAR, n BIGINT, user_id VARCHAR, action VARCHAR,
                                   value BIGINT, timestamp VARCHAR);
CREATE TABLE IF NOT EXISTS sent (key VARCHAR PRIMARY KEY);
"""
_COLUMNS = ("marker", "batch", "n", "user_id", "action", "value", "timestamp")
_SCHEMA = pa.schema(
    [(name, pa.int64() if name in ("n", "value") else pa.string()) for name in _COLUMNS],
)


class Tenants:
    """Tenants and keys in one SQLite file, events in a DuckDB file for each tenant; the last used ones are open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[str, tuple[duckdb.DuckDBPyConnection, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()
        self._names = sqlite3.connect(folder / "tenants.sqlite", check_same_thread=False, isolation_level=None)
        self._names.execute("PRAGMA journal_mode=WAL")
        self._names.execute("CREATE TABLE IF NOT EXISTS tenants (name TEXT PRIMARY KEY)")
        self._names.execute("CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, tenant TEXT)")

    def register(self, tenant: str) -> None:
        with self._lock:
            self._names.execute("INSERT OR IGNORE INTO tenants VALUES (?)", (tenant,))

    def issue(self, tenant: str) -> str:
        key = secrets.token_hex(16)
        with self._lock:
            self._names.execute("INSERT INTO keys VALUES (?, ?)", (key, tenant))
        return key

    def owner(self, key: str) -> str | None:
        with self._lock:
            row = self._names.execute("SELECT tenant FROM keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def store(self, tenant: str, rows: pa.Table, key: str | None) -> bool:
        """Whether it was stored now; False for a key that was seen before."""
        connection, lock = self._connection(tenant)
        with lock:
            cursor = connection.cursor()
            cursor.execute("BEGIN")
            try:
                if key is not None:
                    if cursor.execute("SELECT 1 FROM sent WHERE key = ?", (key,)).fetchone():
                        cursor.execute("ROLLBACK")
                        return False
                    cursor.execute("INSERT INTO sent VALUES (?)", (key,))
                cursor.register("given", rows)
                cursor.execute(f"INSERT INTO events SELECT {', '.join(_COLUMNS)} FROM given")
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
        return True

    def ask(self, tenant: str, sql: str) -> list[dict[str, Any]]:
        connection, _ = self._connection(tenant)
        cursor = connection.cursor().execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def erase(self, tenant: str) -> None:
        with self._lock:
            self._names.execute("DELETE FROM tenants WHERE name = ?", (tenant,))
            self._names.execute("DELETE FROM keys WHERE tenant = ?", (tenant,))
            held = self._open.pop(tenant, None)
        if held is not None:
            held[0].close()
        for path in self._folder.glob(f"{tenant}.duckdb*"):
            path.unlink()

    def _connection(self, tenant: str) -> tuple[duckdb.DuckDBPyConnection, threading.Lock]:
        with self._lock:
            held = self._open.get(tenant)
            if held is None:
                connection = duckdb.connect(str(self._folder / f"{tenant}.duckdb"))
                connection.execute(_TABLES)
                held = self._open[tenant] = connection, threading.Lock()
                if len(self._open) > OPEN_FILES:
                    # A cursor that is still in use keeps its database open until it is done.
                    self._open.popitem(last=False)
            self._open.move_to_end(tenant)
            return held


_QUESTIONS = {
    "count": "SELECT count(*) AS count FROM events",
    "by_action": "SELECT action, count(*) AS count, avg(value) AS avg_value FROM events GROUP BY action",
    "heavy": "SELECT user_id, count(*) AS count, count(DISTINCT n) AS distinct_n,"
    " quantile_cont(value, 0.95) AS p95_value FROM events GROUP BY user_id ORDER BY user_id",
    "tally": "SELECT marker, batch, count(*) AS count, sum(n)::BIGINT AS sum_n FROM events GROUP BY marker, batch",
}


def application(tenants: Tenants, operator_key: str) -> FastAPI:
    """The routes."""
    app = FastAPI()

    def allowed(request: Request, tenant: str | None) -> None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key == operator_key:
            return
        if tenant is None or tenants.owner(key) != tenant:
            raise HTTPException(403)

    @app.put("/tenants/{tenant}")
    async def register(request: Request, tenant: str) -> Response:
        allowed(request, None)
        await run_in_threadpool(tenants.register, tenant)
        return Response(status_code=204)

    @app.post("/tenants/{tenant}/keys")
    async def issue(request: Request, tenant: str) -> Response:
        allowed(request, None)
        return Response(orjson.dumps({"key": await run_in_threadpool(tenants.issue, tenant)}))

    @app.delete("/tenants/{tenant}")
    async def erase(request: Request, tenant: str) -> Response:
        allowed(request, None)
        await run_in_threadpool(tenants.erase, tenant)
        return Response(status_code=204)

    @app.post("/tenants/{tenant}/events")
    async def events(request: Request, tenant: str) -> Response:
        allowed(request, tenant)
        body = await request.body()

        def stored() -> bool:
            options = pj.ParseOptions(explicit_schema=_SCHEMA)
            rows = pj.read_json(pa.BufferReader(body), parse_options=options)
            return tenants.store(tenant, rows, request.headers.get("idempotency-key"))

        return Response(orjson.dumps({"stored": await run_in_threadpool(stored)}))

    @app.post("/tenants/{tenant}/ask/{question}")
    async def ask(request: Request, tenant: str, question: str) -> Response:
        allowed(request, tenant)
        return Response(orjson.dumps(await run_in_threadpool(tenants.ask, tenant, _QUESTIONS[question])))

    @app.get("/ready")
    async def ready() -> Response:
        return Response(status_code=204)

    return app


def main() -> None:
    folder, port, operator_key = sys.argv[1:]
    uvicorn.run(application(Tenants(Path(folder)), operator_key), port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
