"""The delivery: cursors into the file, direct records in their place, nobody slowed by a slow reader."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import record
from chat.record import Record
from chat.room import delivery as delivery_module
from chat.room.delivery import PIECE_BYTES, PIECES, Delivery, Listener
from chat.room.room import Room
from tests.rooms import Peer, direct, idle, opened, say


def test_a_join_is_sent_with_the_next_message_or_after_a_delay(
    room: Room, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:  # R8
    monkeypatch.setattr(delivery_module, "COALESCING", float("inf"))
    monkeypatch.setattr(delivery_module, "COALESCING_SECONDS", 3600)
    alice = peer("alice")
    say(room, alice, "a round to everybody")
    alice.until("a round to everybody")
    bob = peer("bob")
    assert bob.next().kind == "join"
    room.flush()
    assert alice.member.offset < room.log.history.file.end
    monkeypatch.setattr(delivery_module, "COALESCING_SECONDS", 0.01)
    say(room, bob, "hello")
    assert [said.kind for said in alice.until("hello")] == ["join", "message"]
    peer("carol")
    assert alice.until("")[-1].name == "carol"


def test_listeners_at_many_positions_share_a_bounded_memory(history_path: Path) -> None:
    line = record.stamp("2020-01-01T00:00:00.000Z", record.draft("-", "host", "notice", "x" * 4000))
    history_path.write_bytes(line * 200 + line * (PIECE_BYTES // len(line)))
    with idle(history_path) as room:
        delivery = Delivery(room.log, lambda listener, size: None, lambda listener: None)
        pairs = [socket.socketpair() for _ in range(3 * PIECES)]
        for number, (here, _) in enumerate(pairs):
            here.setblocking(False)
            listener = Listener(here)
            listener.seek(room.log.history.file, number * len(line))
            delivery.add(listener)
        tracemalloc.start()
        delivery.deliver()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < (PIECES + 8) * PIECE_BYTES
        delivery.close()
        for here, there in pairs:
            here.close()
            there.close()


def test_a_slow_reader_holds_up_nobody_and_loses_nothing(
    room: Room, peer: Callable[..., Peer]
) -> None:  # R34
    stopped, alice = peer("stopped"), peer("alice")
    text = "x" * 4000
    for number in range(5000):  # 20 MB, far more than the sockets hold
        say(room, alice, f"{number} {text}")
        if number % 100 == 99:
            alice.until(f"{number} {text}")
    assert stopped.member.offset < room.log.history.file.end - 10_000_000
    got = stopped.until(f"4999 {text}")
    numbers = [int(said.text.split()[0]) for said in got if said.kind == "message"]
    assert numbers == list(range(5000))


def test_a_slow_reader_gets_direct_records_in_order(room: Room, peer: Callable[..., Peer]) -> None:  # R11
    stopped, alice = peer("stopped"), peer("alice")
    text = "x" * 4000
    for number in range(1000):
        say(room, alice, f"{number} {text}")
        room.send_direct(stopped.member, direct(f"after {number}"))
        alice.until(f"{number} {text}")
    got = [said.text.removesuffix(f" {text}") for said in stopped.until("after 999") if said.kind != "join"]
    assert got == [text for number in range(1000) for text in (str(number), f"after {number}")]


def test_a_clear_reaches_everybody_in_order(room: Room, peer: Callable[..., Peer]) -> None:  # R6, R9
    stopped, alice = peer("stopped"), peer("alice")
    text = "x" * 4000
    say(room, alice, *(f"{number} {text}" for number in range(1000)))
    room.clear("10.0.0.1", "alice", alice.member)
    say(room, alice, "after")
    room.send_direct(stopped.member, direct("direct"))
    for each in (alice, stopped):
        kinds = [said.kind for said in each.until("after") if said.kind != "join"]
        assert kinds == ["message"] * 1000 + ["clear", "message"]
    assert stopped.next().text == "direct"
    assert record.parse(room.history_path.read_bytes().splitlines()[0]).kind == "clear"


def test_after_a_line_that_is_not_a_record_the_offset_is_announced(history_path: Path) -> None:  # R4, R38
    first, second = (
        Record("2020-01-01T00:00:00.000Z", "-", "host", "notice", text).encode() for text in ("one", "two")
    )
    history_path.write_bytes(first + b"edited by hand\n" + second)
    with opened(history_path) as room:
        peer = Peer(room, "alice", offset=0, token="TOKEN")
        got = [peer.next() for _ in range(5)]
        assert [said.kind for said in got] == ["/session", "notice", "/session", "notice", "join"]
        start = len(first) + len(b"edited by hand\n")
        assert got[0].text.split()[:2] == ["TOKEN", "0"]
        end = len(first + b"edited by hand\n" + second)
        assert [got[number].text for number in (0, 2)] == [f"TOKEN 0 {end}", f"TOKEN {start} {end}"]
        with history_path.open("ab") as file:  # and once more, behind its own join
            file.write(b"edited by hand\n")
        say(room, peer, "hello")
        told = peer.until("hello")
        place = next(said for said in told if said.kind == "/session").text.split()
        assert place[1] == place[2]
        assert [said.kind for said in told] == ["/session", "notice", "message"]
        peer.close()
