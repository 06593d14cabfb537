"""The service: everything that is said goes through it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat import record
from chat.room.room import Room
from chat.service import commands
from chat.service.policy import CommandError, MemberCaller
from chat.service.requests import Command, Request, Speak
from tests.rooms import Peer, service_of


def test_lines_are_said_together_in_order(room: Room, peer: Callable[..., Peer]) -> None:
    alice = peer("alice")
    service_of(room).speak(MemberCaller(alice.member), "message", "one\nzwö\n".encode())
    said = alice.until("zwö")[-2:]
    assert [(found.kind, found.name, found.address, found.text) for found in said] == [
        ("message", "alice", "10.0.0.1", "one"),
        ("message", "alice", "10.0.0.1", "zwö"),
    ]


def test_the_size_of_a_text_is_limited(room: Room, peer: Callable[..., Peer]) -> None:
    service, caller = service_of(room), MemberCaller(peer("alice").member)
    with pytest.raises(CommandError, match="4096 bytes, not 4097"):
        service.speak(caller, "message", b"x" * 4097 + b"\n")
    service.speak(caller, "message", b"x" * 4096 + b"\n" + b"x" * 4096 + b"\n")


@pytest.mark.parametrize(
    "request_",
    [
        Speak(b"hello\n"),
        *(Command(name, argument) for name, argument in (("say", "x"), ("me", "x"), ("msg", "alice x"))),
        *(Command(name, argument) for name, argument in (("nick", "x"), ("away", "x"), ("r", "x"))),
    ],
)
def test_the_muted_cannot_speak(request_: Request, room: Room, peer: Callable[..., Peer]) -> None:
    alice = peer("alice")
    alice.member.muted = True
    before = room.history_path.read_bytes()
    (answer,) = commands.perform(service_of(room), MemberCaller(alice.member), request_)
    room.flush()
    assert b"You are muted" in answer
    assert room.history_path.read_bytes() == before


def test_each_refused_line_is_answered(room: Room, peer: Callable[..., Peer]) -> None:
    alice = peer("alice")
    alice.member.muted = True
    (answer,) = commands.perform(service_of(room), MemberCaller(alice.member), Speak(b"one\ntwo\nthree\n"))
    assert answer.count(b"\t/error\t") == 3


def test_a_notice_is_stored_however_long_it_is(room: Room) -> None:
    kept = service_of(room)
    peer = Peer(room, "alice")
    kept.notice("alice muted bob")
    peer.until("alice muted bob")
    kept.notice("é" * record.TEXT_BYTES)
    said = peer.next()
    assert (said.kind, said.name, said.address) == ("notice", "server", record.NOBODY)
    assert said.text.endswith("é…")
    peer.close()
