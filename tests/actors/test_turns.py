from __future__ import annotations

import asyncio

from actors.turns import Turns


async def test_a_flood_of_one_tenant_waits_for_itself_and_nobody_else_does() -> None:
    turns, done, free = Turns(2), list[str](), asyncio.Event()

    async def call(tenant: str, name: str) -> None:
        async with turns.of(tenant):
            if tenant == "loud":
                await free.wait()
            done.append(name)

    flood = [asyncio.create_task(call("loud", f"loud {n}")) for n in range(5)]
    await asyncio.sleep(0)
    await call("quiet", "quiet")
    free.set()
    await asyncio.gather(*flood)

    assert done == ["quiet", *(f"loud {n}" for n in range(5))]
    assert len(turns) == 0


async def test_a_caller_who_gives_up_in_line_leaves_no_trace() -> None:
    turns = Turns(1)
    async with turns.of("t"):
        waiting = asyncio.create_task(turns.of("t").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(turns) == 1

    assert len(turns) == 0
