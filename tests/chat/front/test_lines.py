"""One client's conversation, from the greeting to the end: real connections to a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import record
from chat.front import lines
from chat.log.history import History
from chat.service.budget import BURST_LINES as BURST
from tests.harness import DEADLINE, Client, Server, serving, texts
from tests.rooms import Undecided, idle, opened, service_of

Join = Callable[..., Client]


def test_a_flood_is_slowed_and_nobody_else_is(history_path: Path) -> None:  # R33
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


def test_a_flood_that_is_slowed_is_not_lost(history_path: Path) -> None:  # R33
    with serving(history_path, "--rate", "1000") as server:
        alice = Client(server.port, "alice")
        alice.send(*(str(number) for number in range(BURST + 50)))
        alice.until("message", str(BURST + 49))
        assert texts(alice.records) == [str(number) for number in range(BURST + 50)]
        alice.close()


# -------------------------------------------------------------------------------------------------- login


def test_greets_and_takes_a_name(join: Join) -> None:  # R12, R17
    client = join(None)
    hello = client.next()
    assert hello.kind == "/hello"
    assert "history.txt" in hello.text
    client.send("alice")
    assert client.until("join").name == "alice"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "at least one visible character"),
        ("two words", "space"),
        ("x" * 25, "25 characters"),
        ("al\u200bice", "invisible"),
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
def test_refuses_with_a_sentence_and_lets_try_again(
    name: str, why: str, join: Join
) -> None:  # R13, R14, R15, R18
    join("alice")
    client = join(None)
    client.send(name, "bob")
    assert why in client.until("/error").text
    client.until("join", name="bob")


def test_takes_what_windows_sends(join: Join) -> None:  # R1
    client = join(None)
    client.send("alice\r", "hello\r", "/users\r", "exit\r")
    client.rest()
    assert texts(client.records) == ["hello"]
    assert client.history()[-1].text == "exit"


def test_leaving_during_the_login_leaves_no_trace(join: Join, server: Server) -> None:
    for word in ("exit", "/exit", "/quit"):
        client = join(None)
        client.send(word)
        assert [said.kind for said in client.rest()] == ["/hello"]
    join("alice")
    assert [said.kind for said in server.records()] == ["start", "join"]


def test_the_login_has_a_time_limit(history_path: Path) -> None:  # R19
    here, there = socket.socketpair()
    there.settimeout(DEADLINE)

    with idle(history_path) as room:
        lines.LineConnection(here, "10.0.0.1", service_of(room), time.monotonic() + 0.2).run()
    assert b"No name came" in there.recv(10_000)
    here.close()
    there.close()


def test_who_waits_to_be_let_in_is_told_once(history_path: Path) -> None:  # R47
    here, there = socket.socketpair()
    there.settimeout(DEADLINE)
    log: list[Undecided] = []

    def undecided(history: History) -> Undecided:
        log.append(Undecided(history))
        return log[0]

    with opened(history_path, undecided) as room, there, here:
        alice = lines.LineConnection(here, "10.0.0.1", service_of(room), time.monotonic() + DEADLINE)
        handler = threading.Thread(target=alice.run)
        handler.start()
        stream = there.makefile("rb")
        kinds = [record.parse(stream.readline()).kind]
        there.sendall(b"/session\nalice\n")
        kinds.append(record.parse(stream.readline()).kind)
        log[0].decide()
        there.sendall(b"exit\n")
        kinds += [record.parse(line).kind for line in stream]
        stream.close()
        there.close()
        handler.join(DEADLINE)
    assert kinds == ["/hello", "/note", "/session", "join", "leave"]


def test_the_password_of_the_room(history_path: Path, tmp_path: Path) -> None:  # R17
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


def test_replays_what_was_asked_for(join: Join) -> None:  # R17
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


def test_lines_of_one_segment_are_handled_in_order(join: Join) -> None:  # R27
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


def test_a_text_that_is_too_long_is_refused_whole(join: Join, server: Server) -> None:  # R26
    alice = join("alice")
    alice.send("x" * 4096, "x" * 4097, "é" * 2049, "x" * 100_000, "/me " + "x" * 4097, "short")
    alice.until("message", "short")
    assert texts(alice.records) == ["x" * 4096, "short"]
    errors = texts(alice.records, "/error")
    assert len(errors) == 4
    assert all("4096 bytes" in error for error in errors)


def test_lines_that_clean_to_nothing_get_no_answer(join: Join) -> None:  # R25
    alice = join("alice")
    alice.send("", "\r", "\x1b\x07", "hello")
    assert alice.next().text == "hello"


def test_input_is_cleaned(join: Join) -> None:  # R25
    alice = join("alice")
    alice.socket.sendall(b"a\tb\x1b[31m\xff\xe2\x80\xae\n")
    assert alice.next().text == "a b[31m\ufffd"


def test_a_half_closed_client_still_gets_everything(join: Join) -> None:  # R36
    r"""As `printf 'bob\nhello\n' | nc -N host 9999` does."""
    join("alice")
    bob = join(None)
    bob.send("bob", "/replay", "hello")
    bob.half_close()
    assert [said.kind for said in bob.rest() if said.name == "bob"] == ["join", "message", "leave"]
    assert bob.history()[-1].text == "connection closed"


def test_lines_after_exit_are_dropped(join: Join, server: Server) -> None:
    alice = join("alice")
    alice.send("hello", "exit", "ghost", *["x" * 4000] * 100)
    assert alice.rest()[-1].kind == "leave"
    assert texts(server.records()) == ["hello"]


def test_a_lost_connection_is_announced(join: Join) -> None:  # R36
    alice, bob = join("alice"), join("bob")
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    bob.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # a reset instead of an orderly end
    bob.close()
    assert alice.until("leave").text == "connection lost"
