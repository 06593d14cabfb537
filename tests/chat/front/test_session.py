"""A session's input: bytes in, requests out, however they arrive."""

from __future__ import annotations

import pickle

import pytest

from chat.front.session import LINE_BYTES, Lines, LineTooLong, Session, understand
from chat.service.requests import Command, Request, Speak, TooLong


def _all(lines: Lines) -> list[bytes | None]:
    """The complete lines; None for one that was too long."""
    taken: list[bytes | None] = []
    while True:
        try:
            line = lines.next()
        except LineTooLong:
            taken.append(None)
            continue
        if line is None:
            return taken
        taken.append(line)


def held(lines: Lines) -> int:
    """About how many bytes it holds."""
    return len(pickle.dumps(lines)) - len(pickle.dumps(Lines()))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 5000, 100_000])
def test_lines_are_the_same_however_they_arrive(size: int) -> None:  # R1
    received = b"one\n\nthree\r\n" + b"x" * LINE_BYTES + b"\n" + b"x" * 20_000 + b"\nlast\nunfinished"
    lines, taken = Lines(), []
    for start in range(0, len(received), size):
        lines.feed(received[start : start + size])
        taken += _all(lines)
        assert held(lines) <= LINE_BYTES + size + 64  # of the pickle itself
    assert taken == [b"one", b"", b"three\r", b"x" * LINE_BYTES, None, b"last"]


def test_plain_messages_are_taken_together() -> None:
    lines = Lines()
    lines.feed(b"one\ntwo\n/users\nthree\nunfin")
    assert lines.plain_messages() == b"one\ntwo\n"
    assert lines.plain_messages() == b""
    assert lines.next() == b"/users"
    assert lines.plain_messages() == b"three\n"
    assert lines.next() is None
    lines.feed(b"ished\n")
    assert lines.plain_messages() == b"unfinished\n"


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("hello", Speak(b"hello\n")),
        ("  hello ", Speak(b"  hello \n")),
        ("clear", Command("clear", "")),
        (" exit ", Command("exit", "")),
        ("clear the table", Speak(b"clear the table\n")),
        ("Exit", Speak(b"Exit\n")),
        ("/me waves  twice ", Command("me", "waves  twice")),
        ("/ME waves", Command("ME", "waves")),
        ("//etc/hosts", Command("say", "/etc/hosts")),
        ("/", Command("", "")),
        ("/ hello", Command("", "hello")),
    ],
)
def test_what_a_line_means(line: str, request_: Request) -> None:  # R24
    assert understand(line) == request_


@pytest.mark.parametrize("many", [True, False])
def test_requests_come_in_the_order_of_the_lines(many: bool) -> None:
    session = Session(Lines())
    session.feed(b"one\ntwo\n\x1b\n/users\n" + b"x" * 9000 + b"\nclear\n\xc3\xa9\nunfinished")
    requests = []
    while request := session.next(many=many):
        requests.append(request)
    spoken = [Speak(b"one\ntwo\n")] if many else [Speak(b"one\n"), Speak(b"two\n")]
    assert requests == [
        *spoken,
        Command("users", ""),
        TooLong(),
        Command("clear", ""),
        Speak("é\n".encode()),
    ]
