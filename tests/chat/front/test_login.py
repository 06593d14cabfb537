"""The login: bytes in, requests out, without a socket."""

from __future__ import annotations

import pytest

from chat.front.login import Login
from chat.front.session import Lines
from chat.room.room import Resume
from chat.service.lookup import HISTORY_RECORDS
from chat.service.requests import Join, LoginRequest, Noted, Password, Quit, Refuse


def requests(sent: bytes, *, admitted: bool = True) -> list[LoginRequest]:
    login = Login(Lines(), admitted=admitted)
    login.feed(sent)
    found: list[LoginRequest] = []
    while request := login.next():
        found.append(request)
    return found


def test_a_name_is_a_join_with_the_usual_replay() -> None:
    assert requests(b"alice\n") == [Join("alice", HISTORY_RECORDS, wants_session=False, resume=None)]


@pytest.mark.parametrize(
    ("options", "join"),
    [
        (b"/replay 7\n", Join("bob", 7, wants_session=False, resume=None)),
        (b"/replay all\n", Join("bob", None, wants_session=False, resume=None)),
        (b"/session\n/replay 0\n", Join("bob", 0, wants_session=True, resume=None)),
        (
            b"/session TOKEN 12 2026-11-21T10:15:42.123Z\n",
            Join("bob", HISTORY_RECORDS, True, Resume("TOKEN", 12, "2026-11-21T10:15:42.123Z")),
        ),
    ],
)
def test_options_come_before_the_name(options: bytes, join: Join) -> None:  # R17
    noted = options.count(b"\n")
    assert requests(options + b"bob\n") == [*[Noted()] * noted, join]


def test_a_password_is_asked_for_before_the_name() -> None:
    refused, password, again = requests(b"alice\n/password sesame \nalice\n", admitted=False)
    assert isinstance(refused, Refuse)
    assert "/password SECRET" in refused.sentence
    assert password == Password("sesame")
    assert isinstance(again, Refuse)  # the driver says when it was the right one


@pytest.mark.parametrize("word", [b"exit", b" exit ", b"/exit", b"/quit"])
def test_leaving_before_joining(word: bytes) -> None:
    assert requests(word + b"\n") == [Quit()]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "at least one visible character"),
        (b"two words", "space"),
        (b"clear", "command"),
        (b"/unknown", "only /password"),
        (b"/replay some", "number"),
        (b"/session one two", "TOKEN OFFSET TIME"),
        (b"x" * 9000, "too long"),
    ],
)
def test_invalid_lines_are_refused_with_a_sentence(line: bytes, why: str) -> None:  # R5, R18
    refused, join = requests(line + b"\nbob\n")
    assert isinstance(refused, Refuse)
    assert why in refused.sentence
    assert isinstance(join, Join)


def test_a_tls_handshake_at_a_server_without_tls_is_no_name() -> None:
    lines = Lines()
    login = Login(lines, admitted=True)
    login.feed(b"\x16\x03\x01\x02\x00\x01mallory\nhello\n")
    assert isinstance(login.next(), Quit)


@pytest.mark.parametrize("first", [b"", b"ali", b"/replay 7\n", b"/session\nali"])
def test_the_greeting_asks_for_a_name_that_has_not_come(first: bytes) -> None:
    assert "Send your name" in Login(Lines(), admitted=True).greeting("history.txt", first)


@pytest.mark.parametrize("first", [b"alice\n", b"/session\nalice\n", b"/password secret\nalice\nhello"])
def test_the_greeting_asks_for_nothing_that_has_come(first: bytes) -> None:
    for admitted in (True, False):
        greeting = Login(Lines(), admitted=admitted).greeting("history.txt", first)
        assert greeting.startswith("Welcome. Every line is a message; ")
