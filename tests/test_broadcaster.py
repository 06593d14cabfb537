"""The broadcaster: one order for everybody, cursors into the file, nobody slowed by a slow reader."""

from __future__ import annotations

import os
import socket
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import record
from chat.broadcaster import DIRECT_BYTES, PENDING_BYTES, PIECE_BYTES, PIECES, Closed, Full, NotStored
from chat.history import History
from chat.record import Record
from chat.room import Member, Room
from tests.harness import DEADLINE
from tests.rooms import Ear, opened, say


def direct(text: str) -> bytes:
    return record.draft("-", "server", "/test", text)


def test_everybody_hears_everything_in_the_order_of_the_file(room: Room, ear: Callable[..., Ear]) -> None:
    ears = [ear(f"member{number}", offset=0) for number in range(10)]

    def speak(speaker: Ear) -> None:
        say(room, speaker, *(f"{speaker.member.name} {number}" for number in range(200)))

    handlers = [threading.Thread(target=speak, args=(speaker,)) for speaker in ears]
    for handler in handlers:
        handler.start()
    for handler in handlers:
        handler.join()
    say(room, ears[0], "end")
    heard = [each.until("end") for each in ears]
    assert all(each == heard[0] for each in heard)
    assert [line.encode() for line in heard[0]] == room.history.path.read_bytes().splitlines(keepends=True)
    for speaker in ears:
        own = [said.text for said in heard[0] if said.kind == "message" and said.name == speaker.member.name]
        assert own[:200] == [f"{speaker.member.name} {number}" for number in range(200)]
    assert [said.time for said in heard[0]] == sorted(said.time for said in heard[0])


def test_what_is_heard_is_in_the_file_already(room: Room, ear: Callable[..., Ear]) -> None:
    alice = ear("alice")
    for number in range(100):
        say(room, alice, str(number))
        alice.until(str(number))
        assert room.history.path.read_bytes().endswith(f"\t{number}\n".encode())


def test_who_comes_is_told_to_the_others_with_the_next_word_or_after_a_rest(
    room: Room, ear: Callable[..., Ear]
) -> None:
    alice = ear("alice")
    room.settle()
    room._rest = 3600
    bob = ear("bob")
    assert bob.next().kind == "join"
    room.settle()
    assert alice.member.offset < room.history.file.end
    say(room, bob, "hello")
    assert [said.kind for said in alice.until("hello")] == ["join", "join", "message"]
    room._rest = 0.01
    ear("carol")
    assert alice.until("")[-1].name == "carol"


