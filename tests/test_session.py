"""One client's conversation, from the greeting to the end: real connections to a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import session
from chat.bans import Bans
from chat.history import History
from chat.house import House, Rules
from chat.room import Room
from chat.session import BURST, LINE_BYTES, Lines, LineTooLong, Pace
from tests.harness import DEADLINE, Client, Server, serving, texts

Join = Callable[..., Client]


# -------------------------------------------------------------------------------------------------- lines


def _all(lines: Lines) -> list[bytes | None]:
    """The lines that are there; None for one that was too long."""
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


@pytest.mark.parametrize("size", [1, 2, 3, 7, 5000, 100_000])
def test_lines_are_the_same_however_they_arrive(size: int) -> None:
    received = b"one\n\nthree\r\n" + b"x" * LINE_BYTES + b"\n" + b"x" * 20_000 + b"\nlast\nunfinished"
    lines, taken = Lines(), []
    for start in range(0, len(received), size):
        lines.feed(received[start : start + size])
        taken += _all(lines)
        assert len(lines._buffer) <= LINE_BYTES + size
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


def test_the_pace_after_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    slept: list[float] = []

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout
            slept.append(timeout)
            now[0] += timeout
            return False

    monkeypatch.setattr("chat.session.time.monotonic", lambda: now[0])
    pace, clock = Pace(10), Clock()
    for _ in range(BURST):
        pace.wait(clock)
    assert not slept
    for _ in range(20):
        pace.wait(clock)
    assert sum(slept) == pytest.approx(2)
    now[0] += 1000
    slept.clear()
    for _ in range(BURST):
        pace.wait(clock)
    assert not slept
    pace.rate = 0
    for _ in range(1000):
        pace.wait(clock)
    assert not slept


def test_the_pace_does_not_hold_up_an_end() -> None:
    pace, ending = Pace(0.001), threading.Event()
    ending.set()
    for _ in range(BURST + 10):
        pace.wait(ending)


def test_a_flood_is_slowed_and_nobody_else_is(history_path: Path) -> None:
    """At this rate the line after the burst would come in a quarter of an hour."""
    with serving(history_path, "--rate", "0.001") as server:
        alice, bob = Client(server.port, "alice"), Client(server.port, "bob")
        alice.send(*(str(number) for number in range(BURST + 50)))
        bob.until("message", str(BURST - 2))  # the name was one of the burst
        bob.send("so far")
        bob.until("message", "so far")
        assert texts(bob.records) == [*(str(number) for number in range(BURST - 1)), "so far"]
        alice.close()
        bob.close()


def test_a_flood_that_is_slowed_is_not_lost(history_path: Path) -> None:
    with serving(history_path, "--rate", "1000") as server:
        alice = Client(server.port, "alice")
        alice.send(*(str(number) for number in range(BURST + 50)))
        alice.until("message", str(BURST + 49))
        assert texts(alice.records) == [str(number) for number in range(BURST + 50)]
        alice.close()


# -------------------------------------------------------------------------------------------------- login


def test_greets_and_takes_a_name(join: Join) -> None:
    client = join(None)
    hello = client.next()
    assert hello.kind == "/hello"
    assert "history.txt" in hello.text
    client.send("alice")
    assert client.until("join").name == "alice"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "at least one character"),
        ("two words", "space"),
        ("x" * 25, "25 characters"),
        ("al\u200bice", "nobody sees"),
        ("server", "taken"),
        ("HOST", "taken"),
        ("Ｅveryone", "taken"),
        ("ALICE", "taken"),
        ("clear", "command"),
        ("/unknown", "only /password"),
        ("/replay some", "number"),
        ("/session one two", "TOKEN OFFSET TIME"),
        ("x" * 9000, "too long"),
    ],
)
def test_refuses_with_a_sentence_and_lets_try_again(name: str, why: str, join: Join) -> None:
    join("alice")
    client = join(None)
    client.send(name, "bob")
    assert why in client.until("/error").text
    client.until("join", name="bob")


def test_takes_what_windows_sends(join: Join) -> None:
    client = join(None)
    client.send("alice\r", "hello\r", "/users\r", "exit\r")
    client.rest()
    assert texts(client.records) == ["hello"]
    assert client.history()[-1].text == "exit"


def test_who_leaves_before_it_has_a_name_was_never_here(join: Join, server: Server) -> None:
    for word in ("exit", "/exit", "/quit"):
        client = join(None)
        client.send(word)
        assert [said.kind for said in client.rest()] == ["/hello"]
    join("alice")
    assert [said.kind for said in server.records()] == ["start", "join"]


def test_the_login_takes_so_long_at_the_most(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOGIN_SECONDS", 0.2)
    here, there = socket.socketpair()
    there.settimeout(DEADLINE)

    history = History(history_path)
    house = House(Room(history), Rules(), Bans(history_path.with_name("bans.txt")))
    session.Session(here, "10.0.0.1", house).run()
    assert b"No name came" in there.recv(10_000)
    here.close()
    there.close()
    house.room._close()
    history.close()


def test_a_password_at_the_door(history_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("sesame \nand a comment\n")
    file.chmod(0o600)
    with serving(history_path, "--password-file", str(file)) as server:
        client = Client(server.port)
        assert "password" in client.next().text
        client.send("alice", "/password wrong", "alice", "/password sesame", "alice", "hello")
        client.until("message", "hello")
        assert [said.kind for said in client.records if said.direct] == ["/hello", *["/error"] * 3]
        client.close()
        server.stop()
        assert "sesame" not in server.errors() + history_path.read_text()


def test_replays_what_was_asked_for(join: Join) -> None:
    alice = join("alice")
    alice.send(*(str(number) for number in range(100)))
    alice.until("message", "99")
    for option, expected in (
        ("", 20),
        ("/replay 0", 0),
        ("/replay 7", 7),
        ("/replay all", 102),
        ("/replay 999", 102),
    ):
        reader = join(f"reader{expected}", *([option] if option else []))
        assert len(reader.history()) == expected + 1
        reader.send("exit")
        assert reader.rest()[-1].kind == "leave"
        alice.until("leave")
        alice.send("clear")
        alice.until("clear")
        alice.send(*(str(number) for number in range(101)))
        alice.until("message", "100")


# ------------------------------------------------------------------------------------------- conversation


def test_lines_of_one_segment_are_done_in_order(join: Join) -> None:
    alice = join("alice")
    alice.send(
        "one", "/away lunch", "two", "/sers", "three", "/nick alicia", "é", "/me waves", "//slash", "exit"
    )
    said = [(found.kind, found.name) for found in alice.rest()]
    assert said == [
        ("message", "alice"),
        ("/away", "server"),
        ("message", "alice"),
        ("/error", "server"),
        ("message", "alice"),
        ("rename", "alice"),
        ("message", "alicia"),
        ("action", "alicia"),
        ("message", "alicia"),
        ("leave", "alicia"),
    ]


def test_a_text_that_is_too_long_is_refused_whole(join: Join, server: Server) -> None:
    alice = join("alice")
    alice.send("x" * 4096, "x" * 4097, "é" * 2049, "x" * 100_000, "/me " + "x" * 4097, "short")
    alice.until("message", "short")
    assert texts(alice.records) == ["x" * 4096, "short"]
    errors = texts(alice.records, "/error")
    assert len(errors) == 4
    assert all("4096 bytes" in error for error in errors)


def test_lines_of_which_nothing_is_left_are_passed_over(join: Join) -> None:
    alice = join("alice")
    alice.send("", "\r", "\x1b\x07", "hello")
    assert alice.next().text == "hello"


def test_what_people_type_is_cleaned(join: Join) -> None:
    alice = join("alice")
    alice.socket.sendall(b"a\tb\x1b[31m\xff\xe2\x80\xae\n")
    assert alice.next().text == "a b[31m\ufffd"


def test_the_end_of_what_a_client_sends_is_not_the_end_of_what_it_hears(join: Join) -> None:
    r"""As `printf 'bob\nhello\n' | nc -N host 9999` does."""
    join("alice")
    bob = join(None)
    bob.send("bob", "/replay", "hello")
    bob.half_close()
    assert [said.kind for said in bob.rest() if said.name == "bob"] == ["join", "message", "leave"]
    assert bob.history()[-1].text == "connection closed"


def test_what_comes_behind_exit_is_not_said(join: Join, server: Server) -> None:
    alice = join("alice")
    alice.send("hello", "exit", "ghost", *["x" * 4000] * 100)
    assert alice.rest()[-1].kind == "leave"
    assert texts(server.records()) == ["hello"]


def test_a_lost_connection_is_told(join: Join) -> None:
    alice, bob = join("alice"), join("bob")
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    bob.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # a reset instead of an orderly end
    bob.close()
    assert alice.until("leave").text == "connection lost"


# ----------------------------------------------------------------------------------------------- sessions


def _place(client: Client) -> tuple[str, int, str]:
    """Where a session is, by the client's own count: token, offset, time of the last history record."""
    offset = token = None
    for said in client.records:
        if said.kind == "/session":
            token, start, _ = said.text.split()
            offset = int(start)
        elif not said.direct:
            assert offset is not None
            offset = len(said.encode()) if said.kind == "clear" else offset + len(said.encode())
            at = said.time
    assert token is not None
    assert offset is not None
    return token, offset, at


