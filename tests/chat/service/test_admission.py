"""Joining, and resuming sessions exactly, over real connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.service.budget import BURST_LINES as BURST
from tests.harness import Client, Server, serving, texts

Join = Callable[..., Client]


def _place(client: Client) -> tuple[str, int, str]:
    """A session's state by the client's own count: token, offset, time of the last history record."""
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


def test_a_session_begins_where_it_says(join: Join, server: Server) -> None:  # R22, R37
    alice = join("alice")
    alice.send("one", "two", "three")
    alice.until("message", "three")
    client = join("bob", "/replay 2", "/session")
    _, start, end = client.records[1].text.split()
    content = server.history.read_bytes()
    assert client.records[1].kind == "/session"
    assert content[int(start) :] == b"".join(said.encode() for said in client.history())
    assert content[int(end) :].count(b"\n") == 1


def test_a_session_resumes_exactly(join: Join) -> None:  # R41
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


def test_a_session_takes_over_from_its_earlier_connection(join: Join) -> None:  # R40
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
    handled = texts(up_to_end)  # the rest was dropped: its client would send it again
    assert handled == [str(number) for number in range(len(handled))]
    assert [said.kind for said in up_to_end][-1] == "leave"
    again.send("here")
    alice.until("message", "here")
    assert {found.kind for found in bob.rest()} <= {"message"}  # nothing from after its end


def test_one_connection_has_a_session_however_many_take_it_over(join: Join, server: Server) -> None:
    """Under other names, all at once: the last one that comes has it, and the others are gone."""
    alice = join("alice")
    bob = join("bob", "/session")
    token, offset, at = _place(bob)
    others = [Client(server.port) for _ in range(10)]
    for number, other in enumerate(others):
        other.send(f"/session {token} {offset} {at}", f"bob{number}")
    leaves = [alice.until("leave") for _ in others]
    assert {said.text for said in leaves} == {"reconnecting"}
    while sum(said.kind == "join" for said in alice.records) < 2 + len(others):
        alice.next()
    alice.send("/users", "end")
    alice.until("message", "end")
    assert len(texts(alice.records, "/users")) == 2
    for other in (bob, *others):
        other.close()


def test_a_session_takes_over_despite_the_rate(history_path: Path) -> None:
    """At this rate its lines would take days; they are dropped, for the client to send again."""
    with serving(history_path, "--rate", "0.001") as server:
        bob = Client(server.port, "bob", "/session")
        token, offset, at = _place(bob)
        bob.send(*(str(number) for number in range(500)))
        again = Client(server.port, "bob", f"/session {token} {offset} {at}")
        handled = texts(again.records)
        assert len(handled) < BURST
        assert handled == [str(number) for number in range(len(handled))]
        bob.close()
        again.close()


def test_a_session_resumes_after_a_crash(history_path: Path) -> None:  # R41
    with serving(history_path) as server:
        bob = Client(server.port, "bob", "/session")
        bob.send("one")
        bob.until("message", "one")
        token, offset, at = _place(bob)
        server.kill()
    with serving(history_path, port=server.port) as server:
        again = Client(server.port, "bob", f"/session {token} {offset} {at}")
        assert [said.kind for said in again.history()] == ["start", "join"]
        assert _place(again)[0] == token
        assert not texts(again.records, "/error")
        bob.close()
        again.close()


@pytest.mark.parametrize("changed", ["cleared", "another time", "inside a record", "beyond the end", "huge"])
def test_a_session_that_cannot_be_resumed_says_so(changed: str, join: Join) -> None:  # R41
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


def test_a_clear_sets_the_offset(join: Join, server: Server) -> None:  # R38
    alice, bob = join("alice"), join("bob", "/session")
    alice.send("old", "clear", "new")
    bob.until("message", "new")
    token, offset, at = _place(bob)
    assert offset == server.history.stat().st_size
    bob.close()
    alice.until("leave")
    again = join("bob", f"/session {token} {offset} {at}")
    assert [said.kind for said in again.history()] == ["leave", "join"]


# ------------------------------------------------------------------------------------------- restarts


@pytest.fixture(params=["killed", "stopped"])
def restarted(request: pytest.FixtureRequest, history_path: Path) -> Iterator[Callable[[Server], Server]]:
    """Restarts a server: after a crash, and after an orderly stop."""
    servers: list[Server] = []

    def restart(server: Server) -> Server:
        if request.param == "killed":
            server.kill()
        else:
            server.stop()
        servers.append(Server(history_path, port=server.port))
        return servers[-1]

    yield restart
    for server in servers:
        server.close()


Restart = Callable[[Server], Server]


def _refusal(server: Server, *lines: str) -> str:
    """The sentence that answers these lines of a login."""
    client = Client(server.port)
    client.send(*lines)
    sentence = client.until("/error").text
    client.close()
    return sentence


def test_a_name_is_held_over_a_restart(join: Join, server: Server, restarted: Restart) -> None:  # R16
    alice = join("alice", "/session")
    token, offset, at = _place(alice)
    server = restarted(server)
    for lines in (("Alice",), ("/session", "alice"), ("/session wrong 0 2026-11-21T10:15:42.123Z", "alice")):
        assert re.search(r"The name alice is held for another [1-9]\d* s", _refusal(server, *lines), re.I)
    bob = Client(server.port, "bob")
    assert "held for" in bob.ask("/nick alice", "/error").text
    again = Client(server.port, "alice", f"/session {token} {offset} {at}")
    assert _place(again)[0] == token
    assert [said.kind for said in again.history()][-1] == "join"
    again.send("exit")
    bob.until("leave", name="alice")
    bob.ask("/nick alice", "rename")  # its owner had come back, and left
    assert token not in server.errors()
    assert token not in server.history.with_name("history.txt.sessions").read_text()
    again.close()
    bob.close()


def test_the_name_that_a_session_had_last_is_held(join: Join, server: Server, restarted: Restart) -> None:
    alice, bob = join("alice", "/session"), join("bob", "/session")
    token, offset, at = _place(alice)
    alice.ask("/nick alicia", "rename")
    alice.send("clear")
    bob.until("clear")
    again = join("alicia", f"/session {token} {offset} {at}")  # a takeover
    again.ask("/nick carol", "rename")
    bob.send("exit")
    again.until("leave", name="bob")
    server = restarted(server)
    assert "held for" in _refusal(server, "carol")
    for name in ("alice", "alicia", "bob"):
        Client(server.port, name).close()
    carol = Client(server.port, "carol", f"/session {token} {offset} {at}")
    assert _place(carol)[0] == token
    carol.close()


def test_who_comes_without_a_session_holds_no_name(join: Join, server: Server, restarted: Restart) -> None:
    join("alice")
    server = restarted(server)
    Client(server.port, "alice").close()


def test_a_held_name_can_be_taken_by_whoever_has_registered_it(
    join: Join, server: Server, restarted: Restart
) -> None:
    alice = join("alice", "/session")
    alice.ask("/register a long secret", "/register")
    server = restarted(server)
    assert "registered" in _refusal(server, "alice")
    Client(server.port, "alice", "/identify a long secret").close()


def test_a_session_that_takes_another_name_holds_none(join: Join, server: Server, restarted: Restart) -> None:
    alice = join("alice", "/session")
    token, offset, at = _place(alice)
    server = restarted(server)
    other = Client(server.port, "alicia", f"/session {token} {offset} {at}")
    Client(server.port, "alice").close()
    other.close()


@pytest.mark.parametrize("damage", [b"", b"\x00\xff\n" * 100, b"x" * 100])
def test_a_damaged_file_of_sessions_keeps_nobody_out(damage: bytes, history_path: Path) -> None:
    file = history_path.with_name("history.txt.sessions")
    with serving(history_path) as server:
        alice = Client(server.port, "alice", "/session")
        server.kill()
        alice.close()
    file.write_bytes(damage)
    with serving(history_path, port=server.port) as server:
        Client(server.port, "alice", "/session").close()
        assert (f"{file.name} is damaged" in server.errors()) == bool(damage)
