"""The PostgreSQL store with a real server: what it asks of it, what it makes there, how replicas get along."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest

from services.chassis.errors import CannotStart, OutcomeUnknown, StorageFull, StoreUnavailable
from services.chassis.store import Inserted, make_store
from services.chassis.store.postgres_errors import refusal_of
from tests.integration.test_store import COLUMNS, outcomes, thing, with_store
from tests.postgres import PASSWORD, PostgresDatabase, PostgresServer
from tests.processes import PROJECT, eventually
from tests.severed import severed

# With these a batch is large enough for COPY; their ids are in nobody's way.
MORE: list[Any] = [{"id": number, "name": "more", "price": "1.00"} for number in range(10_000, 10_300)]
few_and_many = pytest.mark.parametrize("more", [[], MORE], ids=["few", "many"])


@pytest.fixture
def things(postgres: PostgresServer) -> PostgresDatabase:
    """Return an empty database."""
    return postgres.databases().of("things")


async def nothing(_: Any) -> None:
    """Open and close."""


def refused(database: PostgresDatabase) -> str:
    with pytest.raises(CannotStart) as error:
        with_store(database, nothing)
    return str(error.value)


def setting(store: Any, name: str) -> str:
    """Return what a setting is in the session that writes."""
    return str(store._writer.run(lambda db: db.execute(f"SHOW {name}").fetchone())[0])  # noqa: SLF001


def test_a_service_on_sqlite_does_not_load_the_driver() -> None:
    code = (
        "import sys; from services.chassis.app import create_app; from services.users.resource import USERS;"
        "create_app(USERS, USERS.settings_from({}));"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'psycopg'}))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, text=True) == "[]\n"


@pytest.mark.parametrize(
    ("default", "own"), [("off", "on"), ("local", "local"), ("on", "on"), ("remote_apply", "remote_apply")]
)
def test_every_commit_waits_for_the_disk_whatever_the_default_and_nothing_is_weakened(
    things: PostgresDatabase, default: str, own: str
) -> None:
    things.rows(f"ALTER DATABASE {things.name} SET synchronous_commit = {default}")

    async def use(store: Any) -> None:
        assert setting(store, "synchronous_commit") == own
        await store.insert([thing(1)])

    with_store(things, use)


def test_a_server_that_is_told_later_not_to_wait_changes_nothing_for_a_session(
    postgres: PostgresServer, things: PostgresDatabase
) -> None:
    async def use(store: Any) -> None:
        assert setting(store, "synchronous_commit") == "on"
        postgres.query("ALTER SYSTEM SET synchronous_commit = off")
        try:
            postgres.query("SELECT pg_reload_conf()")
            eventually(lambda: things.rows("SHOW synchronous_commit") == [("off",)])
            assert setting(store, "synchronous_commit") == "on"
        finally:
            postgres.query("ALTER SYSTEM RESET synchronous_commit")
            postgres.query("SELECT pg_reload_conf()")

    with_store(things, use)


def test_a_server_gives_up_a_writer_that_has_vanished_within_seconds(things: PostgresDatabase) -> None:
    async def use(store: Any) -> None:
        idle_s, interval_s, count = (
            int(setting(store, f"tcp_keepalives_{name}")) for name in ("idle", "interval", "count")
        )
        assert 0 < idle_s + interval_s * count <= 10

    with_store(things, use)


def test_the_table_validates_nothing(things: PostgresDatabase) -> None:
    with_store(things, nothing)
    columns = (
        "SELECT column_name, data_type, column_default FROM information_schema.columns WHERE table_name = 'things'"
    )
    assert things.rows(f"{columns} ORDER BY ordinal_position") == [
        ("id", "bigint", None),
        ("name", "text", None),
        ("price", "text", None),
    ]
    assert things.rows("SELECT contype::text FROM pg_constraint WHERE conrelid = 'things'::regclass") == [("p",)]


@pytest.mark.parametrize(
    "columns",
    ["id bigint PRIMARY KEY, name text", "id bigint, name text, price numeric", "id int, name text, price text"],
)
def test_someone_elses_table_is_refused_and_left_as_it_is(things: PostgresDatabase, columns: str) -> None:
    things.rows(f"CREATE TABLE things ({columns})")
    assert "not made by this service" in refused(things)
    assert things.rows("SELECT count(*) FROM things") == [(0,)]


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: PostgresServer) -> None:
    postgres.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    assert "encoding is LATIN1" in refused(PostgresDatabase(postgres, "latin", "things"))


def test_a_role_that_may_not_make_the_table_is_told_so(postgres: PostgresServer, things: PostgresDatabase) -> None:
    postgres.query(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    store = make_store(postgres.url(things.name, user="guest"), "things", COLUMNS)
    with pytest.raises(CannotStart, match="permission denied"):
        asyncio.run(store.open())


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{PASSWORD}@[::1/x",
        f"postgresql://user:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://user:{PASSWORD}@127.0.0.1:1/x?no_such_parameter={PASSWORD}",
    ],
)
def test_what_is_wrong_with_an_address_is_said_without_its_password(url: str) -> None:
    with pytest.raises(CannotStart) as error:
        asyncio.run(make_store(url, "things", COLUMNS).open())
    assert PASSWORD not in str(error.value)
    assert "DATABASE_URL" in str(error.value) or "can't be used" in str(error.value)


def test_many_that_start_at_once_make_the_table_once(things: PostgresDatabase) -> None:
    together = Barrier(8)

    async def use(store: Any) -> Inserted:
        inserted: Inserted = await store.insert([thing()])
        return inserted

    def start(_: int) -> Inserted:
        together.wait()
        return with_store(things, use, ["name", "price"])

    with ThreadPoolExecutor(8) as threads:
        ids = [inserted.ids[0] for inserted in threads.map(start, range(8))]
    # All have sent the same, which is unique.
    assert sorted(ids) == [0] * 7 + [1]


def test_a_full_disk_is_told_apart() -> None:
    assert isinstance(refusal_of(psycopg.errors.DiskFull()), StorageFull)
    assert isinstance(refusal_of(psycopg.errors.ReadOnlySqlTransaction()), StoreUnavailable)


@few_and_many
@pytest.mark.parametrize(
    ("ending", "price", "outcome"),
    [("ROLLBACK", "1.00", "created"), ("COMMIT", "1.00", "unchanged"), ("COMMIT", "2.00", "conflict")],
)
def test_what_another_transaction_is_about_to_take_is_waited_for(
    things: PostgresDatabase, ending: str, price: str, outcome: str, more: list[Any]
) -> None:
    async def use(store: Any) -> None:
        with psycopg.connect(things.url, autocommit=True) as other:
            other.execute("BEGIN")
            other.execute(f"INSERT INTO things VALUES (5, 'a', '{price}')")
            inserted = asyncio.create_task(store.insert([thing(5), thing(4), *more]))
            await asyncio.to_thread(eventually, lambda: waiting(things) == 1)
            other.execute(ending)
        assert outcomes(await inserted) == [outcome, "created", *["created"] * len(more)]

    with_store(things, use)


def waiting(database: PostgresDatabase) -> int:
    """Return how many sessions wait for a lock."""
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '{database.name}'"
    return int(database.rows(sql)[0][0])


@few_and_many
def test_one_of_two_that_wait_for_each_other_begins_again(things: PostgresDatabase, more: list[Any]) -> None:
    # It is looked for once, so long after a session has begun to wait; it waits for no more than two seconds.
    things.rows(f"ALTER DATABASE {things.name} SET deadlock_timeout = '1900ms'")

    async def use(store: Any) -> None:
        with psycopg.connect(things.url, autocommit=True) as other:
            # The other would rather wait until the store's session finds out.
            other.execute("SET deadlock_timeout = '1min'")
            other.execute("BEGIN")
            other.execute("INSERT INTO things VALUES (9, 'a', '1.00')")
            inserted = asyncio.create_task(store.insert([thing(5), thing(9), thing(10), *more]))
            await asyncio.to_thread(eventually, lambda: waiting(things) == 1)
            await asyncio.to_thread(other.execute, "INSERT INTO things VALUES (5, 'other', '1.00')")
            other.execute("COMMIT")
        assert outcomes(await inserted) == ["conflict", "unchanged", "created", *["created"] * len(more)]

    with_store(things, use)


Break = Callable[[int], str | None]


def through(
    things: PostgresDatabase, choose: Break, batches: list[list[dict[str, object]]], at: bytes = b"COMMIT\0"
) -> list[Any]:
    """Insert the batches over a way that breaks at those commits, or what else is sent; return what became of each."""
    with severed(things.server.port, at) as way:
        store = make_store(things.server.url(things.name, way.port), "things", COLUMNS)

        async def scenario() -> list[Any]:
            await store.open()
            way.choose = choose
            try:
                return [(await asyncio.gather(store.insert(batch), return_exceptions=True))[0] for batch in batches]
            finally:
                await store.close()

        found = asyncio.run(scenario())
        assert way.broken
        return found


@few_and_many
@pytest.mark.parametrize("how", ["before", "after"])
def test_a_batch_whose_commit_or_its_answer_is_lost_is_stored_once_and_acknowledged(
    things: PostgresDatabase, how: str, more: list[Any]
) -> None:
    with_store(things, nothing)
    batch = [thing(7), thing(8), *more]
    (inserted,) = through(things, lambda commits: how if commits == 0 else None, [batch])
    assert inserted == Inserted([record["id"] for record in batch], {})
    assert things.rows("SELECT id FROM things ORDER BY id") == [(record["id"],) for record in batch]


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("at", [b" FROM STDIN", b"\tmiddle\t"], ids=["begin", "middle"])
def test_a_batch_whose_connection_breaks_in_its_copy_is_stored_once_and_acknowledged(
    things: PostgresDatabase, at: bytes, how: str
) -> None:
    with_store(things, nothing)
    # More than goes into one piece, and several pieces are of its middle.
    batch = [thing(number, "middle" if 3_000 < number < 6_000 else "n" * 30) for number in range(1, 8_001)]
    (inserted,) = through(things, lambda came_before: how if came_before == 0 else None, [batch], at)
    assert inserted == Inserted(list(range(1, 8_001)), {})
    assert things.rows("SELECT count(*), min(id), max(id) FROM things") == [(8_000, 1, 8_000)]


def test_a_record_without_an_id_is_created_after_a_commit_that_was_not_made(things: PostgresDatabase) -> None:
    with_store(things, nothing)
    (inserted,) = through(things, lambda commits: "before" if commits == 0 else None, [[thing(), thing(8)]])
    assert inserted == Inserted([9, 8], {})
    assert things.rows("SELECT id FROM things ORDER BY id") == [(8,), (9,)]


def test_nobody_says_of_a_record_without_an_id_what_nobody_can_know(things: PostgresDatabase) -> None:
    with_store(things, nothing)
    lost, after = through(things, lambda commits: "after" if commits == 0 else None, [[thing()], [thing()]])
    # Another replica may have stored the same under the same id, had this commit not been made.
    assert isinstance(lost, OutcomeUnknown)
    assert after == Inserted([2], {})
    assert things.rows("SELECT id FROM things ORDER BY id") == [(1,), (2,)]


def test_replicas_assign_each_id_once(things: PostgresDatabase) -> None:
    async def scenario() -> list[int]:
        stores = [make_store(things.url, "things", COLUMNS) for _ in range(3)]
        for store in stores:
            await store.open()
        batches = [store.insert([thing()] * size) for size in (*range(1, 20), 300) for store in stores]
        ids = [record_id for inserted in await asyncio.gather(*batches) for record_id in inserted.ids]
        for store in stores:
            await store.close()
        return ids

    ids = asyncio.run(scenario())
    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert things.rows("SELECT count(*) FROM things") == [(len(ids),)]


@pytest.mark.parametrize("size", [20, 300])
def test_of_what_replicas_insert_at_the_same_moment_each_value_is_stored_once(
    things: PostgresDatabase, size: int
) -> None:
    async def scenario() -> list[Inserted]:
        stores = [make_store(things.url, "things", COLUMNS, ["name"]) for _ in range(2)]
        found: list[Inserted] = []
        for store in stores:
            await store.open()
        for start in range(0, 600, size):
            # The same values, under ids that are in nobody's way.
            batches = [[thing(first + n, f"n{n}") for n in range(start, start + size)] for first in (1, 1_001)]
            found += await asyncio.gather(*(store.insert(batch) for store, batch in zip(stores, batches, strict=True)))
        for store in stores:
            await store.close()
        return found

    found = Counter(outcome for inserted in asyncio.run(scenario()) for outcome in outcomes(inserted))
    assert found == {"created": 600, "duplicate": 600}
    assert things.rows("SELECT count(*), count(DISTINCT name) FROM things") == [(600, 600)]


def test_of_large_batches_that_are_sent_again_a_server_logs_one(
    postgres: PostgresServer, things: PostgresDatabase
) -> None:
    batches = [[thing(number) for number in range(first, first + 500)] for first in range(1, 5_001, 500)]

    async def use(store: Any) -> None:
        for outcome in ("created", "unchanged"):
            for batch in batches:
                assert outcomes(await store.insert(batch)) == [outcome] * 500

    before = postgres.log().count("duplicate key")
    with_store(things, use)
    # The first that was there before; from then on it is looked at before, until one is new again.
    assert postgres.log().count("duplicate key") == before + 1


@few_and_many
def test_what_a_trigger_leaves_out_is_not_acknowledged(things: PostgresDatabase, more: list[Any]) -> None:
    async def use(store: Any) -> None:
        things.rows(
            "CREATE FUNCTION left_out() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN IF NEW.id = 5 THEN RETURN NULL; END IF; RETURN NEW; END'"
        )
        things.rows("CREATE TRIGGER leaves_out BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION left_out()")
        with pytest.raises(StoreUnavailable):
            await store.insert([thing(4), thing(5), *more])

    with_store(things, use)
    assert things.rows("SELECT count(*) FROM things") == [(0,)]


@few_and_many
def test_what_an_index_of_someone_elses_refuses_is_not_tried_for_long(
    postgres: PostgresServer, things: PostgresDatabase, more: list[Any]
) -> None:
    async def use(store: Any) -> None:
        things.rows("CREATE UNIQUE INDEX by_name ON things (name)")
        await store.insert([thing(1, "n")])
        before = postgres.log().count("duplicate key")
        with pytest.raises(StoreUnavailable):
            await store.insert([thing(2, "n"), *({**record, "name": str(record["id"])} for record in more)])
        # By COPY, where they are many, and once more by what can tell whose index it is.
        assert postgres.log().count("duplicate key") == before + 1 + bool(more)

    with_store(things, use)
    assert things.rows("SELECT id FROM things") == [(1,)]
