"""What a stream that broke has missed, from the file and from what is kept: a room, and no browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chat import record
from chat.front import stream
from chat.front.events import Frames, Place, parse_place
from chat.front.stream import Stream, Unknown
from chat.room.room import Room
from chat.service.budget import UNLIMITED
from tests.harness import DEADLINE


@pytest.fixture
def alice(room: Room) -> Iterator[Stream]:
    """Somebody in the room who has got her own join."""
    presence = room.presence("alice", "127.0.0.1", "TOKEN")
    found = Stream(presence, "TOKEN", "browser", UNLIMITED, Frames(), lambda stream: None)
    room.join(found.member, room.start(None, lambda file: file.end))
    found.read_session()
    if not found.events.place.time:
        take(found)
    yield found
    found.close()


def take(found: Stream) -> list[str]:
    """The texts of what comes next."""
    found.reader.settimeout(DEADLINE)
    event = b""
    while not event:
        event = found.events.take(found.reader.recv(65536))
    return texts(event)


def say(room: Room, found: Stream, text: str) -> None:
    """Have somebody say it, and the stream take it."""
    room.say(None, record.draft("10.0.0.1", "bob", "message", text))
    assert take(found) == [text]


def texts(event: bytes) -> list[str]:
    """Of the records in an event."""
    return [line.rpartition("\t")[2] for line in event.decode().split("\n") if line.startswith("data: ")]


def test_what_came_after_a_place_is_sent_again(room: Room, alice: Stream) -> None:
    before = alice.events.place
    say(room, alice, "one")
    room.answer(alice.member, record.draft("10.0.0.1", "bob", "/msg", "psst"))
    assert take(alice) == ["psst"]
    say(room, alice, "two")
    event = alice.missed(room.log.history, before)
    assert texts(event) == ["one", "two", "psst"]
    assert event.startswith(f"id: {alice.events.place}\n".encode())
    assert alice.missed(room.log.history, alice.events.place) == b""


def test_what_was_not_taken_yet_was_not_missed(room: Room, alice: Stream) -> None:
    before = alice.events.place
    say(room, alice, "one")
    room.say(None, record.draft("10.0.0.1", "bob", "message", "on its way"))
    room.flush()
    assert texts(alice.missed(room.log.history, before)) == ["one"]
    assert take(alice) == ["on its way"]


def test_a_line_that_is_no_record_was_not_sent(room: Room, alice: Stream) -> None:
    before = alice.events.place
    say(room, alice, "one")
    say(room, alice, "two")
    with room.history_path.open("r+b") as file:  # somebody edits it
        file.seek(before.offset)
        file.write(b"x")
    assert texts(alice.missed(room.log.history, before)) == ["two"]


@pytest.mark.parametrize("text", ["999999999 2026-11-21T10:15:42.123Z 0", "5 2026-11-21T10:15:42.123Z 0"])
def test_a_place_where_nobody_was_is_unknown(room: Room, alice: Stream, text: str) -> None:
    with pytest.raises(Unknown):
        alice.missed(room.log.history, parse_place(text))


def test_much_is_not_sent_again(room: Room, alice: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    before = alice.events.place
    say(room, alice, "one")
    monkeypatch.setattr(stream, "MISSED_BYTES", 10)
    with pytest.raises(Unknown):
        alice.missed(room.log.history, before)


def test_without_a_place_all_comes(room: Room, alice: Stream) -> None:
    say(room, alice, "one")
    event = alice.missed(room.log.history, None)
    assert alice.missed(room.log.history, Place(alice.events.start, "", 0)) == event
    assert b"\tjoin\t" in event
    assert b"\t/session\t" in event
    assert "one" in texts(event)
