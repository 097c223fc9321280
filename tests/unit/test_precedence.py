"""Which records wait for which: those that hold the same values, each for the one before it in the input."""

from threading import Event, Thread

import pytest

from client.precedence import Precedence
from client.records import Record

UNIQUE = {"users": ("email",), "products": ("name", "price")}


def record(body: str, service: str = "products") -> Record:
    return Record(service, "x:1", body.encode(), None)


def waits(precedence: Precedence, one: Record) -> bool:
    """Tell whether the record waits now; who waits is let go."""
    over = Event()
    thread = Thread(target=precedence.await_turn, args=(one, over))
    thread.start()
    thread.join(0.05)
    waiting = thread.is_alive()
    over.set()
    thread.join()
    return waiting


def test_each_waits_for_the_one_before_until_that_is_settled() -> None:
    first, second, third = (record('{"name": "Lamp", "price": 1}') for _ in range(3))
    precedence = Precedence([first, second, third], UNIQUE)
    assert [waits(precedence, one) for one in (first, second, third)] == [False, True, True]
    precedence.settle(first)
    assert [waits(precedence, one) for one in (second, third)] == [False, True]
    precedence.settle(second)
    assert not waits(precedence, third)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"name": "Lamp", "price": 1}', '{"id": 7, "price": 1.00, "name": " Lamp "}', True),
        ('{"name": "Lamp", "price": 1}', '{"name": "Lamp", "price": 1.01}', False),
        ('{"name": "Lamp", "price": 1}', '{"name": "lamp", "price": 1}', False),
        *(
            (broken, broken, False)
            for broken in (
                '{"name": "Lamp"}',
                '{"name": ["Lamp"], "price": 1}',
                '{"name": "Lamp", "price": 1e99999999999999999999}',
                "[]",
                "7",
                "{",
                "[" * 100_000,
            )
        ),
    ],
)
def test_values_are_the_same_as_a_service_compares_them(one: str, other: str, *, same: bool) -> None:
    first, second = record(one), record(other)
    assert waits(Precedence([first, second], UNIQUE), second) == same


def test_nobody_waits_for_another_services_record_or_where_nothing_is_unique() -> None:
    first, second = (record('{"name": "Lamp", "price": 1}', service) for service in ("products", "orders"))
    assert not waits(Precedence([first, second], UNIQUE), second)
    assert not waits(Precedence([first, record(first.body.decode())], {}), second)