def test_a_session_begins_where_it_says(join: Join, server: Server) -> None:
    alice = join("alice")
    alice.send("one", "two", "three")
    alice.until("message", "three")
    client = join("bob", "/replay 2", "/session")
    _, start, end = client.records[1].text.split()
    content = server.history.read_bytes()
    assert client.records[1].kind == "/session"
    assert content[int(start) :] == b"".join(said.encode() for said in client.history())
    assert content[int(end) :].count(b"\n") == 1


def test_a_session_goes_on_exactly(join: Join) -> None:
    alice, bob = join("alice"), join("bob", "/session")
    token, offset, at = _place(bob)
    bob.close()
    alice.until("leave")
    alice.send("missed one", "missed two")
    alice.until("message", "missed two")
    again = join("bob", f"/session {token} {offset} {at}")
    assert [said.kind for said in again.history()] == ["leave", "message", "message", "join"]
    _, start, end = again.records[1].text.split()
    assert int(start) == offset
    assert int(end) > offset


def test_a_session_takes_over_from_its_earlier_connection(join: Join) -> None:
    alice, bob = join("alice"), join("bob", "/session")
    token, offset, at = _place(bob)
    bob.send(*(str(number) for number in range(500)))
    again = join("bob", f"/session {token} {offset} {at}")
    session_answer = next(said for said in again.records if said.kind == "/session")
    assert session_answer.text.split()[0] == token
    end = int(session_answer.text.split()[2])
    up_to_end, size = [], offset
    for said in again.history():
        size += len(said.encode())
        if size <= end:
            up_to_end.append(said)
    assert texts(up_to_end) == [str(number) for number in range(500)]
    assert [said.kind for said in up_to_end][-1] == "leave"
    again.send("here")
    alice.until("message", "here")
    assert {found.kind for found in bob.rest()} <= {"message"}  # nothing of what came after its end


