"""A room with its broadcaster and members, in the test's own process: sockets, but no server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chat import record
from chat.log.history import History
from chat.log.log import LocalLog, Log
from chat.record import Record
from chat.room.room import Member, Room, Start
from chat.service.bans import Bans
from chat.service.policy import Policy
from chat.service.service import Service
from tests.harness import DEADLINE


def service_of(room: Room, **policy: object) -> Service:
    """The service of a room, with its bans beside the history."""
    return Service(room, Policy(**policy), Bans(room.history_path.with_name("bans.txt")))  # type: ignore[arg-type]


# Of the peers of each room: the broadcaster's selector may have them until the room has stopped.
_connections: dict[Room, list[socket.socket]] = {}


@contextmanager
def unstarted(history_path: Path, make_log: Callable[[History], Log] = LocalLog) -> Iterator[Room]:
    """A room whose broadcaster the test itself runs and stops."""
    room = Room(make_log(History(history_path)))
    _connections[room] = []
    try:
        yield room
    finally:
        for connection in _connections.pop(room):
            connection.close()
        room.log.close()


@contextmanager
def idle(history_path: Path) -> Iterator[Room]:
    """A room whose broadcaster runs only at the end of the with statement."""
    with unstarted(history_path) as room:
        try:
            yield room
        finally:
            room.stop("")
            room.run()


@contextmanager
def opened(history_path: Path, make_log: Callable[[History], Log] = LocalLog) -> Iterator[Room]:
    """A room whose broadcaster runs during the with statement."""
    with unstarted(history_path, make_log) as room:
        broadcaster = threading.Thread(target=room.run)
        broadcaster.start()
        try:
            yield room
        finally:
            room.stop("")
            broadcaster.join(DEADLINE)


class Undecided(LocalLog):
    """A log that decides nothing, like that of servers without a quorum, until it is told to."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.ready, self.trouble = False, "The servers can't agree."

    def on_settled(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def decide(self) -> None:
        """Decide from now on."""
        self.ready, self.trouble = True, ""
        self._wake()


class Peer:
    """A member, and the other end of its connection."""

    def __init__(self, room: Room, name: str, offset: int | None = None, token: str = "") -> None:
        here, there = socket.socketpair()
        here.setblocking(False)  # else on Windows the broadcaster would wait for a slow reader
        there.settimeout(DEADLINE)
        _connections[room].append(here)
        self.member = Member(room.presence(name, "10.0.0.1"), here, token)
        self.socket = there
        self._stream = there.makefile("rb")
        file = room.log.history.file
        try:
            room.join(self.member, Start(file, file.end if offset is None else offset))
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
        got = [self.next()]
        while got[-1].text != text:
            got.append(self.next())
        return got

    def close(self) -> None:
        """Hang up; the room's end is closed with the room."""
        self._stream.close()
        self.socket.close()


def say(room: Room, peer: Peer, *texts: str) -> None:
    """Have the member say these messages."""
    for text in texts:
        room.say(peer.member, record.draft("10.0.0.1", peer.member.name, "message", text))


def direct(text: str) -> bytes:
    """The draft of a direct record."""
    return record.draft("-", "server", "/test", text)
