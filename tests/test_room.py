"""The room: one member for each name, and how members leave."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from chat.room import NameTaken, Room
from tests.harness import DEADLINE
from tests.rooms import Ear, say


def test_names_are_unique_however_they_are_written(room: Room, ear: Callable[..., Ear]) -> None:
    bob = ear("Bob")
    for name in ("Bob", "bob", "BOB", "Ｂｏｂ", "bob\ufe0f", "server", "Host", "EVERYONE"):
        with pytest.raises(NameTaken):
            ear(name)
    alice = ear("alice")
    with pytest.raises(NameTaken):
        room.rename(alice.member, "bOb")
    room.rename(bob.member, "BOB")
    room.rename(bob.member, "Robert")
    ear("bob")


def test_a_name_is_free_when_its_owner_has_left(room: Room, ear: Callable[..., Ear]) -> None:
    bob = ear("bob")
    bob.socket.setblocking(True)
    room.leave(bob.member, "exit")
    assert bob.until("exit")[-1].kind == "leave"
    with pytest.raises(EOFError):
        bob.next()
    ear("bob")


def test_who_leaves_hears_everything_first(room: Room, ear: Callable[..., Ear]) -> None:
    slow, alice = ear("slow"), ear("alice")
    say(room, alice, *(f"{number} " + "x" * 4000 for number in range(2000)))
    leaving = threading.Thread(target=room.leave, args=(slow.member, "exit"))
    leaving.start()
    heard = slow.until("exit")
    leaving.join(DEADLINE)
    assert sum(said.kind == "message" for said in heard) == 2000
    assert slow.member.gone.is_set()


def test_who_leaves_hears_nothing_after_its_own_leaving(
    room: Room, ear: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, alice = ear("bob"), ear("alice")
    append, busy, go_on = room.history.append, threading.Event(), threading.Event()

    def append_slowly(drafts: bytes) -> str:
        busy.set()
        go_on.wait(DEADLINE)
        return append(drafts)

    monkeypatch.setattr(room.history, "append", append_slowly)
    say(room, alice, "first")
    busy.wait(DEADLINE)
    leaving = threading.Thread(target=room.leave, args=(bob.member, "exit"))
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


def test_who_leaves_at_once_is_out_though_it_does_not_read(room: Room, ear: Callable[..., Ear]) -> None:
    deaf, alice = ear("deaf"), ear("alice")
    say(room, alice, *(f"{number} " + "x" * 4000 for number in range(2000)))
    room.leave(deaf.member, "connection lost", at_once=True)
    assert deaf.member.gone.is_set()
    assert alice.until("connection lost")[-1].name == "deaf"
