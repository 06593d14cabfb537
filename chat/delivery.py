"""The delivery: each listener gets what lies between its cursor and the end of the history.

    file  |rec|rec|rec|rec|rec|rec|rec|     one send that does not wait, to each who lacks something;
               ^           ^       ^        listeners at the same place share the same bytes
             stalled      due     up to date

A listener whose socket is full is stalled: it is left where it is until the selector says that its socket
takes bytes again. Nothing is queued for it, so it costs no memory and holds up nobody.

Direct records (for one listener only) are the exception: they are queued, with a bound, each with its place
in the history, and go out when the listener's cursor gets there. So everybody sees one order.
"""

from __future__ import annotations

import collections
import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from chat import liveness, record
from chat.history import History, HistoryFile, Place

PIECE_BYTES = 256 * 1024  # what a listener that is behind gets at once: about what a socket's buffer takes
# Pieces that are kept, to be shared: listeners who are behind are mostly at the same places.
PIECES = 64
# Who came and who left is told the others after a rest, so many times as long as it takes to tell everybody.
# So a crowd that comes at once takes a fifth of the time, not all of it; among ten it is a millisecond.
REST = 4
REST_SECONDS = 0.25  # at the most, whatever held up the last telling
LOOK_SECONDS = 10  # how often connections with something unacknowledged are looked at

DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)  # where there is none (Windows), the whole socket doesn't wait
NEVER = float("inf")

# What to send next from a place; see HistoryFile.records.
Pieces = dict[Place, tuple[int, bytes | memoryview]]


@dataclass(slots=True)
class _Direct:
    """Direct records on their way to a listener, from `place` in the history."""

    place: Place
    data: bytes
    draft_bytes: int = 0  # of what counts among those that wait


class Listener:
    """A connection that hears the history from its cursor on. The cursor is the broadcaster's."""

    __slots__ = (
        "connection",
        "direct_bytes",
        "directs",
        "ended",
        "ending",
        "file",
        "gone",
        "last_place",
        "offset",
        "passed_over",
        "stalled",
        "token",
    )

    def __init__(self, connection: socket.socket, token: str, ending: threading.Event) -> None:
        self.connection = connection
        self.token = token  # of the session, where one was asked for
        self.ended = ""  # why the server ends the connection, once it does
        self.ending = ending  # and then this is set: its handler is not to sleep any more
        self.gone = threading.Event()  # set when its leaving is in the file and nobody sends to it any more

        self.file: HistoryFile  # the cursor: the next byte of history to send
        self.offset = 0
        self.passed_over = False  # the cursor jumped over what is no record
        self.directs: collections.deque[_Direct] = collections.deque()  # in the order of their places
        self.direct_bytes = 0  # drafts of those that wait; guarded by the lock
        self.last_place: Place | None = None  # where it has all that it is to get
        self.stalled = False  # its socket is full, and the selector watches it

    def hear_from(self, file: HistoryFile, offset: int, first: bytes = b"") -> None:
        """Set the cursor: direct records `first` are to come, then what is in the file from offset on."""
        self.file, self.offset = file, offset
        if first:
            self.directs.append(_Direct((file.number, offset), first))


