"""The delivery: cursors into the file, direct records in their place, nobody slowed by a slow reader."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from chat import record
from chat.delivery import PIECE_BYTES, PIECES, Delivery
from chat.history import History
from chat.record import Record
from chat.room import Member, Room
from tests.rooms import Ear, direct, opened, say


def test_who_comes_is_told_to_the_others_with_the_next_word_or_after_a_rest(
    room: Room, ear: Callable[..., Ear]
) -> None:
    alice = ear("alice")
    room.settle()
    room._delivery._rest = 3600
    bob = ear("bob")
    assert bob.next().kind == "join"
    room.settle()
    assert alice.member.offset < room.history.file.end
    say(room, bob, "hello")
    assert [said.kind for said in alice.until("hello")] == ["join", "join", "message"]
    room._delivery._rest = 0.01
    ear("carol")
    assert alice.until("")[-1].name == "carol"


def test_listeners_at_many_places_share_a_bounded_memory(history_path: Path) -> None:
    line = record.stamp("2020-01-01T00:00:00.000Z", record.draft("-", "host", "notice", "x" * 4000))
    history_path.write_bytes(line * 200 + line * (PIECE_BYTES // len(line)))
    history = History(history_path)
    delivery = Delivery(history, lambda listener, size: None, lambda listener: None)
    pairs = [socket.socketpair() for _ in range(3 * PIECES)]
    for number, (here, _) in enumerate(pairs):
        member = Member(here, "-", str(number), "", threading.Event())
        member.hear_from(history.file, number * len(line))
        delivery.add(member)
    tracemalloc.start()
    delivery.deliver()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < (PIECES + 8) * PIECE_BYTES
    delivery.close()
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
