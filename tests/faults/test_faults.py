"""A short run of the fault harness, and each bug that it found, by itself."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import record
from chat.log.entries import Append, clear
from chat.log.history import History
from chat.log.log import LocalLog
from chat.room.ending import LOST
from chat.room.room import Member, Room, Start
from tests.faults.checker import check
from tests.faults.run import run
from tests.faults.server import FaultyServer, disk
from tests.harness import DEADLINE, Client, Server, reset


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, "it has not come about"
        time.sleep(0.01)


# ----------------------------------------------------------------------------------------- writing that fails


def test_a_leave_takes_effect_while_nothing_can_be_written(faulty: FaultyServer) -> None:
    alice, bob = Client(faulty.port, "alice"), Client(faulty.port, "bob")
    faulty.fail("write")
    bob.close()
    wait_until(lambda: "bob" not in _users(alice))
    faulty.fail()
    again = Client(faulty.port, "bob")
    alice.send("hello")
    again.until("message", "hello")
    faulty.stop()
    check(faulty.history, [], [])
    alice.close()
    again.close()


def _users(client: Client) -> list[str]:
    """Who is here."""
    before = len(client.records)
    client.send("/users", "/away")  # answered last
    client.until("/away")
    return [found.text.split()[0] for found in client.records[before:] if found.kind == "/users"]


def test_nobody_is_in_the_room_without_a_stored_join(faulty: FaultyServer) -> None:
    alice = Client(faulty.port, "alice")
    faulty.fail("write")
    bob = Client(faulty.port)
    assert "Not stored" in bob.ask("bob", "/error").text
    assert "Nobody here is called bob" in alice.ask("/msg bob psst", "/error").text
    faulty.fail()
    bob.send("bob", "hello")
    alice.until("message", "hello", name="bob")
    faulty.stop()
    check(faulty.history, [], [])
    alice.close()
    bob.close()


def test_a_name_that_is_not_in_the_history_is_not_taken(faulty: FaultyServer) -> None:
    alice = Client(faulty.port, "alice")
    faulty.fail("write")
    assert "Not stored" in alice.ask("/nick alicia", "/error").text
    faulty.fail()
    alice.send("hello")
    assert alice.until("message").name == "alice"
    alicia = Client(faulty.port, "alicia")
    faulty.stop()
    check(faulty.history, [], [])
    alice.close()
    alicia.close()


def test_each_line_that_is_not_stored_gets_an_error(faulty: FaultyServer) -> None:
    alice = Client(faulty.port, "alice")
    faulty.fail("write")
    alice.send(*["x"] * 30_000)
    for _ in range(30_000):
        assert alice.next().kind == "/error"
    faulty.fail()
    alice.send("y")
    assert alice.next().text == "y"
    alice.close()


def test_a_client_without_a_thread_gets_an_error_and_is_not_counted(tmp_path: Path) -> None:
    with (
        disk(tmp_path) as folder,
        contextlib.closing(FaultyServer(folder, "--max-clients", "2")) as server,
    ):
        alice = Client(server.port, "alice")
        server.fail("thread")
        for _ in range(3):
            bob = Client(server.port)
            assert "no thread left" in bob.next().text
            bob.close()
        server.fail()
        Client(server.port, "bob").close()
        alice.until("join", name="bob")
        alice.close()


def test_a_stop_that_cannot_sync_says_so(faulty: FaultyServer) -> None:
    faulty.fail("sync")
    with pytest.raises(AssertionError, match="exit 1"):
        faulty.stop()
    assert "may not be on the disk: Input/output error" in faulty.logs[-1]
    assert "Traceback" not in faulty.logs[-1]


@pytest.mark.parametrize("forget", [False, True])
def test_a_clear_whose_end_fails_leaves_one_history(
    forget: bool, history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is already in place; what follows must not remove it."""
    history = History(history_path, forget=forget)
    log = LocalLog(history)
    log.propose([Append(record.draft("-", "host", "notice", "before"))])

    def fails(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("chat.log.history._sync_folder", fails)
        broken.setattr(Path, "unlink", fails)
        log.propose([clear("-", "host")])
    log.propose([Append(record.draft("-", "host", "notice", "after"))])
    log.close()
    kinds = [record.parse(line).kind for line in history_path.read_bytes().splitlines()]
    assert kinds == ["clear", "notice"]


# ----------------------------------------------------------------- somebody lays hands on the running history


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _edit(path: Path) -> None:
    """Save like most editors: replace the file."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.with_name("edited").write_bytes(b"".join(lines[1:]))
    path.with_name("edited").rename(path)


def _lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(path.read_bytes() + b"and a line without an end")


@pytest.mark.parametrize("lay_hands_on", [_empty, _edit, _lengthen, Path.unlink])
def test_the_chat_continues_in_a_changed_file(lay_hands_on: Callable[[Path], None], server: Server) -> None:
    alice = Client(server.port, "alice", "/session")
    bob = Client(server.port, "bob", "/session")
    alice.send("before")
    for each in (alice, bob):
        each.until("message", "before")
    lay_hands_on(server.history)
    alice.send("after", "and on")
    for each in (alice, bob):
        each.until("message", "after")
        each.until("message", "and on")
    kept = [found for found in server.records() if found.kind in ("notice", "message")]
    assert [found.text for found in kept[-2:]] == ["after", "and on"]
    assert kept[-3].text.startswith("history.txt was changed")
    token, start, _ = next(r.text for r in reversed(bob.records) if r.kind == "/session").split()
    offset = int(start) + sum(len(r.encode()) for r in bob.records[-3:])
    assert offset == server.history.stat().st_size
    bob.close()
    again = Client(server.port, None, f"/session {token} {offset} {bob.records[-1].time}", "bob")
    again.until("join", name="bob")
    assert not [found for found in again.records if found.kind == "/error"]
    assert "Traceback" not in server.errors()
    alice.close()
    again.close()


def test_a_reader_behind_in_an_emptied_file_is_disconnected(server: Server) -> None:
    """What it had not received no longer exists; the server must not spin."""
    stopped, alice = Client(server.port, "stopped"), Client(server.port, "alice")
    for number in range(40):  # 20 MB, more than sockets hold
        alice.send(*["x" * 4000] * 128, str(number))
        alice.until("message", str(number))
    _empty(server.history)
    stopped.rest()
    alice.send("after")
    alice.until("leave", "connection lost", name="stopped")
    alice.close()
    stopped.close()


# ------------------------------------------------------------------------------------- connections that end


def test_a_resumed_session_finds_what_was_pending_when_its_connection_ended(history_path: Path) -> None:
    """The earlier connection has ended, and its last line is still waiting for the broadcaster."""
    history = History(history_path)
    room = Room(LocalLog(history))
    broadcaster = threading.Thread(target=room.run, daemon=True)
    broadcaster.start()
    here, there = socket.socketpair()
    alice = Member(room.presence("alice", "10.0.0.1"), here, "TOKEN")
    room.join(alice, Start(history.file, 0))
    append, busy, disk_is_free = history.append, threading.Event(), threading.Event()

    def append_slowly(drafts: bytes, now: str) -> None:
        busy.set()
        disk_is_free.wait(DEADLINE)
        append(drafts, now)

    history.append = append_slowly  # type: ignore[method-assign]
    room.say(None, record.draft("-", "host", "notice", "the disk is slow"))
    busy.wait(DEADLINE)
    room.say(alice, record.draft("10.0.0.1", "alice", "message", "said and not answered"))
    leaving = threading.Thread(target=room.leave, args=(alice, LOST))
    leaving.start()
    wait_until(lambda: room.find("alice") is None)
    found: list[bytes] = []

    def resume() -> None:
        room.take_over("TOKEN")
        found.append(history_path.read_bytes())

    resuming = threading.Thread(target=resume)
    resuming.start()
    disk_is_free.set()
    resuming.join(DEADLINE)
    leaving.join(DEADLINE)
    room.stop("")
    broadcaster.join(DEADLINE)
    room.log.close()
    here.close()
    there.close()
    assert b"said and not answered" in found[0]


def test_a_client_lost_while_answers_wait_for_it_leaves(faulty: FaultyServer) -> None:
    ghost, alice = Client(faulty.port, "ghost"), Client(faulty.port, "alice")
    ghost.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):  # its handler is waiting, so it can't send more
        ghost.send(*["/help"] * 3_000_000)
    reset(ghost)
    wait_until(lambda: "ghost" not in _users(alice))
    left = [found.text for found in alice.records if (found.kind, found.name) == ("leave", "ghost")]
    assert left == ["connection lost"]
    alice.close()


# ------------------------------------------------------------------------------------------------ everything


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_whatever_fails(seed: int, tmp_path: Path) -> None:
    run(seed, 8, tmp_path)
