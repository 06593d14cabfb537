"""The members that speak through a browser: each stays in the room while its event stream is away a moment.

    broadcaster --> [socket pair] --> handler thread, which makes events --> the browser's connection

A stream breaks often and for nothing: a page is reloaded, a phone changes its network, a browser that has no
connection left polls. So a member outlives its stream for GRACE_SECONDS. The thread that served it waits for
so long; whoever comes with the session's token goes on where the page says that it is.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import selectors
import socket
import threading
import time
from collections import Counter

from chat.front.events import ELSEWHERE, PAUSE, SIGN_OF_LIFE, Events, Place, session_event
from chat.log.entries import Presence
from chat.room import liveness
from chat.room.ending import CLOSED, SERVER_STOPPED, Ending
from chat.room.room import Member, Room
from chat.service.budget import Account

GRACE_SECONDS = 12  # R55: a reload takes two, a change of network five
LIFE_SECONDS = 15  # between signs of life, where nothing else is sent
HAND_OVER_SECONDS = 2  # for the thread that serves a stream to let go of it
LAST_WORDS_SECONDS = 10  # for a browser to take what comes up to its own leave
READ_BYTES = 64 * 1024
FEW_BYTES = 448  # at once, unless they were all filled: see lines.py
MISSED_BYTES = 1024 * 1024  # that are read again for a stream that broke; for more the page joins anew
# R56: a browser opens six connections to a host: four tabs have one each, and the others poll.
STREAMS_PER_BROWSER = 4

# Without a descriptor of its own for each stream.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


log = logging.getLogger("chat.front.streams")


class Unknown(Exception):
    """The session is not here, or can't go on from there: the page has to join anew."""


class _Pumped(enum.Enum):
    """Why a stream ended."""

    LOST = enum.auto()  # the browser's connection did, or it was only to get what there was
    TAKEN_OVER = enum.auto()  # another connection goes on with it
    ENDED = enum.auto()  # the member has everything up to its leave, or the room is closed