class Delivery:
    """Who listens, and the sending. One thread, the broadcaster's, calls everything but `wake`.

    It calls `taken` when a listener has taken direct records, with the size of their drafts, and `lost` when
    a listener's connection is.
    """

    def __init__(
        self, history: History, taken: Callable[[Listener, int], None], lost: Callable[[Listener], None]
    ) -> None:
        self._history = history
        self._taken = taken
        self._lost = lost
        self._listeners: set[Listener] = set()
        self._due: set[Listener] = set()  # those who may have something to get, and whose sockets aren't full
        self._selector = selectors.DefaultSelector()  # sockets that are full
        self._bell, self._bell_rope = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._tell_at = NEVER  # when everybody is to have what is new
        self._rest = 0.0  # seconds that who came and left may wait for it
        self._look_at = NEVER  # when to look whether the listeners are still there

    # ----- what there is to send

    def add(self, listener: Listener) -> None:
        """Let it have what there is from its cursor on."""
        self._listeners.add(listener)
        self._due.add(listener)

    def tell_everybody(self, *, rest: bool) -> None:
        """The history has grown: everybody is due at once, or, where it may wait, after a rest."""
        self._tell_at = min(self._tell_at, time.monotonic() + (self._rest if rest else 0))

    def put(self, listener: Listener, drafts: bytes) -> None:
        """Queue direct records, to go out when the listener has all of the history until now."""
        direct = _Direct(self._history.place, record.stamp(self._history.now(), drafts), len(drafts))
        listener.directs.append(direct)
        if not listener.stalled and listener in self._listeners:
            self._due.add(listener)

    def let_go(self, listener: Listener, place: Place, *, at_once: bool) -> None:
        """Send it what there is up to a place, and then nothing more."""
        listener.last_place = place
        if at_once or listener not in self._listeners:
            self._drop(listener)
        elif not listener.stalled:
            self._due.add(listener)

    # ----- waiting

    @property
    def due(self) -> bool:
        """Whether there is something to do without waiting."""
        return bool(self._due)

    def wait(self, timeout: float | None) -> None:
        """Wait for a full socket to take bytes again, or for `wake`; None: or until there is something to do.

        That is what is to be told after a rest, or to be looked at.
        """
        if timeout is None and (until := min(self._tell_at, self._look_at)) != NEVER:
            timeout = max(0, until - time.monotonic())
        if timeout == 0 and len(self._selector.get_map()) == 1:
            return  # nobody is stalled
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._bell.recv(64)
            else:
                self._selector.unregister(key.fileobj)
                key.data.stalled = False
                self._due.add(key.data)

    def wake(self) -> None:
        """End the wait, from another thread."""
        self._bell_rope.send(b"!")

    # ----- sending

    def deliver(self) -> None:
        """One send to each listener that is due."""
        began = time.monotonic()
        if began >= self._tell_at:
            self._tell_at = NEVER
            self._due = {listener for listener in self._listeners if not listener.stalled}
            self._send_to_all_due()
            self._rest = min(REST_SECONDS, REST * (time.monotonic() - began))
        else:
            self._send_to_all_due()
        if began >= self._look_at:
            self._look_for_the_lost()

    def _send_to_all_due(self) -> None:
        pieces: Pieces = {}  # listeners at the same place share the same bytes
        due, self._due = self._due, set()
        for listener in due:
            try:
                self._send_or_stall(listener, pieces)
            except OSError:
                self._drop_lost(listener)
        if due and self._look_at == NEVER:
            self._look_at = time.monotonic() + LOOK_SECONDS

    def _send_or_stall(self, listener: Listener, pieces: Pieces) -> None:
        """`_send`; a listener whose socket is full waits until the selector says that it takes more."""
        try:
            self._send(listener, pieces)
        except BlockingIOError:
            self._stall(listener)

    def _send(self, listener: Listener, pieces: Pieces) -> None:
        """Give the listener one piece of what it has not got yet.

        Raises BlockingIOError where its socket is full, OSError where it is gone.
        """
        place = (listener.file.number, listener.offset)
        if listener.directs and listener.directs[0].place <= place:
            self._send_direct(listener)
            return
        if listener.last_place and listener.last_place <= place:
            self._drop(listener)
            return
        if place not in pieces:
            if len(pieces) == PIECES:
                pieces.clear()
            pieces[place] = listener.file.records(listener.offset, PIECE_BYTES)
        start, piece = pieces[place]
        if start > listener.offset:
            listener.offset = start
            listener.passed_over = True
        if not piece:
            self._go_on(listener)
        elif listener.passed_over:
            self._announce(listener)
        else:
            self._send_history(listener, piece)

    def _send_history(self, listener: Listener, piece: bytes | memoryview) -> None:
        """Send records up to where a direct one goes in between, or up to the last that it is to get."""
        if listener.directs or listener.last_place:
            piece = _before(piece, listener)
        sent = listener.connection.send(piece, DONT_WAIT)
        listener.offset += sent
        if sent < len(piece):
            self._stall(listener)
        elif (
            listener.directs
            or listener.last_place
            or listener.offset < listener.file.end
            or listener.file.next
        ):
            self._due.add(listener)

    def _send_direct(self, listener: Listener) -> None:
        """Send the direct records whose place the listener has reached."""
        direct = listener.directs[0]
        sent = listener.connection.send(direct.data, DONT_WAIT)
        if sent < len(direct.data):
            direct.data = direct.data[sent:]
            self._stall(listener)
            return
        listener.directs.popleft()
        self._due.add(listener)
        if direct.draft_bytes:
            self._taken(listener, direct.draft_bytes)

    def _go_on(self, listener: Listener) -> None:
        """The listener has all of its file: it goes on to the next one, or waits."""
        if listener.offset < listener.file.end:
            self._due.add(listener)  # something was passed over, and there is more
        elif listener.file.next:
            listener.file = listener.file.next
            listener.passed_over = listener.file.goes_on_at is not None
            listener.offset = listener.file.goes_on_at or 0
            self._due.add(listener)

    def _announce(self, listener: Listener) -> None:
        """Say where the next record comes from: something was not sent, and an offset would go wrong."""
        listener.passed_over = False
        self._due.add(listener)
        if listener.token:
            place = (listener.file.number, listener.offset)
            session = session_record(listener.token, listener.offset, listener.file.end)
            listener.directs.appendleft(_Direct(place, record.stamp(self._history.now(), session)))

    def _stall(self, listener: Listener) -> None:
        self._selector.register(listener.connection, selectors.EVENT_WRITE, listener)
        listener.stalled = True

    def _drop(self, listener: Listener) -> None:
        """Send nothing more to the listener."""
        self._listeners.discard(listener)
        self._due.discard(listener)
        if listener.stalled:
            listener.stalled = False
            self._selector.unregister(listener.connection)
        with contextlib.suppress(OSError):  # it has ended by itself
            listener.connection.shutdown(socket.SHUT_WR)
        if listener.last_place:
            listener.gone.set()

    def _drop_lost(self, listener: Listener) -> None:
        """The same where its connection is lost."""
        self._lost(listener)
        self._drop(listener)

    def _look_for_the_lost(self) -> None:
        """End connections whose other end is out of reach; look again while anything is unacknowledged."""
        self._look_at = NEVER
        for listener in list(self._listeners):
            try:
                waiting, lost = liveness.state(listener.connection)
            except OSError:
                waiting, lost = False, True
            if lost:
                self._drop_lost(listener)
            elif waiting or listener.stalled:
                self._look_at = time.monotonic() + LOOK_SECONDS

    # ----- the end

    def is_behind(self) -> bool:
        """Whether somebody has not got everything."""
        place = self._history.place
        return any(
            listener.directs or (listener.file.number, listener.offset) != place
            for listener in self._listeners
        )

    def close(self) -> None:
        """Send nothing more to anybody."""
        for listener in list(self._listeners):
            listener.last_place = (0, 0)
            self._drop(listener)
        self._selector.close()
        self._bell.close()
        self._bell_rope.close()


def session_record(token: str, start: int, end: int) -> bytes:
    """The draft that says where in the file the next record comes from, and where the history ends now."""
    return record.draft(record.NOBODY, "server", "/session", f"{token} {start} {end}")


def _before(piece: bytes | memoryview, listener: Listener) -> bytes | memoryview:
    """The part of the piece that comes before the listener's next direct record, and before its leaving."""
    for place in (listener.directs[0].place if listener.directs else None, listener.last_place):
        if place and place[0] == listener.file.number:
            piece = piece[: place[1] - listener.offset]
    return piece