def test_a_session_takes_over_in_spite_of_the_rate(history_path: Path) -> None:
    """Without the end of its connection the flood would go on for days."""
    with serving(history_path, "--rate", "0.001") as server:
        bob = Client(server.port, "bob", "/session")
        token, offset, at = _place(bob)
        bob.send(*(str(number) for number in range(500)))
        again = Client(server.port, "bob", f"/session {token} {offset} {at}")
        assert texts(again.records) == [str(number) for number in range(500)]
        bob.close()
        again.close()


def test_a_session_goes_on_after_a_crash(history_path: Path) -> None:
    with serving(history_path) as server:
        bob = Client(server.port, "bob", "/session")
        bob.send("one")
        bob.until("message", "one")
        token, offset, at = _place(bob)
        server.kill()
    with serving(history_path, port=server.port) as server:
        again = Client(server.port, "bob", f"/session {token} {offset} {at}")
        assert [said.kind for said in again.history()] == ["start", "join"]
        assert _place(again)[0] != token
        assert not texts(again.records, "/error")
        bob.close()
        again.close()


@pytest.mark.parametrize("changed", ["cleared", "another time", "inside a record", "beyond the end", "huge"])
def test_a_session_that_can_not_go_on_says_so(changed: str, join: Join) -> None:
    alice, bob = join("alice"), join("bob", "/session")
    bob.send("one", "two")
    bob.until("message", "two")
    token, offset, at = _place(bob)
    bob.close()
    alice.until("leave")
    if changed == "cleared":
        alice.send("clear")
        alice.until("clear")
    elif changed == "another time":
        at = "2020-01-01T00:00:00.000Z"
    elif changed == "inside a record":
        offset -= 1
    else:
        offset += 10_000 if changed == "beyond the end" else 10**30
    again = join("bob", f"/session {token} {offset} {at}")
    kinds = [said.kind for said in again.records]
    assert kinds[:3] == ["/hello", "/session", "/error"]
    assert "left off" in again.records[2].text
    assert _place(again)[1] > 0
    again.send("still here")
    alice.until("message", "still here")


def test_a_clear_sets_the_offset(join: Join, server: Server) -> None:
    alice, bob = join("alice"), join("bob", "/session")
    alice.send("old", "clear", "new")
    bob.until("message", "new")
    token, offset, at = _place(bob)
    assert offset == server.history.stat().st_size
    bob.close()
    alice.until("leave")
    again = join("bob", f"/session {token} {offset} {at}")
    assert [said.kind for said in again.history()] == ["leave", "join"]
