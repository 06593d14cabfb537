"""The room: one member for each name, and how members leave."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from chat.room.ending import EXIT, LOST
from chat.room.room import NameTaken, Room
from tests.harness import DEADLINE
from tests.rooms import Peer, say


def test_names_are_unique_however_they_are_written(room: Room, peer: Callable[..., Peer]) -> None:  # R14, R15
    bob = peer("Bob")
    for name in ("Bob", "bob", "BOB", "Ｂｏｂ", "bob\ufe0f", "server", "Host", "EVERYONE"):
        with pytest.raises(NameTaken):
            peer(name)
    alice = peer("alice")
    with pytest.raises(NameTaken):
        room.rename(alice.member, "bOb")
    room.rename(bob.member, "BOB")
    room.rename(bob.member, "Robert")
    peer("bob")


def test_a_name_is_free_when_its_owner_has_left(room: Room, peer: Callable[..., Peer]) -> None:  # R16
    bob = peer("bob")
    bob.socket.setblocking(True)
    room.leave(bob.member, EXIT)
    assert bob.until("exit")[-1].kind == "leave"
    with pytest.raises(EOFError):
        bob.next()
    peer("bob")


def test_a_leaving_member_gets_everything_first(room: Room, peer: Callable[..., Peer]) -> None:
    slow, alice = peer("slow"), peer("alice")
    say(room, alice, *(f"{number} " + "x" * 4000 for number in range(2000)))
    leaving = threading.Thread(target=room.leave, args=(slow.member, EXIT))
    leaving.start()
    got = slow.until("exit")
    leaving.join(DEADLINE)
    assert sum(said.kind == "message" for said in got) == 2000
    assert slow.member.gone.is_set()


def test_a_leaving_member_gets_nothing_after_its_leave(
    room: Room, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, alice = peer("bob"), peer("alice")
    append, busy, go_on = room.log.history.append, threading.Event(), threading.Event()

    def append_slowly(drafts: bytes, now: str) -> None:
        busy.set()
        go_on.wait(DEADLINE)
        append(drafts, now)

    monkeypatch.setattr(room.log.history, "append", append_slowly)
    say(room, alice, "first")
    busy.wait(DEADLINE)
    leaving = threading.Thread(target=room.leave, args=(bob.member, EXIT))
    leaving.start()
    while room.find("bob"):
        pass
    say(room, alice, "in the same round")
    go_on.set()
    leaving.join(DEADLINE)
    assert bob.until("exit")[-1].kind == "leave"
    with pytest.raises(EOFError):
        bob.next()
    alice.until("in the same round")


def test_a_lost_member_is_out_although_it_does_not_read(room: Room, peer: Callable[..., Peer]) -> None:
    stopped, alice = peer("stopped"), peer("alice")
    say(room, alice, *(f"{number} " + "x" * 4000 for number in range(2000)))
    room.leave(stopped.member, LOST)
    assert stopped.member.gone.is_set()
    assert alice.until("connection lost")[-1].name == "stopped"
