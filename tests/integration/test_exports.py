"""The exports of the stores with real databases: one snapshot, in blocks, and what they hold on to."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from services.chassis.store import MAX_ID, Store
from tests.databases import Databases
from tests.integration.test_store import thing, with_store
from tests.processes import eventually


def test_an_export_is_one_snapshot_while_writes_go_on(databases: Databases) -> None:
    async def use(store: Store) -> None:
        before = [thing(number * 2) for number in range(1, 2_501)]
        await store.insert(before)
        blocks = store.export(0, None, {})
        # What is acknowledged before it is asked for the first block is in it, and nothing else.
        await store.insert([thing(10_000)])
        exported = await anext(blocks)
        await store.insert([thing(number) for number in (1, 3_001, 9_999, 10_001)])
        async for block in blocks:
            assert block.endswith(b"\n")
            exported += block
        assert exported == await store.ndjson([*range(2, 5_001, 2), 10_000])
        assert await store.count() == 2_505

    with_store(databases.of("things"), use)


@pytest.mark.parametrize(
    ("after", "limit", "equal", "ids"),
    [
        (0, None, {}, range(1, 2_502)),
        (2_499, None, {}, [2_500, 2_501]),
        (1_200, 1_000, {}, range(1_201, 2_201)),
        (0, 1_001, {}, range(1, 1_002)),
        (0, 3, {"name": "odd"}, [1, 3, 5]),
        (9, None, {"id": 10}, [10]),
        (MAX_ID, None, {}, []),
        (0, None, {"name": "neither"}, []),
    ],
)
def test_an_export_holds_what_a_page_of_that_size_would(
    databases: Databases, after: int, limit: int | None, equal: dict[str, object], ids: Sequence[int]
) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(number, "odd" if number % 2 else "even") for number in range(1, 2_502)])
        blocks = [block async for block in store.export(after, limit, equal)]
        assert b"".join(blocks) == await store.ndjson(list(ids))
        assert all(blocks)

    with_store(databases.of("things"), use)


async def open_exports(store: Store, how_many: int) -> list[AsyncGenerator[bytes]]:
    """Return so many exports of which the first block was read."""
    await store.insert([thing(number) for number in range(1, 3_001)])
    exports = [store.export(0, None, {}) for _ in range(how_many)]
    for export in exports:
        assert await anext(export)
    return exports


def test_exports_that_nobody_goes_on_with_take_no_thread_from_other_reads(databases: Databases) -> None:
    async def use(store: Store) -> None:
        exports = await open_exports(store, 10)
        async with asyncio.timeout(10):
            assert await store.count() == 3_000
        for export in exports:
            await export.aclose()

    with_store(databases.of("things"), use)


@pytest.mark.parametrize("how", ["closed", "cancelled", "read to its end"])
def test_an_export_that_has_ended_lets_its_snapshot_go(tmp_path: Path, how: str) -> None:
    def is_held() -> bool:
        # What is still read can't be taken out of the log (sqlite.org/pragma.html#pragma_wal_checkpoint).
        with closing(sqlite3.connect(tmp_path / "things.db", timeout=0)) as db:
            return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    async def use(store: Store) -> None:
        (export,) = await open_exports(store, 1)
        await store.insert([thing()])
        assert is_held()
        if how == "closed":
            await export.aclose()
        elif how == "cancelled":
            reading = asyncio.ensure_future(anext(export))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
        else:
            assert [block async for block in export]
        # A thread that was reading may still be at it.
        eventually(lambda: not is_held())

    with_store(tmp_path / "things.db", use)
