"""A member for whom a browser speaks: what its event stream has sent, and what it may have missed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from chat import record
from chat.front.events import Events, Frames, Place
from chat.log.entries import Presence
from chat.log.history import History
from chat.room.room import Member
from chat.service.budget import Account

PIECE_BYTES = 64 * 1024  # made into one event
LIFE_SECONDS = 15  # R55: between signs of life, where nothing else is sent
SESSION_SECONDS = 10  # for the broadcaster to send the first record, which takes milliseconds
MISSED_BYTES = 256 * 1024  # that are read again for a stream that broke; for more the page joins anew


class Unknown(Exception):
    """The session is not here, or can't go on from there: the page has to join anew."""


class Subscriber:
    """A browser's connection that gets the events. Its handler waits until it is `done`."""

    __slots__ = ("connection", "done", "head", "once", "place", "refused")

    def __init__(self, connection: socket.socket, head: bytes, place: Place | None, *, once: bool) -> None:
        self.connection = connection
        self.head = head
        self.place = place  # where the page is
        self.once = once  # it gets what there is now, and no more
        self.refused = False  # nothing was sent
        self.done = threading.Event()  # nobody touches the connection any more


class Stream:
    """A member, the end of the socket pair that its events are made from, and who gets them.

    What stands behind `number` belongs to the thread that sends (streams.py).
    """

    __slots__ = (
        "account",
        "browser",
        "events",
        "input",
        "last_event",
        "leaving",
        "member",
        "number",
        "reader",
        "sent_at",
        "subscriber",
        "unsent",
        "until",
        "watched",
    )

    def __init__(
        self,
        presence: Presence,
        token: str,
        browser: str,
        account: Account,
        frames: Frames,
        interrupt: Callable[[Stream], None],
    ) -> None:
        outer, self.reader = socket.socketpair()
        outer.setblocking(False)
        self.member = Member(presence, outer, token, interrupt=lambda: interrupt(self))
        self.browser = browser
        self.account = account
        self.input = threading.Lock()  # guards `number`; lines are taken in order, one request at a time
        self.number = 0  # of the next line

        self.events = Events(frames)
        self.subscriber: Subscriber | None = None
        self.unsent = b""  # of the last event
        self.last_event = False  # the subscriber gets no more than that
        self.sent_at = 0.0  # time.monotonic() of the last event
        self.leaving = False  # the leave is proposed: after it comes the end of the reader
        self.until = 0.0  # time.monotonic(): so long is waited for the browser, if it has to do something
        self.watched = [0, 0]  # the events for which the selector watches the reader, and the connection

    @property
    def due(self) -> float:
        """The time.monotonic() when something has to be done though nothing happens."""
        return self.until if self.leaving or not self.subscriber else self.sent_at + LIFE_SECONDS

    @property
    def reads(self) -> bool:
        """Whether to read what the broadcaster sends: to make an event of it, or to get to the end."""
        return not (self.unsent or self.last_event) if self.subscriber else self.leaving

    def read_session(self) -> None:
        """Read the session record, which comes first of all.

        Raises Unknown where the room is closed, TimeoutError.
        """
        self.reader.settimeout(SESSION_SECONDS)
        try:
            while not self.events.place.directs:
                received = self.reader.recv(PIECE_BYTES)
                if not received:
                    raise Unknown
                self.events.take(received)
        finally:
            self.reader.setblocking(False)

    def missed(self, history: History, place: Place | None) -> bytes:
        """What was sent after a place, as an event: it may have been lost. Raises Unknown, OSError."""
        place = place or Place(self.events.start, "", 0)
        now = self.events.place
        if place == now:
            return b""
        same = (place.offset, place.time) == (now.offset, now.time)
        return self.events.again(b"" if same else self._records(history, place, now), place)

    def _records(self, history: History, place: Place, now: Place) -> bytes:
        file = history.file
        if not 0 <= now.offset - place.offset <= MISSED_BYTES:
            raise Unknown
        for there in (place, now):
            before = file.record_before(there.offset)
            known = there.time and before and before.time == there.time
            if not known and there.offset != self.events.start:
                raise Unknown  # the history was cleared or changed
        missed = file.read(place.offset, now.offset - place.offset)
        return b"".join(found.group() for found in record.HISTORY_RECORD.finditer(missed))

    def close(self) -> None:
        """Nobody listens here, and nobody will."""
        self.reader.close()
        self.member.connection.close()
        self.account.close()
