"""What orders makes of users and products that answer, do not, or answer nonsense."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.processes import RunningService, eventually, post, running
from tests.proxy import between, sometimes
from tests.upstream import Behaviour, Upstream, answer, listening

ALL_EXIST = answer("200 OK", b'{"missing": []}')
TIMEOUT_S = 0.5


@dataclass(frozen=True)
class Scene:
    """An orders service, and what it takes for the users and products services."""

    orders: RunningService
    users: Upstream
    products: Upstream


@contextmanager
def orders_beside_upstreams(folder: Path, timeout_s: float) -> Iterator[Scene]:
    with listening(ALL_EXIST) as users, listening(ALL_EXIST) as products:
        urls = {"USERS_URL": users.url, "PRODUCTS_URL": products.url}
        with running("orders", folder, **urls, LOOKUP_TIMEOUT_S=str(timeout_s)) as orders:
            yield Scene(orders, users, products)


@pytest.fixture(scope="module")
def one_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with orders_beside_upstreams(tmp_path_factory.mktemp("orders"), TIMEOUT_S) as scene:
        yield scene


@pytest.fixture
def scene(one_scene: Scene) -> Scene:
    """Return the scene with everyone well and nothing asked yet."""
    for upstream in (one_scene.users, one_scene.products):
        upstream.behave = ALL_EXIST
        upstream.requests.clear()
    return one_scene


def order(number: int) -> dict[str, int]:
    """Return an order whose references nobody has asked for."""
    return {"id": number, "user_id": number, "product_id": number, "quantity": 3}


def stored(orders: RunningService) -> int:
    return int(httpx.get(f"{orders.url}/orders/count", trust_env=False).json()["count"])


def metrics(orders: RunningService) -> str:
    return httpx.get(f"{orders.url}/metrics", trust_env=False).text


def hang(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)


def drip(connection: socket.socket, _: bytes) -> None:
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n" + b'{"missing": []}':
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def drip_body(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n")
    for byte in b'{"missing": []}'.rjust(999):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
    while True:
        connection.sendall(b" " * 65_536)


def cut_off(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"missi')


@pytest.mark.parametrize(
    "behaviour",
    [
        hang,
        drip,
        drip_body,
        endless,
        cut_off,
        answer("500 Internal Server Error", b'{"missing": []}'),
        answer("200 OK", b"<html>hello</html>", "text/html"),
        answer("302 Found", b"", location="/elsewhere"),
        answer("200 OK", b"[]"),
        answer("200 OK", b'{"missing": null}'),
        answer("200 OK", b'{"missing": ["1"]}'),
        answer("200 OK", b"\xff" * 100),
        answer("200 OK", b"hello", **{"content-encoding": "gzip"}),
    ],
    ids=[
        "hangs",
        "drips",
        "drips its body",
        "endless",
        "is cut off",
        "500",
        "HTML",
        "redirect",
        "array",
        "null",
        "text ids",
        "binary",
        "not gzip",
    ],
)
def test_an_order_is_neither_accepted_nor_called_invalid_when_users_cannot_be_asked(
    scene: Scene, new_id: int, behaviour: Behaviour
) -> None:
    scene.users.behave = behaviour
    before = stored(scene.orders)
    began_s = time.monotonic()
    response = post(scene.orders, order(new_id))
    assert time.monotonic() - began_s < 10 * TIMEOUT_S
    assert response.status_code == 503
    assert response.json()["type"].endswith("/reference-check-unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert stored(scene.orders) == before
    assert len(scene.users.requests) == 1
    # When users is well again, so is orders.
    scene.users.behave = ALL_EXIST
    assert post(scene.orders, order(new_id)).status_code == 201


def test_users_that_refuse_connections_make_it_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with running("orders", tmp_path, USERS_URL=url, PRODUCTS_URL=url) as orders:
        response = post(orders, order(1))
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert stored(orders) == 0


def test_every_missing_reference_is_named(scene: Scene, new_id: int) -> None:
    scene.users.behave = scene.products.behave = answer("200 OK", b'{"missing": [%d]}' % new_id)
    body = post(scene.orders, order(new_id)).json()
    assert body["type"].endswith("/unknown-reference")
    assert body["errors"] == [
        {"pointer": "#/user_id", "detail": f"user {new_id} does not exist"},
        {"pointer": "#/product_id", "detail": f"product {new_id} does not exist"},
    ]


def test_a_yes_is_remembered_and_a_no_is_not(scene: Scene, new_id: int) -> None:
    scene.users.behave = answer("200 OK", b'{"missing": [%d]}' % new_id)
    assert post(scene.orders, order(new_id)).status_code == 422
    scene.users.behave = ALL_EXIST
    assert post(scene.orders, order(new_id)).status_code == 201
    scene.users.behave = hang
    assert post(scene.orders, {**order(new_id), "id": new_id + 1}).status_code == 201
    assert len(scene.users.requests) == 2


def test_many_orders_at_once_share_look_ups(tmp_path: Path) -> None:
    held = threading.Event()

    def hold(connection: socket.socket, request: bytes) -> None:
        held.wait(30)
        ALL_EXIST(connection, request)

    with orders_beside_upstreams(tmp_path, timeout_s=30) as scene, ThreadPoolExecutor(20) as threads:
        scene.users.behave = hold
        answers = [threads.submit(post, scene.orders, order(1))]
        eventually(lambda: len(scene.users.requests) == 1)
        answers += [threads.submit(post, scene.orders, order(number)) for number in range(2, 21)]
        eventually(lambda: "parallel_insert_in_flight 20\n" in metrics(scene.orders))
        held.set()
        assert [answer.result().status_code for answer in answers] == [201] * 20
        assert len(scene.users.requests) <= 3


def test_reading_orders_stays_quick_while_users_hangs(scene: Scene, new_id: int) -> None:
    scene.users.behave = hang
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, scene.orders, order(new_id))
        eventually(lambda: len(scene.users.requests) == 1)
        stored(scene.orders)
        assert not waiting.done()
        assert waiting.result().status_code == 503


def test_users_that_come_and_go_are_asked_once_for_each_attempt_and_never_for_what_is_known(tmp_path: Path) -> None:
    with running("users", tmp_path) as users, running("products", tmp_path) as products:
        for number in range(1, 21):
            assert post(users, {"id": number, "name": "Ada", "email": "a@b"}).status_code == 201
            assert post(products, {"id": number, "name": "Lamp", "price": 1}).status_code == 201
        lies = sometimes(seed=1, rate=0.5, lies=["reset before", "reset after", "503", "HTML 502", "cut in its body"])
        with between(users.url, lies) as to_users, between(products.url, lies) as to_products:
            urls = {"USERS_URL": to_users.url, "PRODUCTS_URL": to_products.url}
            with running("orders", tmp_path, **urls) as orders:
                statuses: Counter[int] = Counter()
                for number in range(1, 21):
                    status = 503
                    while status == 503:
                        status = post(orders, order(number)).status_code
                        statuses[status] += 1
                assert statuses[201] == stored(orders) == 20
                assert statuses[503] >= 5
                for proxy in (to_users, to_products):
                    assert 20 <= len(proxy.requests) <= statuses.total()
                    proxy.choose = lambda _: "held"
                    proxy.requests.clear()
                again = [post(orders, {**order(number), "id": 20 + number}).status_code for number in range(1, 21)]
                assert again == [201] * 20
                assert to_users.requests == to_products.requests == []


def test_users_that_were_killed_and_came_back_are_asked_at_once(tmp_path: Path) -> None:
    with running("users", tmp_path) as users, running("products", tmp_path) as products:
        urls = {"USERS_URL": users.url, "PRODUCTS_URL": products.url}
        post(products, {"id": 1, "name": "Lamp", "price": 1})
        with running("orders", tmp_path, **urls) as orders:
            # From now on there is a connection.
            assert post(orders, order(1)).status_code == 422
            users.process.kill()
            users.process.wait()
            assert post(orders, order(1)).status_code == 503
            with running("users", tmp_path, PORT=users.url.rpartition(":")[2]) as again:
                assert post(again, {"id": 1, "name": "Ada", "email": "a@b"}).status_code == 201
                assert post(orders, order(1)).status_code == 201


@contextmanager
def orders_beside_two_users(
    folder: Path, one: Behaviour, other: Behaviour
) -> Iterator[tuple[RunningService, Upstream]]:
    """Yield an orders service for which users has two addresses, and the first of them."""
    with listening(one) as first, listening(other) as second, listening(ALL_EXIST) as products:
        urls = {"USERS_URL": f"{first.url}, {second.url}/", "PRODUCTS_URL": products.url}
        with running("orders", folder, **urls, LOOKUP_TIMEOUT_S="4") as orders:
            yield orders, first


@pytest.mark.parametrize(
    "behaviour",
    [
        hang,
        drip_body,
        endless,
        cut_off,
        answer("503 Service Unavailable", b"", **{"retry-after": "60"}),
        answer("200 OK", b"<html>hello</html>", "text/html"),
    ],
    ids=["hangs", "drips its body", "endless", "is cut off", "503", "HTML"],
)
def test_another_address_of_users_is_asked_within_the_same_time(tmp_path: Path, behaviour: Behaviour) -> None:
    with orders_beside_two_users(tmp_path, behaviour, ALL_EXIST) as (orders, not_well):
        assert [post(orders, order(number)).status_code for number in range(1, 7)] == [201] * 6
        # It is left alone for a while.
        assert len(not_well.requests) == 1


def test_addresses_of_users_take_turns(tmp_path: Path) -> None:
    with orders_beside_two_users(tmp_path, ALL_EXIST, ALL_EXIST) as (orders, first):
        assert [post(orders, order(number)).status_code for number in range(1, 7)] == [201] * 6
        assert len(first.requests) == 3


def test_an_address_of_users_that_is_well_again_is_asked_again(tmp_path: Path) -> None:
    with orders_beside_two_users(tmp_path, cut_off, ALL_EXIST) as (orders, first):
        assert post(orders, order(1)).status_code == 201
        assert post(orders, order(2)).status_code == 201
        first.behave, asked = ALL_EXIST, len(first.requests)
        numbers = iter(range(3, 10_000))
        eventually(lambda: post(orders, order(next(numbers))).status_code == 201 and len(first.requests) > asked)


def test_where_no_address_of_users_can_be_asked_it_is_unavailable(tmp_path: Path) -> None:
    with orders_beside_two_users(tmp_path, hang, cut_off) as (orders, first):
        response = post(orders, order(1))
        assert response.status_code == 503
        assert response.json()["type"].endswith("/reference-check-unavailable")
        assert stored(orders) == 0
        failures = 'parallel_insert_lookup_failures_total{service="users"} 2'
        assert failures in metrics(orders)
        first.behave = ALL_EXIST
        assert post(orders, order(1)).status_code == 201


@pytest.mark.parametrize("urls", ["http://a,", "http://a,b", ","])
def test_each_address_of_users_must_be_one(tmp_path: Path, urls: str) -> None:
    with running("orders", tmp_path, USERS_URL=urls) as orders:
        _, stderr = orders.process.communicate(timeout=30)
    assert "USERS_URL" in stderr
