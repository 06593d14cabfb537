"""Where the client goes on when its server is gone."""

from __future__ import annotations

import pytest

from TCP_client import MOST_SERVERS, Address, Route, parse_address

A, B, C = Address("a", 9999), Address("b", 9999), Address("c", 1)


def test_several_addresses_are_one_argument() -> None:
    address = parse_address("a,b:9999,c:1")
    assert (address.host, address.port, address.others) == ("a", 9999, (B, C))
    assert str(address) == "a,b,c:1"
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["a,", ",a", "a,,b", "a,b:0"])
def test_each_of_them_has_to_be_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an? (address|port)"):
        parse_address(text)


def test_each_other_server_is_tried_before_one_that_failed() -> None:
    route = Route(parse_address("a,b,c:1"))
    tried = [route.here]
    while route.turn_to_another():
        tried.append(route.here)
    assert sorted(tried) == sorted([A, B, C])
    assert route.here in (A, B, C)
    assert route.turn_to_another()


def test_who_was_in_begins_a_new_round() -> None:
    route = Route(parse_address("a,b"))
    assert route.turn_to_another()
    route.arrived()
    assert route.turn_to_another()
    assert route.here == A


def test_a_single_server_is_tried_again_and_again() -> None:
    route = Route(A)
    assert not route.turn_to_another()
    assert route.here == A


def test_the_server_knows_where_the_others_are() -> None:
    route = Route(Address("localhost", 9999))
    route.learn("a b c:1")
    assert str(route) == "localhost,b,c:1"
    route.learn("a")
    assert str(route) == "localhost"


def test_a_server_that_sends_nonsense_sends_nobody_anywhere() -> None:
    route = Route(A)
    route.learn("a :: http://b b:x " + " ".join(f"host{number}" for number in range(100)))
    assert len(str(route).split(",")) < MOST_SERVERS
    assert "http" not in str(route)