def test_listeners_at_many_places_share_a_bounded_memory(history_path: Path) -> None:
    line = record.stamp("2020-01-01T00:00:00.000Z", record.draft("-", "host", "notice", "x" * 4000))
    history_path.write_bytes(line * 200 + line * (PIECE_BYTES // len(line)))
    history = History(history_path)
    room = Room(history)
    pairs = [socket.socketpair() for _ in range(3 * PIECES)]
    for number, (here, _) in enumerate(pairs):
        member = Member(here, "-", str(number), "", threading.Event())
        member.hear_from(history.file, number * len(line))
        room._due.add(member)
    tracemalloc.start()
    room._deliver()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < (PIECES + 8) * PIECE_BYTES
    room._close()
    history.close()
    for here, there in pairs:
        here.close()
        there.close()


def test_who_does_not_read_holds_up_nobody_and_loses_nothing(room: Room, ear: Callable[..., Ear]) -> None:
    deaf, alice = ear("deaf"), ear("alice")
    text = "x" * 4000
    for number in range(5000):  # 20 MB, far more than the sockets hold
        say(room, alice, f"{number} {text}")
        if number % 100 == 99:
            alice.until(f"{number} {text}")
    assert deaf.member.offset < room.history.file.end - 10_000_000
    heard = deaf.until(f"4999 {text}")
    numbers = [int(said.text.split()[0]) for said in heard if said.kind == "message"]
    assert numbers == list(range(5000))


def test_who_does_not_read_gets_direct_records_in_their_place(room: Room, ear: Callable[..., Ear]) -> None:
    deaf, alice = ear("deaf"), ear("alice")
    text = "x" * 4000
    for number in range(1000):
        say(room, alice, f"{number} {text}")
        room.tell(deaf.member, direct(f"after {number}"))
        alice.until(f"{number} {text}")
    heard = [said.text.removesuffix(f" {text}") for said in deaf.until("after 999") if said.kind != "join"]
    assert heard == [text for number in range(1000) for text in (str(number), f"after {number}")]


def test_what_waits_for_one_member_is_bounded(room: Room, ear: Callable[..., Ear]) -> None:
    deaf, alice = ear("deaf"), ear("alice")
    while deaf.member.offset == room.history.file.end or not deaf.member.stalled:
        say(room, alice, *["x" * 4000] * 10)
        room.settle()
    told = _tell_until_full(room, deaf)
    assert 0.9 * DIRECT_BYTES <= told * 1000 <= DIRECT_BYTES + 2000
    say(room, alice, "end")
    heard = [deaf.next()]
    while sum(said.kind == "/test" for said in heard) < told:
        heard.append(deaf.next())
    room.tell(deaf.member, direct("there is room again"))
    deaf.until("there is room again")


def _tell_until_full(room: Room, deaf: Ear) -> int:
    told = 0
    try:
        while True:
            room.tell(deaf.member, direct("x" * 1000))
            told += 1
    except Full:
        return told


def test_answers_wait_for_their_reader(room: Room, ear: Callable[..., Ear]) -> None:
    alice = ear("alice")
    answers = 20_000

    def answer() -> None:
        for number in range(answers):
            room.answer(alice.member, direct(f"{number} " + "x" * 100))

    handler = threading.Thread(target=answer)
    handler.start()
    heard: list[int] = []
    while len(heard) < answers:
        said = alice.next()
        if said.kind == "/test":
            heard.append(int(said.text.split()[0]))
    handler.join()
    assert heard == list(range(answers))


def test_a_flood_waits_for_the_broadcaster(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(history_path)
    room = Room(history)
    said = record.draft("10.0.0.1", "alice", "message", "x" * 4000)
    wait, waits = room._relief.wait, threading.Event()

    def noted_wait() -> None:
        waits.set()
        wait()

    monkeypatch.setattr(room._relief, "wait", noted_wait)

    def speak() -> None:
        for _ in range(5000):
            room.say(None, said)

    flood = threading.Thread(target=speak)
    flood.start()
    assert waits.wait(DEADLINE)
    assert PENDING_BYTES < room._pending_bytes <= PENDING_BYTES + len(said)
    broadcaster = threading.Thread(target=room.run)
    broadcaster.start()
    flood.join(DEADLINE)
    room.stop("")
    broadcaster.join(DEADLINE)
    history.close()
    assert history_path.read_bytes().count(b"\tmessage\t") == 5000


def test_a_clear_comes_to_everybody_in_its_place(room: Room, ear: Callable[..., Ear]) -> None:
    deaf, alice = ear("deaf"), ear("alice")
    text = "x" * 4000
    say(room, alice, *(f"{number} {text}" for number in range(1000)))
    room.clear("10.0.0.1", "alice", alice.member)
    say(room, alice, "after")
    room.tell(deaf.member, direct("direct"))
    for each in (alice, deaf):
        kinds = [said.kind for said in each.until("after") if said.kind != "join"]
        assert kinds == ["message"] * 1000 + ["clear", "message"]
    assert deaf.next().text == "direct"
    assert record.parse(room.history.path.read_bytes().splitlines()[0]).kind == "clear"


def test_what_can_not_be_stored_is_not_sent(
    room: Room, ear: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = ear("alice"), ear("bob")
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", _no_space)
        say(room, alice, "lost")
        refused = alice.until("Not stored and not sent: No space left on device. Try again later.")[-1]
        assert refused.kind == "/error"
    say(room, alice, "stored")
    assert [said.text for said in bob.until("stored") if said.kind == "message"] == ["stored"]
    assert b"lost" not in room.history.path.read_bytes()


def _no_space(fd: int, data: bytes) -> int:
    raise OSError(28, os.strerror(28))


def test_after_a_line_that_is_no_record_the_offset_is_told(history_path: Path) -> None:
    first, second = (
        Record("2020-01-01T00:00:00.000Z", "-", "host", "notice", text).encode() for text in ("one", "two")
    )
    history_path.write_bytes(first + b"edited by hand\n" + second)
    with opened(history_path) as room:
        ear = Ear(room, "alice", offset=0, token="TOKEN")
        heard = [ear.next() for _ in range(4)]
        assert [said.kind for said in heard] == ["notice", "/session", "notice", "join"]
        start = len(first) + len(b"edited by hand\n")
        assert heard[1].text.split()[:2] == ["TOKEN", str(start)]
        ear.close()


def test_who_waits_for_a_broadcaster_that_fails_is_let_go(
    history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(history_path)
    room = Room(history)

    def broken(drafts: bytes) -> str:
        raise ValueError("a bug")

    monkeypatch.setattr(history, "append", broken)
    here, there = socket.socketpair()
    gone, joining = (Member(here, "10.0.0.1", name, "", threading.Event()) for name in ("gone", "joining"))
    not_stored: list[str] = []

    def join() -> None:
        with pytest.raises(NotStored) as why_not:
            room.join(joining, history.file, 0)
        not_stored.append(str(why_not.value))

    handlers = [
        threading.Thread(target=target, args=args, daemon=True)
        for target, args in ((join, ()), (room.leave, (gone, "exit")), (room.settle, ()))
    ]
    for posted, handler in enumerate(handlers, 1):  # all in one batch, whose first record is one too many
        handler.start()
        while len(room._pending) < posted:
            assert handler.is_alive()
    with pytest.raises(ValueError, match="a bug"):
        room.run()
    for handler in handlers:
        handler.join(DEADLINE)
        assert not handler.is_alive()
    assert not_stored == ["The server has failed."]
    history.close()
    here.close()
    there.close()


def test_stopping_tells_everybody_and_ends(room: Room, ear: Callable[..., Ear]) -> None:
    ears = [ear("alice"), ear("bob")]
    say(room, ears[0], "last words")
    room.stop("It is late.")
    for each in ears:
        each.until("last words")
        assert [each.next().kind, each.next().kind] == ["notice", "stop"]
        with pytest.raises(EOFError):
            each.next()
    with pytest.raises(Closed):
        say(room, ears[0], "too late")
    with pytest.raises(Closed):
        ear("late")
    room.leave(ears[0].member, "exit")
