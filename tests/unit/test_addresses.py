"""Which address the client asks: its own, or another while that is left alone."""

from collections import Counter

import pytest

from client.addresses import Addresses
from client.services import Service, connect
from tests.processes import eventually
from tests.upstream import answer, listening


def test_connections_are_dealt_out_evenly() -> None:
    addresses = Addresses("a,b,c")
    assert Counter(addresses.deal() for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_each_uses_its_own_while_that_is_well() -> None:
    addresses = Addresses("a,b,c")
    assert [addresses.best(own) for own in "aabccca"] == list("aabccca")


def test_others_stand_in_by_turns_for_one_that_has_failed_until_it_answers() -> None:
    addresses = Addresses("a,b,c")
    addresses.failed("a")
    assert Counter(addresses.best("a") for _ in range(10)) == {"b": 5, "c": 5}
    assert addresses.best("b") == "b"
    addresses.answered("a")
    assert addresses.best("a") == "a"


@pytest.mark.parametrize("own", ["a", "b", "c"])
def test_where_all_have_failed_each_is_asked_in_turn(own: str) -> None:
    addresses = Addresses("a,b,c")
    for url in "bca":
        addresses.failed(url)
    assert [addresses.best(own) for _ in range(6)] == list("bcabca")


def test_one_that_has_failed_is_tried_again_later_by_one_request() -> None:
    addresses = Addresses("a,b")
    addresses.failed("a")
    eventually(lambda: addresses.best("a") == "a")
    # What comes of that is not known yet.
    assert addresses.best("a") == "b"
    assert addresses.well() == ["b"]


def test_a_single_address_is_asked_whatever_becomes_of_it() -> None:
    addresses = Addresses("a")
    addresses.failed("a")
    assert (addresses.best("a"), addresses.well()) == ("a", ["a"])


def test_several_addresses_share_the_time_and_a_single_one_has_all_of_it() -> None:
    assert connect("http://a", 30, give_up_after_s=10).timeout.read == 30
    assert connect("http://a,http://b", 30, give_up_after_s=10).timeout.read == 5
    assert connect("http://a,http://b", 3, give_up_after_s=10).timeout.read == 3


def test_the_start_waits_until_all_addresses_together_have_got_everything() -> None:
    with listening(answer("200 OK", b"parallel_insert_in_flight 5\n")) as one, listening(one.behave) as other:
        other.behave = answer("200 OK", b"parallel_insert_in_flight 4\n")
        url = f"{one.url},{other.url}"
        with connect(url) as client:
            service = Service("users", url, client)
            service.await_in_flight(9, within_s=30)
            assert (len(one.requests), len(other.requests)) == (1, 1)
            service.await_in_flight(10, within_s=0.2)
            assert min(len(one.requests), len(other.requests)) > 2
