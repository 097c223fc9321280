"""The stores with real databases: what is stored, what is visible when, and what SQLite's refuses to open."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest

from services.chassis.errors import CannotStart, OutcomeUnknown, StoreUnavailable
from services.chassis.store import MAX_ID, Inserted, Outcome, Store, make_store
from services.chassis.store.sqlite import BLOCK
from tests.databases import Database, Databases

Answer = TypeVar("Answer")
COLUMNS = {"id": int, "name": str, "price": Decimal}


def with_store(kept: Path | Database, use: Callable[[Store], Awaitable[Answer]], unique: Sequence[str] = ()) -> Answer:
    """Open the store, use it, close it."""

    async def scenario() -> Answer:
        url = f"sqlite:///{kept}" if isinstance(kept, Path) else kept.url
        store = make_store(url, "things", COLUMNS, unique)
        await store.open()
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(scenario())


def thing(record_id: int | None = None, name: str = "a", price: str = "1.00") -> dict[str, object]:
    record: dict[str, object] = {"name": name, "price": Decimal(price)}
    return record if record_id is None else {"id": record_id, **record}


def outcomes(inserted: Inserted) -> list[Outcome]:
    return [inserted.others.get(position, "created") for position in range(len(inserted.ids))]


def query(file: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as db:
        return db.execute(sql).fetchall()


def test_each_record_of_a_batch_gets_its_own_outcome(databases: Databases) -> None:
    async def use(store: Store) -> None:
        assert outcomes(await store.insert([thing(1), thing(2)])) == ["created", "created"]
        batch = [thing(1), thing(2, name="other"), thing(3), thing(3), thing(3, price="2.00")]
        assert outcomes(await store.insert(batch)) == [
            "unchanged",
            "conflict",
            "created",
            "unchanged",
            "conflict",
        ]
        assert await store.get(2) == {"id": 2, "name": "a", "price": "1.00"}
        assert await store.count() == 3

    with_store(databases.of("things"), use)


@pytest.mark.parametrize("unique", [[], ["name"]])
def test_an_empty_batch_is_stored_too(databases: Databases, unique: list[str]) -> None:
    async def use(store: Store) -> None:
        assert await store.insert([]) == Inserted([], {})

    with_store(databases.of("things"), use, unique)


def test_a_batch_of_many_blocks_is_stored_whole_or_sorted_out(databases: Databases) -> None:
    async def use(store: Store) -> None:
        first = [thing(number) for number in range(1, 2 * BLOCK + 3)]
        assert await store.insert(first) == Inserted(list(range(1, 2 * BLOCK + 3)), {})
        second = [thing(number) for number in range(BLOCK, 4 * BLOCK)]
        again = range(BLOCK + 3)
        assert (await store.insert(second)).others == dict.fromkeys(again, "unchanged")
        assert await store.count() == 4 * BLOCK - 1

    with_store(databases.of("things"), use)


def test_records_are_given_as_lines_of_json_by_id(databases: Databases) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(3, 'say "hi"\n', "0.10"), thing(1, "é", "1234567.00"), thing(2)])
        lines = b'{"id":1,"name":"\xc3\xa9","price":1234567.00}\n{"id":3,"name":"say \\"hi\\"\\n","price":0.10}\n'
        assert await store.ndjson([3, 4, 1, 3]) == lines
        assert await store.ndjson([7]) == b""

    with_store(databases.of("things"), use)


@pytest.mark.parametrize("more", [0, 300])
def test_every_text_is_kept_as_it_is(databases: Databases, more: int) -> None:
    texts = [
        "",
        "\\",
        "\\N",
        "\\.",
        "\\t",
        "a\tb",
        "\n",
        "\r",
        "\r\n",
        "NULL",
        '"',
        "'",
        "{,}",
        "\x01\x7f",
        "é\u2028😀",
        " ",
        "'); DROP TABLE things;--",
        "שלום",
        "🎉" * 200,
        '"\\/',
    ]
    kept = databases.of("things")

    async def use(store: Store) -> None:
        await store.insert([thing(place, text, "0.10") for place, text in enumerate(texts * 2 + ["more"] * more, 1)])
        assert [row["name"] for row in await store.page(0, 2 * len(texts), {})] == texts * 2
        lines = (await store.ndjson(range(1, len(texts) + 1))).splitlines()
        assert [json.loads(line)["name"] for line in lines] == texts
        assert await store.count() == 2 * len(texts) + more

    with_store(kept, use)
    assert kept.rows("SELECT name, price FROM things ORDER BY id")[: len(texts)] == [(text, "0.10") for text in texts]


def test_records_without_an_id_get_the_next_ones(databases: Databases) -> None:
    async def use(store: Store) -> None:
        assert (await store.insert([thing(), thing(7), thing(), thing()])).ids == [8, 7, 9, 10]
        assert (await store.insert([thing()])).ids == [11]

    with_store(databases.of("things"), use)


def test_when_the_greatest_id_is_taken_none_is_assigned_and_the_others_are_stored(databases: Databases) -> None:
    async def use(store: Store) -> None:
        stored = await store.insert([thing(MAX_ID), thing(), thing(5)])
        assert outcomes(stored) == ["created", "no-id-left", "created"]
        assert await store.count() == 2

    with_store(databases.of("things"), use)


def test_of_one_transaction_duplicates_are_decided_in_the_order_of_the_ids(databases: Databases) -> None:
    async def use(store: Store) -> None:
        batch = [thing(), thing(9), thing(5), thing(7, price="2"), thing(5, "b"), thing(7, "b"), thing(name="c")]
        refused: dict[int, Outcome] = {0: "duplicate", 1: "duplicate", 3: "duplicate", 4: "conflict"}
        assert await store.insert(batch) == Inserted([0, 9, 5, 7, 5, 7, 8], refused, {0: 5, 1: 5, 3: 5})
        assert await store.insert([thing(1, "c")]) == Inserted([1], {0: "duplicate"}, {0: 8})

    with_store(databases.of("things"), use, ["name"])


def test_a_duplicate_does_not_take_the_last_id_from_others(databases: Databases) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(MAX_ID - 2)])
        stored = await store.insert(
            [thing(), thing(MAX_ID), thing(name="b"), thing(name="c"), thing(name="d"), thing()]
        )
        assert stored.ids == [0, MAX_ID, MAX_ID - 1, MAX_ID, 0, 0]
        assert outcomes(stored) == ["duplicate", "duplicate", "created", "created", "no-id-left", "duplicate"]

    with_store(databases.of("things"), use, ["name"])


def test_of_many_old_duplicates_the_lowest_id_is_named(databases: Databases) -> None:
    async def fill(store: Store) -> None:
        await store.insert([thing(number) for number in range(40_000, 10, -1)])

    async def use(store: Store) -> None:
        # Were all of them looked at for each record, this would take minutes.
        stored = await store.insert([thing(40_000 + number) for number in range(8_000)])
        assert outcomes(stored) == ["unchanged", *["duplicate"] * 7_999]
        assert set(stored.holders.values()) == {11}

    with_store(databases.of("things"), fill)
    with_store(databases.of("things"), use, ["name", "price"])


def test_what_was_acknowledged_is_visible_to_another_connection(databases: Databases) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(1)])
        assert databases.of("things").rows("SELECT id FROM things") == [(1,)]

    with_store(databases.of("things"), use)


def test_every_commit_is_synced(tmp_path: Path) -> None:
    async def use(store: Store) -> None:
        # 2 is FULL (sqlite.org/pragma.html#pragma_synchronous); it belongs to the connection that writes.
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # type: ignore[attr-defined]  # noqa: SLF001
        assert query(tmp_path / "things.db", "PRAGMA journal_mode") == [("wal",)]

    with_store(tmp_path / "things.db", use)


def test_no_statement_needs_a_folder_for_temporary_files(tmp_path: Path) -> None:
    async def use(store: Store) -> None:
        # 2 is MEMORY (sqlite.org/pragma.html#pragma_temp_store).
        assert store._writer.execute("PRAGMA temp_store").fetchone() == (2,)  # type: ignore[attr-defined]  # noqa: SLF001

    with_store(tmp_path / "things.db", use)


def test_the_table_validates_nothing(tmp_path: Path) -> None:
    async def use(_: Store) -> None:
        pass

    with_store(tmp_path / "things.db", use)
    ((sql,),) = query(tmp_path / "things.db", "SELECT sql FROM sqlite_schema WHERE type = 'table'")
    assert sql == "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, price TEXT)"
    assert query(tmp_path / "things.db", "SELECT count(*) FROM sqlite_schema") == [(1,)]


def test_pages_follow_the_ids_and_filter_by_equality(databases: Databases) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(number, name="odd" if number % 2 else "even") for number in (5, 3, 9, 4, 8)])
        assert [row["id"] for row in await store.page(3, 2, {})] == [4, 5]
        assert [row["id"] for row in await store.page(0, 9, {"name": "odd"})] == [3, 5, 9]
        assert [row["id"] for row in await store.page(0, 9, {"price": Decimal("1.00"), "id": 8})] == [8]

    with_store(databases.of("things"), use)


def test_missing_ids_are_named_once_and_in_order(databases: Databases) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(2), thing(4)])
        assert await store.missing([5, 4, 3, 2, 1, 5]) == [1, 3, 5]
        assert await store.missing([]) == []

    with_store(databases.of("things"), use)


def test_what_cannot_be_read_is_unavailable(databases: Databases) -> None:
    kept = databases.of("things")

    async def use(store: Store) -> None:
        await store.insert([thing(1)])
        kept.change("ALTER TABLE things RENAME TO gone")
        reads: list[Awaitable[object]] = [store.get(1), store.page(0, 1, {}), store.ndjson([1]), store.missing([1])]
        for read in [*reads, store.count(), anext(store.export(0, None, {}))]:
            with pytest.raises(StoreUnavailable):
                await read

    with_store(kept, use)


def test_a_lock_held_by_another_process_makes_it_unavailable_and_it_recovers(databases: Databases) -> None:
    async def use(store: Store) -> None:
        with databases.of("things").locked():
            with pytest.raises(StoreUnavailable):
                await store.insert([thing(1)])
            with pytest.raises(StoreUnavailable):
                await store.check()
        await store.check()
        assert outcomes(await store.insert([thing(1)])) == ["created"]

    with_store(databases.of("things"), use)


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
def test_nothing_is_acknowledged_once_the_files_are_taken_away(tmp_path: Path, suffix: str) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(1)])
        (tmp_path / f"things.db{suffix}").unlink()
        for number, refusal in ((2, OutcomeUnknown), (3, StoreUnavailable)):
            with pytest.raises(StoreUnavailable, match="restarted") as raised:
                await store.insert([thing(number)])
            assert raised.type is refusal

    with_store(tmp_path / "things.db", use)


def test_nothing_is_acknowledged_once_the_folder_is_no_folder(tmp_path: Path) -> None:
    async def use(store: Store) -> None:
        await store.insert([thing(1)])
        (tmp_path / "folder").rename(tmp_path / "elsewhere")
        (tmp_path / "folder").touch()
        for number in (2, 3):
            with pytest.raises(StoreUnavailable, match="restarted"):
                await store.insert([thing(number)])

    with_store(tmp_path / "folder" / "things.db", use)


def test_a_link_to_the_file_leads_to_the_same_lock(tmp_path: Path) -> None:
    async def use(_: Store) -> None:
        (tmp_path / "link.db").symlink_to(tmp_path / "things.db")
        with pytest.raises(CannotStart, match="belongs to another running service"):
            await make_store(f"sqlite:///{tmp_path / 'link.db'}", "things", COLUMNS).open()

    with_store(tmp_path / "things.db", use)


def test_a_garbage_page_is_never_acknowledged(tmp_path: Path) -> None:
    file = tmp_path / "things.db"

    async def fill(store: Store) -> None:
        await store.insert([thing(number, name="x" * 200) for number in range(1, 500)])

    async def use(store: Store) -> None:
        # The page that would hold it is garbage.
        with pytest.raises(StoreUnavailable):
            await store.insert([thing(100)])
        for attempt in (store.check(), store.insert([thing(10_000)])):
            with pytest.raises(StoreUnavailable, match="restarted"):
                await attempt

    with_store(file, fill)
    with file.open("r+b") as raw:
        # Neither the first two pages, the schema and the root of the table, nor the last, which is read at the start.
        raw.seek(2 * 4096)
        raw.write(b"\xa5" * (file.stat().st_size - 3 * 4096))
    with_store(file, use)


def test_a_file_that_is_garbage_where_it_is_read_at_the_start_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "things.db"

    async def fill(store: Store) -> None:
        await store.insert([thing(number, name="x" * 200) for number in range(1, 500)])

    with_store(file, fill)
    with file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xa5" * (file.stat().st_size - 4096))
    before = file.read_bytes()
    assert "malformed" in refused(file)
    assert file.read_bytes() == before


def test_a_database_opens_again_with_what_it_held(databases: Databases) -> None:
    async def first(store: Store) -> None:
        await store.insert([thing(1)])

    async def second(store: Store) -> int:
        return await store.count()

    with_store(databases.of("things"), first)
    assert with_store(databases.of("things"), second) == 1


def refused(file: Path) -> str:
    async def use(_: Store) -> None:
        pass

    with pytest.raises(CannotStart) as error:
        with_store(file, use)
    return str(error.value)


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    async def use(_: Store) -> None:
        other = make_store(f"sqlite:///{tmp_path / 'things.db'}", "things", COLUMNS)
        with pytest.raises(CannotStart, match="belongs to another running service"):
            await other.open()

    with_store(tmp_path / "things.db", use)


def test_a_file_that_is_no_database_is_refused_and_left_untouched(tmp_path: Path) -> None:
    file = tmp_path / "things.db"
    file.write_bytes(b"Dear diary, " * 1000)
    assert "not a database" in refused(file)
    assert file.read_bytes() == b"Dear diary, " * 1000


def test_someone_elses_database_is_refused_and_left_untouched(tmp_path: Path) -> None:
    file = tmp_path / "things.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, price TEXT)")
    before = file.read_bytes()
    assert "was not made by things" in refused(file)
    assert file.read_bytes() == before


def test_a_newer_releases_database_is_refused(tmp_path: Path) -> None:
    async def use(_: Store) -> None:
        pass

    file = tmp_path / "things.db"
    with_store(file, use)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 99")
    assert "schema version 99" in refused(file)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "can't be used" in refused(tmp_path / "file" / "things.db")


@pytest.mark.parametrize("url", ["", "things.db", "sqlite://things.db", "sqlite:///", "mysql://x/y"])
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(CannotStart, match="DATABASE_URL"):
        make_store(url, "things", COLUMNS)
