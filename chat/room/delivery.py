"""The delivery: each listener gets what lies between its cursor and the end of the history.

    file  |rec|rec|rec|rec|rec|rec|rec|     one non-blocking send to each listener that is behind;
               ^           ^       ^        listeners at the same position share the same bytes
             stalled      due     up to date

A listener whose socket is full is stalled: it stays where it is until the selector reports its socket
writable again. Nothing is queued for it, so it costs no memory and holds up nobody (R34).

Direct records (for one listener only) are the exception: they are queued, up to a limit, each with its
position in the history, and are sent when the listener's cursor reaches it (R11): there is one order (R6).

It writes bytes of the file to plain non-blocking sockets and to nothing else. A client that needs other bytes
(TLS, a browser, the console) is behind a socket pair, from which its own thread forwards them.
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

from chat import record
from chat.log.file import HistoryFile, Position
from chat.log.log import Log
from chat.room import liveness
from chat.room.ending import Ending

PIECE_BYTES = 256 * 1024  # sent at once to a listener that is behind: about what a socket's buffer takes
# Pieces kept in memory to be shared: listeners that are behind are mostly at the same few positions.
PIECES = 64
# R8: joins and leaves alone wait before they are sent, for this many times the duration of the last round to
# everybody. So a crowd that arrives at once takes a fifth of the time, not all of it; ten take a millisecond.
COALESCING = 4
COALESCING_SECONDS = 0.25  # at most, however long the last round took
BEHIND_SECONDS = 0.003  # of a round, for those who lack more than the last append: many may, for long
CHECK_SECONDS = 10  # how often connections with unacknowledged bytes are checked

DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)  # Windows lacks it: there the socket itself is non-blocking
NEVER = float("inf")

# What to send next from a position; see HistoryFile.records.
Pieces = dict[Position, tuple[int, bytes | memoryview]]


@dataclass(slots=True)
class _Direct:
    """Direct records waiting for a listener, to be sent at `position` in the history."""

    position: Position
    data: bytes
    draft_bytes: int = 0  # how much of it counts against the limit


class Listener:
    """A connection that gets the history from its cursor on. The cursor is the broadcaster's.

    `connection` is the non-blocking socket that the broadcaster writes to: the client's own, or one end of a
    pair. `tcp` is the client's socket, if any. `interrupt` wakes the handler that reads from the client.
    """

    __slots__ = (
        "connection",
        "detach_at",
        "direct_bytes",
        "directs",
        "ended",
        "ending",
        "file",
        "gone",
        "interrupt",
        "not_full",
        "offset",
        "replay_end",
        "skipped",
        "stalled",
        "tcp",
        "token",
    )

    def __init__(
        self,
        connection: socket.socket,
        token: str = "",
        *,
        tcp: socket.socket | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self.connection = connection
        self.tcp = tcp
        self.interrupt = interrupt or self._stop_reading
        self.token = token  # of the session, if one was asked for
        self.ending: Ending | None = None  # why the server ends the connection, once it does
        self.ended = threading.Event()  # set with `ending`: the handler must stop sleeping
        self.gone = threading.Event()  # set once its leave is committed and nothing more is sent to it

        self.file: HistoryFile  # the cursor: the next byte of history to send
        self.offset = 0
        self.replay_end: Position = (0, 0)  # the end of the history when it joined: before its own join
        self.skipped = False  # the cursor has skipped what is not a record
        self.directs: collections.deque[_Direct] = collections.deque()  # in the order of their positions
        self.direct_bytes = 0  # drafts of direct records that wait; guarded by the broadcaster's lock
        self.not_full: threading.Condition | None = None  # direct_bytes has shrunk; the same lock
        self.detach_at: Position | None = None  # where it has everything that it should get
        self.stalled = False  # its socket is full, and the selector watches it

    def seek(self, file: HistoryFile, offset: int, first: bytes = b"") -> None:
        """Set the cursor: direct records `first`, then what is in the file from the offset on."""
        self.file, self.offset = file, offset
        self.replay_end = (file.number, file.end)
        if first:
            self.directs.append(_Direct((file.number, offset), first))

    def directs_arrived(self) -> bool:
        """Whether its direct records have arrived at its system, as far as the system here tells."""
        try:
            sockets = filter(None, (self.connection, self.tcp))
            return not (self.directs or any(map(liveness.in_flight, sockets)))
        except OSError:  # it has ended
            return False

    def _stop_reading(self) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            self.connection.shutdown(socket.SHUT_RD)


class Delivery:
    """The listeners, and sending to them. The broadcaster's thread calls everything but `wake`.

    It calls `taken` when a listener has taken direct records, with the size of their drafts, and `lost` when
    a listener's connection is lost.
    """

    def __init__(
        self, log: Log, taken: Callable[[Listener, int], None], lost: Callable[[Listener], None]
    ) -> None:
        self._log = log
        self._taken = taken
        self._lost = lost
        self._listeners: set[Listener] = set()
        self._due: set[Listener] = set()  # those who may lack something, and whose sockets aren't full
        self._behind: dict[Listener, None] = {}  # those of them for whom there was no time yet, in order
        self._selector = selectors.DefaultSelector()  # sockets that are full
        self._waker_out, self._waker = socket.socketpair()  # a byte in the waker ends the wait
        self._waker_out.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._waker_out, selectors.EVENT_READ)
        self._all_due_at = NEVER  # when to send what is new to everybody
        self._coalescing_delay = 0.0  # in seconds: how long joins and leaves may wait
        self._check_at = NEVER  # when to check whether the listeners are still there

    # ----- what there is to send

    def add(self, listener: Listener) -> None:
        """Send to the listener from its cursor on."""
        self._listeners.add(listener)
        self._due.add(listener)

    def schedule_all(self, *, coalesce: bool) -> None:
        """The history has grown: everybody is due now, or, with `coalesce`, after a short delay."""
        delay = self._coalescing_delay if coalesce else 0
        self._all_due_at = min(self._all_due_at, time.monotonic() + delay)

    def queue_direct(self, listener: Listener, drafts: bytes) -> None:
        """Queue direct records, to be sent once the listener has all of the history up to now."""
        if listener.gone.is_set():
            return
        position = self._log.history.position
        listener.directs.append(_Direct(position, record.stamp(self._log.now(), drafts), len(drafts)))
        if not listener.stalled and listener in self._listeners:
            self._due.add(listener)

    def detach(self, listener: Listener, position: Position, *, hears_rest: bool) -> None:
        """Send the listener nothing more; with `hears_rest`, only once it has everything up to a position."""
        listener.detach_at = position
        if not hears_rest or listener not in self._listeners:
            self._drop(listener)
        elif not listener.stalled:
            self._due.add(listener)

    # ----- waiting

    @property
    def due(self) -> bool:
        """Whether there is something to do now."""
        return bool(self._due or self._behind)

    def wait(self, timeout: float | None) -> None:
        """Wait for a full socket to become writable, or for `wake`; at most `timeout` seconds.

        With None, until the next thing to do: the end of a coalescing delay, or a check.
        """
        if timeout is None and (until := min(self._all_due_at, self._check_at)) != NEVER:
            timeout = max(0, until - time.monotonic())
        if timeout == 0 and len(self._selector.get_map()) == 1:
            return  # nobody is stalled
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._waker_out.recv(64)
            else:
                self._selector.unregister(key.fileobj)
                key.data.stalled = False
                self._due.add(key.data)

    def wake(self) -> None:
        """End the wait, from another thread."""
        self._waker.send(b"!")

    # ----- sending

    def deliver(self) -> None:
        """One send to each listener that is due."""
        began = time.monotonic()
        if began >= self._all_due_at:
            self._all_due_at = NEVER
            self._due = {listener for listener in self._listeners if not listener.stalled}
            self._send_to_all_due()
            self._coalescing_delay = min(COALESCING_SECONDS, COALESCING * (time.monotonic() - began))
        else:
            self._send_to_all_due()
        if began >= self._check_at:
            self._check_connections()

    def _send_to_all_due(self) -> None:
        """First to those who lack only the last append, then to those behind, as far as there is time."""
        pieces: Pieces = {}  # listeners at the same position share the same bytes
        due, self._due = self._due, set()
        behind, self._behind = self._behind, {}
        for listener in due:
            if listener.offset < listener.file.recent_start:
                behind[listener] = None
            else:
                self._send_or_drop(listener, pieces)
        until = time.monotonic() + BEHIND_SECONDS
        while behind and time.monotonic() < until:
            listener = next(iter(behind))
            del behind[listener]
            if not listener.stalled and listener in self._listeners:
                self._send_or_drop(listener, pieces)
        self._behind = behind
        if due and self._check_at == NEVER:
            self._check_at = time.monotonic() + CHECK_SECONDS

    def _send_or_drop(self, listener: Listener, pieces: Pieces) -> None:
        """`_send`; a listener whose socket is full waits until the selector reports it writable."""
        try:
            self._send(listener, pieces)
        except BlockingIOError:
            self._stall(listener)
        except OSError:
            self._drop_lost(listener)

    def _send(self, listener: Listener, pieces: Pieces) -> None:
        """Send the listener one piece of what it lacks.

        Raises BlockingIOError if its socket is full, OSError if its connection is lost.
        """
        position = (listener.file.number, listener.offset)
        if listener.directs and listener.directs[0].position <= position:
            self._send_direct(listener)
            return
        if listener.detach_at and listener.detach_at <= position:
            self._drop(listener)
            return
        if position not in pieces:
            if len(pieces) == PIECES:
                pieces.clear()
            pieces[position] = listener.file.records(listener.offset, PIECE_BYTES)
        start, piece = pieces[position]
        if start > listener.offset:
            listener.offset = start
            listener.skipped = True
        if not piece:
            self._advance(listener)
        elif listener.skipped:
            self._announce(listener)
        else:
            self._send_history(listener, piece)

    def _send_history(self, listener: Listener, piece: bytes | memoryview) -> None:
        """Send records up to the listener's next direct record, or up to where it is detached."""
        if listener.directs or listener.detach_at:
            piece = _before(piece, listener)
        sent = listener.connection.send(piece, DONT_WAIT)
        listener.offset += sent
        more = listener.offset < listener.file.end or listener.file.next
        if sent < len(piece):
            self._stall(listener)
        elif more or listener.directs or listener.detach_at:
            self._due.add(listener)

    def _send_direct(self, listener: Listener) -> None:
        """Send the direct records whose position the listener has reached."""
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

    def _advance(self, listener: Listener) -> None:
        """The listener has all of its file: move it to the next one, if there is one."""
        if listener.offset < listener.file.end:
            self._due.add(listener)  # something was skipped, and there is more
        elif listener.file.next:
            listener.file = listener.file.next
            listener.skipped = listener.file.resume_offset is not None
            listener.offset = listener.file.resume_offset or 0
            self._due.add(listener)

    def _announce(self, listener: Listener) -> None:
        """R38: say where the next record starts; what was skipped would make the client's offset wrong."""
        listener.skipped = False
        self._due.add(listener)
        if listener.token:
            position = (listener.file.number, listener.offset)
            number, end = listener.replay_end
            end = max(end, listener.offset) if number == listener.file.number else listener.offset
            session = session_record(listener.token, listener.offset, end)
            listener.directs.appendleft(_Direct(position, record.stamp(self._log.now(), session)))

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
        with contextlib.suppress(OSError):  # it has ended already
            listener.connection.shutdown(socket.SHUT_WR)
        listener.directs.clear()  # so that lingering references don't keep them in memory
        self._behind.pop(listener, None)
        if listener.detach_at:
            listener.gone.set()

    def _drop_lost(self, listener: Listener) -> None:
        """The same, if its connection is lost."""
        self._lost(listener)
        self._drop(listener)

    def _check_connections(self) -> None:
        """Drop listeners whose peer is out of reach; check again later while anything is unacknowledged."""
        self._check_at = NEVER
        for listener in list(self._listeners):
            if listener.tcp is None:
                continue
            try:
                waiting, lost = liveness.state(listener.tcp)
            except OSError:
                waiting, lost = False, True
            if lost:
                self._drop_lost(listener)
            elif waiting or listener.stalled:
                self._check_at = time.monotonic() + CHECK_SECONDS

    # ----- the end

    def is_behind(self) -> bool:
        """Whether any listener is behind."""
        end = self._log.history.position
        return any(
            listener.directs or (listener.file.number, listener.offset) != end for listener in self._listeners
        )

    def close(self) -> list[Listener]:
        """Stop sending; the listeners until now."""
        listeners = list(self._listeners)
        for listener in listeners:
            listener.detach_at = (0, 0)
            self._drop(listener)
        self._selector.close()
        self._waker_out.close()
        self._waker.close()
        return listeners


def session_record(token: str, start: int, end: int) -> bytes:
    """R37: the draft that says where in the file the next record starts, and where the history ends now."""
    return record.draft(record.NOBODY, "server", "/session", f"{token} {start} {end}")


def _before(piece: bytes | memoryview, listener: Listener) -> bytes | memoryview:
    """The part of the piece before the listener's next direct record and before where it is detached."""
    for position in (listener.directs[0].position if listener.directs else None, listener.detach_at):
        if position and position[0] == listener.file.number:
            piece = piece[: position[1] - listener.offset]
    return piece