class Stream:
    """A member for whom a browser speaks. At each moment at most one thread sends its events."""

    def __init__(self, room: Room, presence: Presence, token: str, browser: str, account: Account) -> None:
        outer, self._reader = socket.socketpair()
        outer.setblocking(False)
        self._reader.setblocking(False)
        self.member = Member(presence, outer, token, interrupt=self._interrupt)
        self.browser = browser
        self.account = account
        self.input = threading.Lock()  # guards `number`; lines are taken in order, one request at a time
        self.number = 0  # of the next line
        self.events = Events()
        self._room = room
        self._changed = threading.Condition()  # guards the next four, and tells of their changes
        self._turn = 0  # counts the threads that have come to serve; the last one is the one
        self._sending = False  # one of them sends
        self._over = False  # the member leaves: nobody can come any more
        self._connection: socket.socket | None = None  # where the events go, or went last

    def read_session(self) -> None:
        """Read the session record, which comes first of all. Raises Unknown where the room is closed."""
        with _Selector() as ready:
            ready.register(self._reader, selectors.EVENT_READ)
            while not self.events.place.directs:
                ready.select(HAND_OVER_SECONDS)
                received = self._reader.recv(READ_BYTES)
                if not received:
                    raise Unknown
                self.events.take(received)

    def close(self) -> None:
        """Nobody listens here, and nobody will."""
        self._reader.close()
        self.member.connection.close()

    # ----- one thread after the other

    def serve(self, connection: socket.socket, head: bytes, place: Place | None, *, once: bool) -> None:
        """Send the head, and then events from the place on, until the connection is lost or taken over.

        `once`: only those that there are now. Then keeps the member. Raises Unknown before it has sent
        anything.
        """
        turn = self._come(connection)
        try:
            how = self._send_events(connection, turn, head, place, once=once)
        except Unknown:
            self._room.end(self.member, CLOSED)
            self._stop_sending()
            self.keep(turn)  # only until it has left
            raise
        self._stop_sending()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        if how is _Pumped.LOST:
            self.keep(turn)

    def keep(self, turn: int = 0) -> None:
        """Wait until somebody comes to serve the member, or its time is over; then it leaves."""
        with self._changed:
            self._changed.wait_for(lambda: turn != self._turn or self.member.ending, GRACE_SECONDS)
            if turn != self._turn:
                return
            leaves, self._over = self._over, True
        self._room.end(self.member, CLOSED)
        self._reader.close()  # before the leave, which would wait for it to be read
        if not leaves:
            self._take_out(CLOSED)

    def _come(self, connection: socket.socket) -> int:
        """Become the thread that serves: the one that does it now lets go. Raises Unknown."""
        with self._changed:
            if self._over:
                raise Unknown
            self._turn += 1
            turn = self._turn
            self._changed.notify_all()
            for how in (socket.SHUT_RD, socket.SHUT_RDWR):  # first politely: it may be told why
                if self._sending and self._connection:
                    _shut(self._connection, how)
                self._changed.wait_for(lambda: not self._sending or turn != self._turn, HAND_OVER_SECONDS)
            if self._sending or self._over or turn != self._turn:
                raise Unknown
            self._sending, self._connection = True, connection
        return turn

    def _stop_sending(self) -> None:
        with self._changed:
            self._sending = False
            self._changed.notify_all()

    def _interrupt(self) -> None:
        """The connection is to end: whoever serves it or waits wakes up."""
        with self._changed:
            if self._sending and self._connection:
                _shut(self._connection, socket.SHUT_RD)
            self._changed.notify_all()

    # ----- sending

    def _send_events(
        self, connection: socket.socket, turn: int, head: bytes, place: Place | None, *, once: bool
    ) -> _Pumped:
        """Raises Unknown."""
        missed = self._missed(place)
        connection.settimeout(LIFE_SECONDS)
        try:
            self._send(connection, turn, head + session_event(self.number) + missed)
            return self._send_once(connection, turn) if once else self._pump(connection, turn)
        except OSError:
            return _Pumped.TAKEN_OVER if turn != self._turn else _Pumped.LOST

    def _send_once(self, connection: socket.socket, turn: int) -> _Pumped:
        with contextlib.suppress(BlockingIOError):
            while received := self._reader.recv(READ_BYTES):
                self._send(connection, turn, self.events.take(received))
        self._send(connection, turn, PAUSE)
        return _Pumped.LOST

    def _pump(self, connection: socket.socket, turn: int) -> _Pumped:
        """Raises OSError where the connection is lost."""
        leaves, size = False, FEW_BYTES
        with _Selector() as ready:
            ready.register(self._reader, selectors.EVENT_READ)
            ready.register(connection, selectors.EVENT_READ)
            while True:
                happened = ready.select(LIFE_SECONDS)
                if turn != self._turn:
                    connection.settimeout(0)
                    connection.send(ELSEWHERE)
                    return _Pumped.TAKEN_OVER
                if self.member.ending and not leaves:
                    leaves = True
                    ready.unregister(connection)
                    self._leave(self.member.ending)
                if not happened:
                    if liveness.state(connection)[1]:
                        return _Pumped.LOST
                    self._send(connection, turn, SIGN_OF_LIFE)
                elif any(key.fileobj is self._reader for key, _ in happened):
                    received = self._reader.recv(size)
                    size = READ_BYTES if len(received) == size else FEW_BYTES
                    if not received:
                        self._leave(SERVER_STOPPED)
                        return _Pumped.ENDED
                    if event := self.events.take(received):
                        self._send(connection, turn, event)
                elif not leaves and not connection.recv(READ_BYTES):
                    return _Pumped.LOST

    def _send(self, connection: socket.socket, turn: int, data: bytes) -> None:
        """Send all of it, however slowly it is read. Raises OSError where nobody will."""
        until = time.monotonic() + LAST_WORDS_SECONDS
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[connection.send(rest) :]
            except TimeoutError:
                ended = self.member.ending and time.monotonic() > until
                if ended or turn != self._turn or liveness.state(connection)[1]:
                    raise

    def _leave(self, ending: Ending) -> None:
        """Take the member out, in a thread, for this one is to send what comes up to its leave.

        The thread ends once that is sent or the connection is lost.
        """
        with self._changed:
            if self._over:
                return
            self._over = True
        try:
            threading.Thread(target=self._take_out, args=(ending,), name="leaving", daemon=True).start()
        except RuntimeError:  # can't start new thread
            self._reader.close()
            self._take_out(ending)

    def _take_out(self, ending: Ending) -> None:
        self._room.leave(self.member, ending)
        self.member.connection.close()
        self.account.close()
        log.info(
            "%s (%s) left: %s", self.member.name, self.member.address, (self.member.ending or ending).reason
        )

    # ----- what a stream that broke has missed

    def _missed(self, place: Place | None) -> bytes:
        """What was sent after the place: it may have been lost. Raises Unknown where that is not known."""
        place = place or Place(self.events.start, "", 0)
        now = self.events.place
        if place == now:
            return b""
        same = (place.offset, place.time) == (now.offset, now.time)
        return self.events.again(b"" if same else self._history(place, now), place)

    def _history(self, place: Place, now: Place) -> bytes:
        file = self._room.log.history.file
        if not 0 <= now.offset - place.offset <= MISSED_BYTES:
            raise Unknown
        for there in (place, now):
            before = file.record_before(there.offset)
            known = there.time and before and before.time == there.time
            if not known and there.offset != self.events.start:
                raise Unknown  # the history was cleared or changed
        pieces = []
        offset = place.offset
        with contextlib.suppress(OSError):
            while offset < now.offset:
                offset, piece = file.records(offset, now.offset - offset)
                pieces.append(bytes(piece[: now.offset - offset]))
                offset += len(pieces[-1])
        return b"".join(pieces)


class Streams:
    """All of them, by their sessions' tokens. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the next two
        self._streams: dict[str, Stream] = {}
        self._held: Counter[str] = Counter()  # connections by browser

    def add(self, stream: Stream) -> None:
        """A page has joined."""
        with self._lock:
            self._streams[stream.member.token] = stream

    def find(self, token: str) -> Stream:
        """Raises Unknown."""
        with self._lock:
            stream = self._streams.get(token)
        if stream is None or stream.member.ending:
            raise Unknown
        return stream

    def forget(self, stream: Stream) -> None:
        """The member has left, if it has: another thread may serve it."""
        with self._lock:
            if stream.member.gone.is_set() and self._streams.get(stream.member.token) is stream:
                del self._streams[stream.member.token]

    def hold(self, browser: str) -> bool:
        """Whether this browser may hold one more connection; `release` gives it back."""
        with self._lock:
            if self._held[browser] >= STREAMS_PER_BROWSER:
                return False
            self._held[browser] += 1
            return True

    def release(self, browser: str) -> None:
        """A connection that was held has ended."""
        with self._lock:
            self._held[browser] -= 1
            if self._held[browser] <= 0:
                del self._held[browser]


def _shut(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        connection.shutdown(how)
