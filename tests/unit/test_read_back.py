"""What a service gives back, compared with what it was sent: real services, and a database that others change."""

import json
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from threading import Event
from typing import Any

import pytest

from client.read_back import compare_batch, confirmed
from client.services import Service, Unreadable, connect
from tests.processes import RunningService
from tests.upstream import Behaviour, answer, listening


@pytest.fixture
def users(services: dict[str, RunningService]) -> Iterator[Service]:
    """Users as the client sees it."""
    with connect(services["users"].url) as client:
        yield Service("users", services["users"].url, client)


@pytest.fixture
def products(services: dict[str, RunningService]) -> Iterator[Service]:
    """Products as the client sees it."""
    with connect(services["products"].url) as client:
        yield Service("products", services["products"].url, client)


def store(service: Service, rows: Mapping[int, str]) -> None:
    """Send the rows to the service; all must be created."""
    headers = {"content-type": "application/x-ndjson"}
    answered = service.client.post(f"/{service.name}/batch", content="\n".join(rows.values()), headers=headers)
    assert answered.status_code == 201, answered.text


def compared(service: Service, sent: Mapping[int, str]) -> list[str]:
    try:
        return compare_batch(service, service.client, {id_: f"{row}\n".encode() for id_, row in sent.items()})
    except Unreadable as error:
        return [str(error)]


@pytest.mark.parametrize(
    "row",
    [
        '{{"id":{id},"name":"Ada","email":"a@b"}}',
        '{{"id": {id}, "name": "Ada", "email": "a@b"}}',
        '{{"id":{id},  "name" :\t"Ada", "email": "a@b"}}  ',
        '{{"email": "a@b", "name": "Ada", "id": {id}}}',
        '{{"id": {id}, "name": "  Ada \u3000", "email": "a@b"}}',
        '{{"id": {id}, "name": "Ada, ", "email": "a@b"}}',
        '{{"id": {id}, "name": "A\\u0064a \\"\\\\\\/", "email": "a@b"}}',
        '{{"id": {id}, "name": "\\ud83d\\ude00", "email": "a@b"}}',
        '{{"id": {id}, "name": ": x", "email": "a@b"}}',
        '{{"id": {id}, "name": "x: , ,", "email": "a@b"}}',
        '{{"id": {id}, "name": "x\\": \\"y\\", \\"z", "email": "a@b"}}',
        '{{"id": {id}, "name": "Søren 東京 \U0001f600", "email": "a@b"}}',
        '{{"id": {id}, "name": "100 %s", "email": "a@b"}}\r',
    ],
)
def test_however_a_record_is_written_it_is_what_is_stored(users: Service, new_id: int, row: str) -> None:
    # The second is written otherwise, so that no two are the same by their bytes alone.
    sent = {new_id: row.format(id=new_id), new_id + 1: f'{{"id":{new_id + 1},"name":"B","email":"b@c"}}'}
    store(users, sent)
    assert compared(users, sent) == []
    assert compared(users, {new_id: sent[new_id]}) == []


@pytest.mark.parametrize("price", ["1.5", "1.50", "1.500", "2", "2.0", "2.00", "15e-1", "0.01", "999999999.99", "0.10"])
def test_an_amount_is_the_same_however_many_noughts_it_ends_with(products: Service, new_id: int, price: str) -> None:
    sent = {new_id: f'{{"id": {new_id}, "name": "a", "price": {price}}}'}
    store(products, sent)
    assert compared(products, sent) == []


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        (":x", ": x"),
        (": x", ":x"),
        ("a,b", "a, b"),
        ("a, b", "a,b"),
        ('":x', '": x'),
        ('a": b', 'a":b'),
        ('a, "b', 'a,"b'),
        ("Ada", "ada"),
        ("Ada", "A da"),
        ("é", "e\u0301"),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_text_that_differs_by_no_more_than_a_space_differs(
    users: Service, new_id: int, stored: str, sent: str, separators: tuple[str, str]
) -> None:
    def row(name: str) -> str:
        return json.dumps({"id": new_id, "name": name, "email": "a@b"}, ensure_ascii=False, separators=separators)

    store(users, {new_id: row(stored)})
    assert compared(users, {new_id: row(sent)}) == [f"users {new_id} was acknowledged, but is stored otherwise"]


@pytest.mark.parametrize(("stored", "sent"), [("1.5", "1.51"), ("0.01", "0.02"), ("999999999.99", "999999999.98")])
def test_another_amount_differs(products: Service, new_id: int, stored: str, sent: str) -> None:
    store(products, {new_id: f'{{"id":{new_id},"name":"a","price":{stored}}}'})
    differences = compared(products, {new_id: f'{{"id":{new_id},"name":"a","price":{sent}}}'})
    assert differences == [f"products {new_id} was acknowledged, but is stored otherwise"]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_rows_that_were_altered_or_removed_are_named_and_no_others(
    services: dict[str, RunningService], users: Service, new_id: int, separators: tuple[str, str]
) -> None:
    sent = {
        id_: json.dumps({"id": id_, "name": f"n{id_}", "email": "a@b"}, separators=separators)
        for id_ in range(new_id, new_id + 9)
    }
    store(users, sent)
    with closing(sqlite3.connect(services["users"].database, isolation_level=None)) as db:
        db.execute("UPDATE users SET name = 'Mallory' WHERE id = ?", (new_id + 2,))
        db.execute("DELETE FROM users WHERE id = ?", (new_id + 5,))
        db.execute("UPDATE users SET email = 'a@c' WHERE id = ?", (new_id + 8,))
    assert compared(users, sent) == [
        f"users {new_id + 2} was acknowledged, but is stored otherwise",
        f"users {new_id + 5} was acknowledged, but is gone",
        f"users {new_id + 8} was acknowledged, but is stored otherwise",
    ]


