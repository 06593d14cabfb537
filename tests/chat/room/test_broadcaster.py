"""The broadcaster: one order for everybody, nothing is sent that can't be stored, floods wait."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import record
from chat.room.broadcaster import DIRECT_BYTES, PENDING_BYTES, Closed, Full, Refused
from chat.room.ending import EXIT
from chat.room.room import Member, Room
from tests.harness import DEADLINE
from tests.rooms import Peer, direct, say, unstarted


def test_everybody_gets_everything_in_the_order_of_the_file(
    room: Room, peer: Callable[..., Peer]
) -> None:  # R6, R7
    peers = [peer(f"member{number}", offset=0) for number in range(10)]

    def speak(speaker: Peer) -> None:
        say(room, speaker, *(f"{speaker.member.name} {number}" for number in range(200)))

    handlers = [threading.Thread(target=speak, args=(speaker,)) for speaker in peers]
    for handler in handlers:
        handler.start()
    for handler in handlers:
        handler.join()
    say(room, peers[0], "end")
    got = [each.until("end") for each in peers]
    assert all(each == got[0] for each in got)
    assert [line.encode() for line in got[0]] == room.history_path.read_bytes().splitlines(keepends=True)
    for speaker in peers:
        own = [said.text for said in got[0] if said.kind == "message" and said.name == speaker.member.name]
        assert own[:200] == [f"{speaker.member.name} {number}" for number in range(200)]
    assert [said.time for said in got[0]] == sorted(said.time for said in got[0])


def test_what_is_sent_is_already_in_the_file(room: Room, peer: Callable[..., Peer]) -> None:  # R7, R28
    alice = peer("alice")
    for number in range(100):
        say(room, alice, str(number))
        alice.until(str(number))
        assert room.history_path.read_bytes().endswith(f"\t{number}\n".encode())


def test_direct_records_waiting_for_a_member_are_bounded(room: Room, peer: Callable[..., Peer]) -> None:
    stopped, alice = peer("stopped"), peer("alice")
    while stopped.member.offset == room.log.history.file.end or not stopped.member.stalled:
        say(room, alice, *["x" * 4000] * 10)
        room.flush()
    told = _tell_until_full(room, stopped)
    assert 0.9 * DIRECT_BYTES <= told * 1000 <= DIRECT_BYTES + 2000
    say(room, alice, "end")
    got = [stopped.next()]
    while sum(said.kind == "/test" for said in got) < told:
        got.append(stopped.next())
    room.send_direct(stopped.member, direct("there is room again"))
    stopped.until("there is room again")


def _tell_until_full(room: Room, stopped: Peer) -> int:
    told = 0
    try:
        while True:
            room.send_direct(stopped.member, direct("x" * 1000))
            told += 1
    except Full:
        return told


def test_answers_wait_for_their_reader(room: Room, peer: Callable[..., Peer]) -> None:
    alice = peer("alice")
    answers = 20_000

    def answer() -> None:
        for number in range(answers):
            room.answer(alice.member, direct(f"{number} " + "x" * 100))

    handler = threading.Thread(target=answer)
    handler.start()
    got: list[int] = []
    while len(got) < answers:
        said = alice.next()
        if said.kind == "/test":
            got.append(int(said.text.split()[0]))
    handler.join()
    assert got == list(range(answers))


def test_a_flood_waits_for_the_broadcaster(history_path: Path) -> None:
    said = record.draft("10.0.0.1", "alice", "message", "x" * 4000)
    with unstarted(history_path) as room:
        done: list[int] = []

        def speak() -> None:
            for number in range(5000):
                room.say(None, said)
                done.append(number)

        flood = threading.Thread(target=speak)
        flood.start()
        flood.join(0.5)
        assert flood.is_alive()
        assert PENDING_BYTES < len(done) * len(said) <= PENDING_BYTES + len(said)
        broadcaster = threading.Thread(target=room.run)
        broadcaster.start()
        flood.join(DEADLINE)
        room.stop("")
        broadcaster.join(DEADLINE)
    assert history_path.read_bytes().count(b"\tmessage\t") == 5000


def test_what_cannot_be_stored_is_not_sent(
    room: Room, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:  # R7, R27
    alice, bob = peer("alice"), peer("bob")
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", _no_space)
        say(room, alice, "lost")
        refused = alice.until("Not stored and not sent: No space left on device. Try again later.")[-1]
        assert refused.kind == "/error"
    say(room, alice, "stored")
    assert [said.text for said in bob.until("stored") if said.kind == "message"] == ["stored"]
    assert b"lost" not in room.history_path.read_bytes()


def _no_space(fd: int, data: bytes) -> int:
    raise OSError(28, os.strerror(28))


def test_threads_waiting_for_a_failed_broadcaster_are_released(
    history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unstarted(history_path) as room:
        busy, failing = threading.Event(), threading.Event()

        def broken(drafts: bytes, now: str) -> None:
            busy.set()
            failing.wait(DEADLINE)
            raise ValueError("a bug")

        monkeypatch.setattr(room.log.history, "append", broken)
        here, there = socket.socketpair()
        gone, joining = (Member(room.presence(name, "10.0.0.1"), here) for name in ("gone", "joining"))
        released: list[str] = []

        def join() -> None:
            with pytest.raises((Refused, Closed)):
                room.join(joining, room.start(None, lambda file: file.end))
            released.append("join")

        def leave() -> None:
            room.leave(gone, EXIT)
            released.append("leave")

        def flush() -> None:
            with contextlib.suppress(Closed):
                room.flush()
            released.append("flush")

        def run() -> None:
            with pytest.raises(ValueError, match="a bug"):
                room.run()

        broadcaster = threading.Thread(target=run)
        broadcaster.start()
        room.say(None, direct("the last straw"))
        assert busy.wait(DEADLINE)
        handlers = [threading.Thread(target=target, daemon=True) for target in (join, leave, flush)]
        for handler in handlers:
            handler.start()
        failing.set()
        for thread in (broadcaster, *handlers):
            thread.join(DEADLINE)
        assert sorted(released) == ["flush", "join", "leave"]
        here.close()
        there.close()


def test_stopping_is_announced_and_ends(room: Room, peer: Callable[..., Peer]) -> None:
    peers = [peer("alice"), peer("bob")]
    say(room, peers[0], "last words")
    room.stop("It is late.")
    for each in peers:
        each.until("last words")
        assert [each.next().kind, each.next().kind] == ["notice", "stop"]
        with pytest.raises(EOFError):
            each.next()
    with pytest.raises(Closed):
        say(room, peers[0], "too late")
    with pytest.raises(Closed):
        peer("late")
    room.leave(peers[0].member, EXIT)
