"""Verifying without services: what is stored and what an input says, compared, and references that lead nowhere."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from client.batches import Batch, batches_of
from client.findings import show
from client.services import Unreadable
from client.spool import Difference
from client.verify import Export, Verified, verify

USER = {"name": "Ada", "email": "a@b"}
ORDER = {"user_id": 1, "product_id": 1, "quantity": 1}


def stored(*records: Mapping[str, object]) -> Export:
    """Return what gives these records, two at a time."""
    lines = [json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() for record in records]
    return lambda: (lines[first : first + 2] for first in range(0, len(lines), 2))


def exports(**given: Export) -> dict[str, Export]:
    return {name: stored() for name in ("users", "products", "orders")} | given


def said(*rows: object, ids: Sequence[int | None]) -> list[Batch]:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows]
    return [Batch("users", "users.csv", range(2, len(rows) + 2), lines, ids)]


def compared(held: Sequence[Mapping[str, object]], *rows: object) -> list[Difference]:
    """Return how stored users differ from these rows."""
    ids = [row.get("id") if isinstance(row, dict) else None for row in rows]
    verified = verify(exports(users=stored(*held)), {"users": said(*rows, ids=ids)})
    found = list(verified.differences)
    assert (verified.count, verified.well) == (len(found), not found)
    return found


def test_what_is_stored_as_the_input_says_does_not_differ() -> None:
    users = [{"id": number, **USER} for number in (1, 2, 3, 7, 2**63 - 1)]
    assert compared(users, *users) == []
    assert compared(users, *users[::-1]) == []
    assert compared([], *[]) == []


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "name": "  Ada ", "email": "a@b"},
        {"email": "a@b", "name": "Ada", "id": 1},
        b'{"id": 1,  "name": "\\u0041da", "email": "a@b"}\r\n',
    ],
)
def test_however_a_row_is_written_it_is_the_same(row: object) -> None:
    (batch,) = said(row, ids=[1])
    assert verify(exports(users=stored({"id": 1, **USER})), {"users": [batch]}).well


def test_each_kind_of_difference_names_its_record_and_its_line() -> None:
    held = [{"id": number, **USER} for number in (2, 3, 5, 6)]
    rows = [
        {"id": 9, **USER},
        {"id": 3, **USER, "email": "c@d"},
        {"id": 1, **USER},
        {"id": 5, "name": "Bob", "mail": "x"},
        {"id": 4, **USER},
        {"id": 6, **USER},
    ]
    assert compared(held, *rows) == [
        Difference("users", 1, "not-stored", "users.csv:4"),
        Difference("users", 2, "not-in-input"),
        Difference("users", 3, "stored-otherwise", "users.csv:3", ("email",)),
        Difference("users", 4, "not-stored", "users.csv:6"),
        Difference("users", 5, "stored-otherwise", "users.csv:5", ("name", "email", "mail")),
        Difference("users", 9, "not-stored", "users.csv:2"),
    ]


def test_of_what_an_input_says_of_one_id_any_may_be_stored() -> None:
    rows = [{"id": 1, "name": "", "email": "a@b"}, {"id": 1, **USER}, {"id": 1, "name": "Bob", "email": "a@b"}]
    assert compared([{"id": 1, **USER}], *rows) == []
    assert compared([{"id": 1, "name": "Eve", "email": "a@b"}], *rows) == [
        Difference("users", 1, "stored-otherwise", "users.csv:2", ("name",))
    ]
    assert compared([], *rows) == [Difference("users", 1, "not-stored", "users.csv:2")]


def test_what_has_no_id_may_be_stored_under_any_once_for_each_time_it_is_said() -> None:
    held = [{"id": number, **USER} for number in (4, 5, 6)]
    assert compared(held, USER, USER, USER) == []
    assert compared(held, USER, USER) == [Difference("users", 6, "not-in-input")]
    assert compared(held[:1], USER, USER, {"name": "Bob"}) == [
        Difference("users", None, "not-stored", "users.csv:3"),
        Difference("users", None, "not-stored", "users.csv:4"),
    ]
    assert compared([{"id": 4, "name": "Lamp", "price": 5.0}], {"price": 5, "name": "Lamp"}) == []


@pytest.mark.parametrize("row", [b"\n", b"[1]\n", b"{\n", b'{"id": "x"}\n', b"\xff\n", b"[" * 100_000])
def test_what_is_no_record_is_not_stored(row: bytes) -> None:
    assert compared([], row) == [Difference("users", None, "not-stored", "users.csv:2")]


def test_services_without_an_input_are_not_compared() -> None:
    verified = verify(exports(users=stored({"id": 1, **USER})), {"products": []})
    assert verified.well
    assert {name: (summary.held, summary.in_input) for name, summary in verified.summaries.items()} == {
        "users": (1, None),
        "products": (0, 0),
        "orders": (0, None),
    }
    out = io.StringIO()
    show(verified, out)
    assert out.getvalue().endswith(" What the input says, and nothing else, is held by products.\n")


@pytest.mark.parametrize(("rows", "words"), [(1, "\n1 difference.\n"), (2, "\n2 differences.\n")])
def test_how_many_differences_there_are_is_said_in_words(rows: int, words: str) -> None:
    out = io.StringIO()
    show(verify(exports(), {"users": said(*[USER] * rows, ids=[None] * rows)}), out)
    assert words in out.getvalue()


def orphans(verified: Verified) -> list[tuple[int | None, tuple[str, ...]]]:
    return [(found.id, found.missing) for found in verified.differences if found.kind == "orphaned"]


def test_an_order_is_named_with_each_that_it_refers_to_and_that_is_missing() -> None:
    orders = [
        {"id": 1, **ORDER},
        {"id": 2, **ORDER, "user_id": 7},
        {"id": 3, **ORDER, "product_id": 8},
        {"id": 4, **ORDER, "user_id": 7, "product_id": 9},
        {"id": 5, **ORDER},
    ]
    services = exports(users=stored({"id": 1}), products=stored({"id": 1}), orders=stored(*orders))
    verified = verify(services, {})
    assert orphans(verified) == [(2, ("user 7",)), (3, ("product 8",)), (4, ("user 7", "product 9"))]
    assert (verified.count, verified.well) == (3, False)


def test_an_order_that_is_stored_meanwhile_is_no_orphan() -> None:
    users: list[dict[str, int]] = []

    def read_users() -> Iterator[Sequence[bytes]]:
        yield from stored(*users)()

    def read_orders() -> Iterator[Sequence[bytes]]:
        # Its user comes just before it, and users could have been read by then.
        users.append({"id": 1})
        yield from stored({"id": 1, **ORDER})()

    services = exports(orders=read_orders, users=read_users, products=stored({"id": 1}))
    assert verify(services, {}).well


def broken(*records: Mapping[str, object]) -> Export:
    def read() -> Iterator[Sequence[bytes]]:
        yield from stored(*records)()
        raise Unreadable("it broke")

    return read


def test_of_what_could_not_be_read_to_its_end_nothing_is_said_to_be_missing() -> None:
    orders = stored({"id": 1, **ORDER, "user_id": 2, "product_id": 3})
    users = [{"id": number, **USER} for number in (1, 2, 3)]
    verified = verify(exports(users=broken({"id": 1, **USER}), orders=orders), {"users": said(*users, ids=[1, 2, 3])})
    assert verified.unreadable == ["it broke"]
    assert verified.summaries["users"].held is None
    # Products were read, and have no third.
    assert list(verified.differences) == [Difference("orders", 1, "orphaned", missing=("product 3",))]
    assert not verify(exports(products=broken()), {}).well


@pytest.mark.parametrize(
    "lines",
    [
        [b"{}"],
        [b"[]"],
        [b"1"],
        [b""],
        [b"\xff"],
        [b"[" * 100_000],
        [b'{"id":1}', b'{"id":1}'],
        [b'{"id":2}', b'{"id":1}'],
        [b'{"id":1},{"id":2}'],
        [b'{"id":true}'],
        [b'{"id":"1"}'],
        [b'{"id":1.0}'],
        [b'{"id":0}'],
        [b'{"id":9223372036854775808}'],
    ],
)
def test_lines_that_make_no_sense_are_none(lines: list[bytes]) -> None:
    assert verify(exports(users=lambda: iter([lines])), {}).unreadable == [
        "users can't be read: it gives no records by id"
    ]


def test_the_items_of_an_array_on_one_line_are_told_apart_and_taken_in_its_order(tmp_path: Path) -> None:
    items = [*({"id": number} for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10)), {"name": "a"}, {"name": "b"}]
    (tmp_path / "users.json").write_text(json.dumps(items))
    verified = verify(exports(), {"users": batches_of(tmp_path / "users.json", "users", 5)})
    assert [(found.id, found.origin) for found in verified.differences] == [
        *((place + 1, f"users.json:1[{place}]") for place in range(10)),
        *((None, f"users.json:1[{place}]") for place in (11, 12)),
    ]


@pytest.mark.parametrize("user_id", [0, -1, 2**63, True, "1", None])
def test_an_order_that_refers_to_no_id_is_none(user_id: object) -> None:
    verified = verify(exports(orders=stored({"id": 1, **ORDER, "user_id": user_id})), {})
    assert verified.unreadable == ["orders can't be read: it gives no records by id"]


def test_a_file_is_compared_whatever_its_format(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("id,name,price\n2,Lamp,5\n1, Sofa ,0.10\n,Bed,7.00\n")
    held = [
        {"id": 1, "name": "Sofa", "price": 0.1},
        {"id": 2, "name": "Lamp", "price": 5.0},
        {"id": 3, "name": "Bed", "price": 7.0},
    ]
    batches = batches_of(tmp_path / "products.csv", "products", 2)
    verified = verify(exports(products=stored(*held)), {"products": batches})
    assert list(verified.differences) == []
    assert verified.summaries["products"].in_input == 3
