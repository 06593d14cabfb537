"""Requests whole, or refused: a socket pair, and no chat."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from chat.front import http
from chat.front.http import BODY_BYTES, HEAD_BYTES, Answer, HttpConnection, Request, Response
from chat.service.budget import UNLIMITED, Account, Budget
from tests import web
from tests.harness import DEADLINE


class Site:
    """Answers each request with its own body, and keeps them."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        return Response(HTTPStatus.OK, request.body or b"empty", {"Content-Type": "text/plain"})


@contextmanager
def served(site: Site, first: bytes = b"", account: Account = UNLIMITED) -> Iterator[socket.socket]:
    here, there = socket.socketpair()
    there.settimeout(DEADLINE)
    thread = threading.Thread(target=HttpConnection(here, "10.0.0.1", account, site, first).run)
    thread.start()
    try:
        yield there
    finally:
        there.close()
        thread.join(DEADLINE)
        here.close()


def exchange(sent: bytes) -> tuple[int, bytes, Site]:
    site = Site()
    with served(site) as connection:
        connection.sendall(sent)
        answer = web.read_answer(connection)
    return answer.status, answer.body, site


def test_a_request_is_read_whole() -> None:
    status, body, site = exchange(web.request_bytes("POST", "/a?b=c&d=%20", b"text", X_Y="z"))
    assert (status, body) == (200, b"text")
    request = site.requests[0]
    assert (request.method, request.path, dict(request.query)) == ("POST", "/a", {"b": "c", "d": " "})
    assert request.headers["x-y"] == "z"


def test_what_was_read_before_counts() -> None:
    sent = web.request_bytes("POST", "/", b"text")
    for cut in (1, len(sent) - 5, len(sent)):
        site = Site()
        with served(site, sent[:cut]) as connection:
            connection.sendall(sent[cut:])
            assert web.read_answer(connection).body == b"text"


def test_byte_by_byte_is_the_same() -> None:
    site = Site()
    with served(site) as connection:
        for byte in web.request_bytes("POST", "/", b"text"):
            connection.sendall(bytes([byte]))
        assert web.read_answer(connection).body == b"text"


def test_requests_on_one_connection_are_answered_in_order() -> None:
    site = Site()
    with served(site) as connection:
        connection.sendall(b"".join(web.request_bytes("POST", "/", str(n).encode()) for n in range(5)))
        answers = [web.read_answer(connection) for _ in range(5)]
    assert [answer.body for answer in answers] == [b"0", b"1", b"2", b"3", b"4"]
    assert answers[0].headers["connection"] == "keep-alive"


@pytest.mark.parametrize("header", [b"Connection: close\r\n", b""])
def test_the_connection_is_closed_where_that_was_asked_for(header: bytes) -> None:
    version = b"1.1" if header else b"1.0"
    with served(Site()) as connection:
        connection.sendall(b"GET / HTTP/" + version + b"\r\nHost: x\r\n" + header + b"\r\n")
        assert web.read_answer(connection).headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_a_head_has_no_body() -> None:
    with served(Site()) as connection:
        connection.sendall(web.request_bytes("HEAD", "/") + web.request_bytes("GET", "/"))
        assert web.read_answer(connection, head_only=True).headers["content-length"] == "5"
        assert web.read_answer(connection).body == b"empty"


def test_a_body_that_waits_to_be_asked_for_is_asked_for() -> None:
    with served(Site()) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert web.read_answer(connection).status == 100
        connection.sendall(b"hi")
        assert web.read_answer(connection).body == b"hi"


SMUGGLED = b"0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"Transfer-Encoding: chunked\r\n", 501),
        (b"Transfer-Encoding: \x0bchunked\r\n", 501),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"Content-Length: 5, 5\r\n", 400),
        (b"Content-Length: +5\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: 0x5\r\n", 400),
        ("Content-Length: ５\r\n".encode(), 400),
        (b"Content-Length : 5\r\n", 400),
        (b" Content-Length: 5\r\n", 400),
        (b"X: a\r\n folded\r\n", 400),
        (b"X: a\rContent-Length: 5\r\n", 400),
        (b"X: a\nContent-Length: 5\r\n", 400),
        (b"X\r\n", 400),
        (b": x\r\n", 400),
        (b"Host: y\r\n", 400),
        (b"X: \x00\r\n", 400),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(headers: bytes, status: int) -> None:
    """And the connection is closed: nothing behind it is a request (RFC 9112 sections 5, 6 and 11)."""
    site = Site()
    with served(site) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + SMUGGLED)
        answer = web.read_answer(connection)
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert connection.recv(1) == b""
    assert not site.requests


@pytest.mark.parametrize(
    "line",
    [
        b"GET /",
        b"GET / HTTP/9.9",
        b"GET / HTTP/1.1 HTTP/1.1 x",
        b"GET  HTTP/1.1",
        b"GET /\x00 HTTP/x",
        b"GET http://[ HTTP/1.1",
    ],
)
def test_a_request_line_that_is_none_is_refused(line: bytes) -> None:
    status, body, site = exchange(line + b"\r\nHost: x\r\n\r\n")
    assert status in (400, 505)
    assert b"error" in body
    assert not site.requests


def test_without_a_host_nothing_is_answered() -> None:
    assert exchange(b"GET / HTTP/1.1\r\n\r\n")[0] == 400


def test_lines_that_end_in_lf_only_are_refused_at_once() -> None:
    assert exchange(b"GET / HTTP/1.1\nHost: x\n\n")[0] == 400


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES + 1), 413),
    ],
)
def test_what_is_too_long_is_refused(sent: bytes, status: int) -> None:
    assert exchange(sent)[0] == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET / HT", 408), (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", 408), (b"", 0)],
)
def test_what_does_not_come_is_not_waited_for(
    sent: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS"):
        monkeypatch.setattr(http, name, 0.1)
    with served(Site()) as connection:
        connection.sendall(sent)
        if status:
            assert web.read_answer(connection).status == status
        assert connection.recv(1) == b""


def test_every_answer_says_what_it_is_and_for_whom() -> None:
    with served(Site()) as connection:
        connection.sendall(web.request_bytes("GET", "/"))
        headers = web.read_answer(connection).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_requests_are_charged_until_they_have_to_wait() -> None:
    account = Budget(10).open("10.0.0.1")
    with served(Site(), account=account) as connection:
        asked = 0
        while not account.delay():
            assert asked < 20_000
            asked += 1
            connection.sendall(web.request_bytes("GET", "/"))
            assert web.read_answer(connection).status == 200


def test_too_many_requests_are_refused_with_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TURN_SECONDS", 0)
    account = Budget(10).open("10.0.0.1")
    account.charge(work=1000)
    site = Site()
    with served(site, account=account) as connection:
        connection.sendall(web.request_bytes("GET", "/"))
        answer = web.read_answer(connection)
    assert (answer.status, answer.headers["retry-after"]) == (429, "0")
    assert not site.requests
