"""The broadcaster: the one thread that writes the history, and sends it to everybody who listens.

    pending --> broadcaster --> file --+--> listener  cursor = end
                (one append)           +--> listener  cursor = end
                                       +--> listener  cursor far back: read from the file

To speak is to append to the file, to listen is to have a cursor into it. The broadcaster takes all that is
pending, appends it with one write, and then gives each listener what lies between its cursor and the end,
with one send that doesn't wait. A listener whose socket is full is left where it is until the selector says
that it takes bytes again. Nothing is queued for it, so it costs no memory and holds up nobody.

Direct records (for one listener only) are the exception: they are queued, with a bound, each with its place
in the history, and go out when the listener's cursor gets there. So everybody sees one order.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

from chat import liveness, record
from chat.history import History, HistoryFile

# What may wait for the broadcaster; beyond it handlers wait, and with them their clients. No more than the
# processor's caches hold: the same batch is copied to every socket, and larger ones are copied more slowly.
PENDING_BYTES = 256 * 1024
PIECE_BYTES = 256 * 1024  # what a listener that is behind gets at once: about what a socket's buffer takes
DIRECT_BYTES = 256 * 1024  # direct records that may wait for one listener
STOP_SECONDS = 5  # for the last records to reach everybody when the server stops
PIECES = (
    64  # that are kept to be shared while sending: listeners who are behind are mostly at the same places
)
# Who came and who left is told the others after a rest, so many times as long as it takes to tell everybody.
# So a crowd that comes at once takes a fifth of the time, not all of it; among ten it is a millisecond.
REST = 4
REST_SECONDS = 0.25  # at the most, whatever held up the last telling
LOOK_SECONDS = 10  # how often connections with something unacknowledged are looked at

DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)  # where there is none (Windows), the whole socket doesn't wait

log = logging.getLogger("chat.broadcaster")

Place = tuple[int, int]  # a place in the history: the file's number, the offset in it
Pieces = dict[
    Place, tuple[int, bytes | memoryview]
]  # what to send next from a place; see HistoryFile.records


class Full(Exception):
    """The listener has not taken the direct records that wait for it already."""


class Closed(Exception):
    """The room is closed: nothing more is written."""


class NotStored(Exception):
    """It could not be written to the history, and so it is not so; the message says why."""


@dataclass(slots=True)
class _Direct:
    """Direct records on their way to a listener, from `place` in the history."""

    place: Place
    data: bytes
    draft_bytes: int = 0


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


@dataclass(slots=True)
class Said:
    """Records for the history. A failure is told to the author."""

    author: Listener | None
    drafts: bytes


@dataclass(slots=True)
class Awaited(Said):
    """Records whose author waits to hear that they are in the history: at this time, or why not."""

    done: threading.Event = field(default_factory=threading.Event, kw_only=True)
    time: str = field(default="", kw_only=True)
    why_not: str = field(default="", kw_only=True)


@dataclass(slots=True)
class Joined(Awaited):
    """Somebody listens from now on."""

    joiner: Listener


@dataclass(slots=True)
class Left(Said):
    """Somebody is out: after the last record, or at once if they can't or won't hear it."""

    leaver: Listener
    at_once: bool


@dataclass(slots=True)
class Told:
    """Direct records for one listener."""

    listener: Listener
    drafts: bytes


@dataclass(slots=True)
class Listening:
    """Somebody listens without being in the room."""

    listener: Listener


@dataclass(slots=True)
class Cleared:
    """The history begins anew, at the word of somebody with this address and name."""

    author: Listener | None
    address: str
    name: str


@dataclass(slots=True)
class Mark:
    """Somebody waits until all that was pending before this is done."""

    reached: threading.Event


Entry = Said | Told | Listening | Cleared | Mark


class Broadcaster:
    """What is pending, and who listens. `run` is the thread; everything public is for the others."""

    def __init__(self, history: History) -> None:
        self.history = history
        # The lock guards what is pending and how much waits for each listener. No file and no client's
        # socket is touched while it is held.
        self._lock = threading.Lock()
        self._relief = threading.Condition(self._lock)  # there is less pending than there was
        self._pending: list[Entry] = []
        self._pending_bytes = 0
        self._asleep = False  # the thread waits to be woken
        self._closed = False
        self._ended = threading.Event()  # the thread touches no connection any more

        # The thread's own.
        self._batch: list[Entry] = []  # what it is writing
        self._owed = b""  # what could not be written and nobody would say again: who left, a start
        self._failure = ""  # why nothing can be written
        self._listeners: set[Listener] = set()
        self._due: set[Listener] = set()  # those who may have something to get, and whose sockets aren't full
        self._selector = selectors.DefaultSelector()  # sockets that are full
        self._bell, self._bell_rope = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._tell_at = float("inf")  # when everybody is to have what is new
        self._rest = 0.0  # seconds that who came and left may wait for it
        self._look_at = float("inf")  # when to look whether the listeners are still there

    # ------------------------------------------------------------------------------------- for the others

    def say(self, author: Listener | None, drafts: bytes) -> None:
        """Append records to the history, and so send them to everybody. Waits while too much is pending.

        Also while the author has not taken what it was told before: that the history can't be written, for
        instance. Raises Closed.
        """
        with self._lock:
            while not self._closed and (self._pending_bytes > PENDING_BYTES or (author and _is_deaf(author))):
                self._relief.wait()
            self._post(Said(author, drafts))

    def answer(self, listener: Listener, drafts: bytes) -> None:
        """Send direct records to a listener, in its handler: waits until it has taken earlier ones.

        Raises Closed.
        """
        with self._lock:
            while _is_deaf(listener) and not self._closed:
                self._relief.wait()
            self._tell(listener, drafts)

    def tell(self, listener: Listener, drafts: bytes) -> None:
        """Send direct records to somebody else. Raises Full, Closed."""
        with self._lock:
            if listener.direct_bytes > DIRECT_BYTES:
                raise Full
            self._tell(listener, drafts)

    def listen(self, listener: Listener) -> None:
        """Let somebody hear what happens from now on, without being in the room: the host. Raises Closed."""
        file = self.history.file
        listener.hear_from(file, file.end)
        self._do(Listening(listener))

    def settle(self) -> None:
        """Return when all that was said before is in the history. Raises Closed."""
        mark = Mark(threading.Event())
        self._do(mark)
        mark.reached.wait()

    def stop(self, notice: str) -> None:
        """Say so, write a `stop` record, and let the thread end when everybody has it."""
        farewell = record.draft(record.NOBODY, "server", "notice", notice)
        with self._lock, contextlib.suppress(Closed):
            self._post(Said(None, farewell + record.draft(record.NOBODY, "server", "stop")))
            self._closed = True
            self._relief.notify_all()

    # ----- for the room, which is one

    def _do(self, entry: Entry) -> None:
        """Leave something to the thread, without waiting for anything. Raises Closed."""
        with self._lock:
            self._post(entry)

    def _await(self, entry: Awaited) -> str:
        """Have the records in the history; the time that they have. Raises NotStored, Closed."""
        self._do(entry)
        entry.done.wait()
        if entry.why_not:
            raise NotStored(entry.why_not)
        return entry.time

    def _end(self, listener: Listener, why: str) -> None:
        """Let the listener's handler come to its end."""
        with self._lock:
            listener.ended = listener.ended or why
            listener.ending.set()
            self._relief.notify_all()
        with contextlib.suppress(OSError):  # it has ended by itself
            listener.connection.shutdown(socket.SHUT_RD)

    # ----- requires holding the lock

    def _tell(self, listener: Listener, drafts: bytes) -> None:
        self._post(Told(listener, drafts))
        listener.direct_bytes += len(drafts)

    def _post(self, entry: Entry) -> None:
        """Add to what is pending, and wake the thread if it sleeps. Raises Closed."""
        if self._closed:
            raise Closed
        self._pending.append(entry)
        if isinstance(entry, Said | Told):
            self._pending_bytes += len(entry.drafts)
        if self._asleep:
            self._asleep = False
            self._bell_rope.send(b"!")

    # ------------------------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Write and send until `stop`."""
        try:
            while not self._closed:
                self._round()
            self._finish()
        finally:
            self._close()

    def _round(self) -> None:
        self._wait()
        with self._lock:
            self._batch, self._pending = self._pending, []
            self._pending_bytes = 0
            self._relief.notify_all()
        if self._write(self._batch):
            waits = all(isinstance(entry, Joined | Left) for entry in self._batch)
            self._tell_at = min(self._tell_at, time.monotonic() + (self._rest if waits else 0))
        self._batch = []
        if time.monotonic() >= self._tell_at:
            self._tell_everybody()
        else:
            self._deliver()
        if time.monotonic() >= self._look_at:
            self._look_for_the_lost()

    def _wait(self) -> None:
        """Sleep until something is pending, a full socket takes bytes again, or it is time to look around."""
        with self._lock:
            idle = not (self._pending or self._due or self._closed)
            self._asleep = idle
        if idle:
            until = min(self._tell_at, self._look_at)
            timeout = None if until == float("inf") else max(0, until - time.monotonic())
        elif len(self._selector.get_map()) > 1:
            timeout = 0
        else:
            return
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._bell.recv(64)
            else:
                self._selector.unregister(key.fileobj)
                key.data.stalled = False
                self._due.add(key.data)

    # ----- writing

    def _write(self, batch: list[Entry]) -> bool:
        """Do what is pending, in order. Whether the history has grown by it."""
        before = self._place()
        said: list[Said] = []
        for entry in batch:
            if isinstance(entry, Said):
                said.append(entry)
                continue
            self._append(said)
            said = []
            if isinstance(entry, Told):
                self._put(entry.listener, entry.drafts, len(entry.drafts))
            elif isinstance(entry, Cleared):
                self._clear(entry)
            elif isinstance(entry, Listening):
                self._listeners.add(entry.listener)
                self._due.add(entry.listener)
            else:
                entry.reached.set()
        self._append(said)
        return self._place() != before

    def _append(self, said: list[Said]) -> None:
        """Write to the file what was said, with one write; whoever joins or leaves with it, does so."""
        if not said:
            return
        drafts = b"".join([entry.drafts for entry in said])
        try:
            now = self.history.append(self._owed + drafts)
            self._owed = b""
            why_not = self._failure_is("")
        except OSError as error:
            now = ""
            why_not = self._failure_is(f"Not stored and not sent: {error.strerror}. Try again later.")
        file, end = self._place()
        if not why_not:
            end -= record.stamped_size(drafts)
        for entry in said:
            if isinstance(entry, Awaited):
                self._tell_outcome(entry, now, why_not)
            elif why_not and (entry.author is None or isinstance(entry, Left)):
                self._owed += entry.drafts
            elif why_not:
                self._refuse(entry.author, why_not, entry.drafts.count(b"\n"))
            if not why_not:
                end += record.stamped_size(entry.drafts)
            if isinstance(entry, Left):
                self._let_go(entry, (file, end))

    def _tell_outcome(self, entry: Awaited, now: str, why_not: str) -> None:
        """Let the author go on, who waits to hear whether it is in the history."""
        if isinstance(entry, Joined) and not why_not:
            self._listeners.add(entry.joiner)
            self._due.add(entry.joiner)
        entry.time, entry.why_not = now, why_not
        entry.done.set()

    def _failure_is(self, why_not: str) -> str:
        """Tell the host when writing begins to fail and when it works again, not each time between."""
        if why_not != self._failure:
            log.error("history: %s", why_not or "writing works again.")
            self._failure = why_not
        return why_not

    def _let_go(self, left: Left, place: Place) -> None:
        """Send the author what there is up to its own leaving, and then nothing more."""
        listener = left.leaver
        listener.last_place = place
        if left.at_once or listener not in self._listeners:
            self._drop(listener)
        elif not listener.stalled:
            self._due.add(listener)

    def _clear(self, entry: Cleared) -> None:
        try:
            self.history.clear(entry.address, entry.name)
        except OSError as error:
            log.error("history: can't clear: %s", error.strerror)
            self._refuse(entry.author, f"The history can't be cleared: {error.strerror}.", 1)

    def _refuse(self, author: Listener | None, why: str, times: int) -> None:
        """Tell the author of so many records that they are not in the history: each line has its answer."""
        if author:
            errors = record.draft(record.NOBODY, "server", "/error", why) * times
            with self._lock:
                author.direct_bytes += len(errors)
            self._put(author, errors, len(errors))

    def _put(self, listener: Listener, drafts: bytes, draft_bytes: int = 0) -> None:
        """Queue direct records, to go out when the listener has all of the history until now."""
        listener.directs.append(_Direct(self._place(), record.stamp(self.history.now(), drafts), draft_bytes))
        if not listener.stalled and listener in self._listeners:
            self._due.add(listener)

    def _place(self) -> Place:
        return self.history.file.number, self.history.file.end

    # ----- sending

    def _tell_everybody(self) -> None:
        """Give everybody what is new."""
        began = time.monotonic()
        self._tell_at = float("inf")
        self._due = {listener for listener in self._listeners if not listener.stalled}
        self._deliver()
        self._rest = min(REST_SECONDS, REST * (time.monotonic() - began))

    def _deliver(self) -> None:
        """One send to each listener that is due."""
        pieces: Pieces = {}  # listeners at the same place share the same bytes
        due, self._due = self._due, set()
        for listener in due:
            try:
                self._send_or_stall(listener, pieces)
            except OSError:
                self._drop(listener, lost=True)
        if due and self._look_at == float("inf"):
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
            with self._lock:
                listener.direct_bytes -= direct.draft_bytes
                self._relief.notify_all()

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
            listener.directs.appendleft(_Direct(place, record.stamp(self.history.now(), session)))

    def _stall(self, listener: Listener) -> None:
        self._selector.register(listener.connection, selectors.EVENT_WRITE, listener)
        listener.stalled = True

    def _drop(self, listener: Listener, *, lost: bool = False) -> None:
        """Send nothing more to the listener. If its connection is lost, its handler is to hear of it."""
        self._listeners.discard(listener)
        self._due.discard(listener)
        if listener.stalled:
            listener.stalled = False
            self._selector.unregister(listener.connection)
        if lost:
            self._end(listener, "connection lost")
        with contextlib.suppress(OSError):  # it has ended by itself
            listener.connection.shutdown(socket.SHUT_WR)
        if listener.last_place:
            listener.gone.set()

    def _look_for_the_lost(self) -> None:
        """End connections whose other end is out of reach; look again while anything is unacknowledged."""
        self._look_at = float("inf")
        for listener in list(self._listeners):
            try:
                waiting, lost = liveness.state(listener.connection)
            except OSError:
                waiting, lost = False, True
            if lost:
                self._drop(listener, lost=True)
            elif waiting or listener.stalled:
                self._look_at = time.monotonic() + LOOK_SECONDS

    # ----- the end

    def _finish(self) -> None:
        """Send what is still to be sent, as long as somebody takes it and the time for it has not run out."""
        deadline = time.monotonic() + STOP_SECONDS
        self._round()
        while time.monotonic() < deadline and any(self._is_behind(listener) for listener in self._listeners):
            self._round()
            self._selector.select(0.01 if not self._due else 0)

    def _is_behind(self, listener: Listener) -> bool:
        return bool(listener.directs) or (listener.file.number, listener.offset) != self._place()

    def _close(self) -> None:
        """Let everybody go who waits for the broadcaster."""
        with self._lock:
            self._closed = True
            self._relief.notify_all()
            unheard, self._pending = self._batch + self._pending, []
        for listener in list(self._listeners):
            listener.last_place = (0, 0)
            self._drop(listener)
        for entry in unheard:  # only where the broadcaster has failed
            if isinstance(entry, Awaited) and not entry.done.is_set():
                entry.why_not = "The server has failed."
                entry.done.set()
            elif isinstance(entry, Mark):
                entry.reached.set()
            elif isinstance(entry, Left):
                entry.leaver.gone.set()
        self._selector.close()
        self._bell.close()
        self._bell_rope.close()
        self._ended.set()


def _is_deaf(listener: Listener) -> bool:
    """Whether its handler is to wait for it to take direct records. Requires holding the lock."""
    return listener.direct_bytes > DIRECT_BYTES and not listener.ending.is_set()


def session_record(token: str, start: int, end: int) -> bytes:
    """The draft that says where in the file the next record comes from, and where the history ends now."""
    return record.draft(record.NOBODY, "server", "/session", f"{token} {start} {end}")


def _before(piece: bytes | memoryview, listener: Listener) -> bytes | memoryview:
    """The part of the piece that comes before the listener's next direct record, and before its leaving."""
    for place in (listener.directs[0].place if listener.directs else None, listener.last_place):
        if place and place[0] == listener.file.number:
            piece = piece[: place[1] - listener.offset]
    return piece