def test_a_record_without_an_id_is_compared_under_the_id_that_it_was_given(users: Service) -> None:
    row = '{"name": "Ada", "email": "a@b"}'
    given: dict[str, Any] = users.client.post("/users", json=json.loads(row)).json()
    assert compared(users, {given["id"]: row}) == []
    assert compared(users, {given["id"]: '{"name": "Bob", "email": "a@b"}'}) == [
        f"users {given['id']} was acknowledged, but is stored otherwise"
    ]


def test_as_many_ids_as_a_batch_can_have_and_as_long_are_read_back(users: Service) -> None:
    """All in one look-up, whose body is longer than that of any record."""
    first = 2**63 - 20_001
    sent = {id_: f'{{"id":{id_},"name":"n","email":"a@b"}}' for id_ in range(first, first + 10_000)}
    differences = compared(users, sent)
    assert differences == [f"users {id_} was acknowledged, but is gone" for id_ in sent]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}\n", b"[]\n", b"null\n", b"<html>", b'{"id": 1, "name"', b"\xff\n", b"[" * 100_000, b'{"id": [1]}\n'],
)
def test_an_answer_that_makes_no_sense_is_a_difference(body: bytes) -> None:
    with listening(answer("200 OK", body)) as server, connect(server.url) as client:
        service = Service("users", server.url, client)
        (difference,) = compared(service, {1: '{"id":1,"name":"Ada","email":"a@b"}'})
    assert difference.startswith(("users can't be read back", "users 1 was acknowledged, but is gone"))


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "302 Found"])
def test_an_answer_that_is_none_says_that_nothing_could_be_read_back(status: str) -> None:
    with listening(answer(status, b"{}")) as server, connect(server.url) as client:
        service = Service("users", server.url, client)
        (difference,) = compared(service, {1: '{"id":1,"name":"Ada","email":"a@b"}'})
    assert difference.startswith("users can't be read back")


def test_a_service_that_is_gone_says_that_nothing_could_be_read_back() -> None:
    with listening(answer("200 OK", b"")) as gone:
        url = gone.url
    with connect(url) as client:
        (difference,) = compared(Service("users", url, client), {1: '{"id":1,"name":"Ada","email":"a@b"}'})
    assert difference.startswith("users can't be read back")


def exported(server: str) -> list[bytes]:
    with connect(server) as client:
        return [line for lines in Service("users", server, client, answer_within_s=1).export() for line in lines]


def test_an_export_is_read_whole_however_it_comes_in_pieces(users: Service, new_id: int) -> None:
    sent = {id_: f'{{"id":{id_},"name":"Søren","email":"a@b"}}' for id_ in range(new_id, new_id + 3_000)}
    store(users, sent)
    lines = exported(users.url)
    assert set(lines) >= {line.encode() for line in sent.values()}
    ids = [json.loads(line)["id"] for line in lines]
    assert ids == sorted(ids)


def in_pieces(*pieces: bytes) -> Behaviour:
    """Answer with lines, in these pieces and no end."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for piece in pieces:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        if not pieces:
            # It goes silent, until it is left.
            connection.recv(1)

    return behave


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answer("503 Service Unavailable", b"{}"), "HTTP status 503"),
        (answer("302 Found", b"{}"), "HTTP status 302"),
        (answer("200 OK", b'{"items":[],"next":null}'), "it gives no lines of JSON"),
        (answer("200 OK", b'{"id":1}\n{"id":2}', "application/x-ndjson"), "a line has no end"),
        (answer("200 OK", b"x" * 3_000_000, "application/x-ndjson"), "a line has no end"),
        (in_pieces(b'{"id":1}\n', b'{"id":2}\n'), "incomplete chunked read"),
        (in_pieces(), "timed out"),
    ],
)
def test_an_export_that_is_not_all_there_is_none(behaviour: Behaviour, why: str) -> None:
    with listening(behaviour) as server, pytest.raises(Unreadable, match=rf"^users can't be read: .*{why}"):
        exported(server.url)


def test_a_difference_that_is_gone_at_the_next_look_is_none() -> None:
    looks = iter([["users 1 was acknowledged, but is gone"], []])
    assert confirmed(lambda: next(looks), 0.0, Event()) == []


def test_a_difference_that_stays_is_looked_at_ten_times() -> None:
    looks = iter([["users 1 was acknowledged, but is gone"]] * 10 + [[]])
    assert confirmed(lambda: next(looks), 0.0, Event()) == ["users 1 was acknowledged, but is gone"]
    assert list(looks) == [[]]
