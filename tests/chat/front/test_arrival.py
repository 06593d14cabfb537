"""The first bytes of a connection, and how long is waited for them."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from chat.front import arrival
from chat.front.arrival import DETECT_SECONDS, Browsers, first_bytes
from chat.front.login import LOGIN_SECONDS

NEVER = math.inf

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    yield here, there
    here.close()
    there.close()


def test_what_has_come_already_is_not_waited_for(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"alice\n")
    began = time.monotonic()
    assert first_bytes(here, "10.0.0.1", Browsers(), NEVER) == ("lines", b"alice\n")
    assert time.monotonic() - began < DETECT_SECONDS


def test_who_says_nothing_is_greeted_soon(pair: Pair) -> None:
    began = time.monotonic()
    assert first_bytes(pair[0], "10.0.0.1", Browsers(), NEVER) == ("lines", b"")
    assert DETECT_SECONDS <= time.monotonic() - began < 2 * DETECT_SECONDS


def test_a_request_that_comes_in_pieces_is_one(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"PO")

    def rest() -> None:
        there.sendall(b"ST / HT")
        there.sendall(b"TP/1.1\r\n")

    timer = threading.Timer(DETECT_SECONDS / 4, rest)
    timer.start()
    front, first = first_bytes(here, "10.0.0.1", Browsers(), NEVER)
    timer.join()
    assert front == "http"
    assert b"POST / HTTP/1.1\r\n".startswith(first)


def test_who_has_begun_to_type_is_greeted_and_nothing_of_it_is_lost(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"ali")
    assert first_bytes(here, "10.0.0.1", Browsers(), NEVER) == ("lines", b"ali")


def test_who_hangs_up_at_once_is_nobody(pair: Pair) -> None:
    pair[1].shutdown(socket.SHUT_WR)
    assert first_bytes(pair[0], "10.0.0.1", Browsers(), NEVER) == (None, b"")


def test_a_spare_connection_of_a_browser_is_not_greeted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take the greeting for the answer to a request that it sends much later."""
    monkeypatch.setattr(arrival, "LOGIN_SECONDS", 3 * DETECT_SECONDS)
    browsers = Browsers()
    browsers.seen("10.0.0.1")
    assert first_bytes(pair[0], "10.0.0.1", browsers, NEVER) == (None, b"")


def test_a_spare_connection_has_the_time_for_a_login_and_no_more(pair: Pair) -> None:
    browsers = Browsers()
    browsers.seen("10.0.0.1")
    began = time.monotonic()
    assert first_bytes(pair[0], "10.0.0.1", browsers, began + DETECT_SECONDS) == (None, b"")
    assert time.monotonic() - began < LOGIN_SECONDS


def test_somebody_at_nc_beside_a_browser_may_take_his_time(pair: Pair) -> None:
    here, there = pair
    browsers = Browsers()
    browsers.seen("10.0.0.1")
    timer = threading.Timer(2 * DETECT_SECONDS, there.sendall, (b"alice\n",))
    timer.start()
    assert first_bytes(here, "10.0.0.1", browsers, NEVER) == ("lines", b"alice\n")
    timer.join()


def test_a_browser_is_remembered_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    browsers = Browsers()
    browsers.seen("10.0.0.1")
    browsers.seen("127.0.0.1")
    assert browsers.patience("10.0.0.1") == browsers.patience("127.0.0.1") == LOGIN_SECONDS
    assert browsers.patience("10.0.0.2") == DETECT_SECONDS
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + arrival.SPARE_SECONDS)
    assert browsers.patience("10.0.0.1") == LOGIN_SECONDS
    assert browsers.patience("127.0.0.1") == DETECT_SECONDS  # nc and a browser side by side


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "KNOWN_ADDRESSES", 2)
    browsers = Browsers()
    for last in (1, 2, 3):
        browsers.seen(f"10.0.0.{last}")
    assert browsers.patience("10.0.0.1") == DETECT_SECONDS
    assert browsers.patience("10.0.0.3") == LOGIN_SECONDS
