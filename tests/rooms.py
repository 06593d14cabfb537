"""A room with its broadcaster, and members of it, in the test's own process: sockets, but no server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chat import record
from chat.history import History
from chat.record import Record
from chat.room import Member, Room
from tests.harness import DEADLINE


@contextmanager
def opened(history_path: Path) -> Iterator[Room]:
    """A room whose broadcaster runs, for the length of a with statement."""
    history = History(history_path)
    room = Room(history)
    broadcaster = threading.Thread(target=room.run)
    broadcaster.start()
    try:
        yield room
    finally:
        room.stop("")
        broadcaster.join(DEADLINE)
        history.close()


class Ear:
    """A member, and the other end of its connection."""

    def __init__(self, room: Room, name: str, offset: int | None = None, token: str = "") -> None:
        here, there = socket.socketpair()
        there.settimeout(DEADLINE)
        self.member = Member(here, "10.0.0.1", name, token, threading.Event())
        self.socket = there
        self._stream = there.makefile("rb")
        file = room.history.file
        try:
            room.join(self.member, file, file.end if offset is None else offset)
        except Exception:
            self.close()
            raise

    def next(self) -> Record:
        line = self._stream.readline()
        if not line:
            raise EOFError
        return record.parse(line)

    def until(self, text: str) -> list[Record]:
        """Everything up to a record with this text."""
        heard = [self.next()]
        while heard[-1].text != text:
            heard.append(self.next())
        return heard

    def close(self) -> None:
        self._stream.close()
        self.socket.close()
        self.member.connection.close()


def say(room: Room, ear: Ear, *texts: str) -> None:
    """Have the member say these messages."""
    for text in texts:
        room.say(ear.member, record.draft("10.0.0.1", ear.member.name, "message", text))
