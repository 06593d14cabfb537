"""The room: who is here, and the one thread that writes the history and sends it to them.

    handler --+                                      +--> member  cursor = end
    handler --+--> pending --> broadcaster --> file --+--> member  cursor = end
    console --+               (one append)           +--> member  cursor far back: read from the file

To speak is to append to the file, to listen is to have a cursor into it. The broadcaster takes all that is
pending, appends it with one write, and then gives each member what lies between its cursor and the end,
with one send that doesn't wait. A member whose socket is full is left where it is until the selector says
that it takes bytes again. Nothing is queued for it, so it costs no memory and holds up nobody.

Direct records (for one member only) are the exception: they are queued, with a bound, each with its place
in the history, and go out when the member's cursor gets there. So every member sees one order.
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
PIECE_BYTES = (
    256 * 1024
)  # what a member that is behind gets at once: a fair share, and about a socket's buffer
DIRECT_BYTES = 256 * 1024  # direct records that may wait for one member
TAKEOVER_SECONDS = 10  # for the earlier connection of a resumed session to end; it takes milliseconds
STOP_SECONDS = 5  # for the last records to reach everybody when the server stops
LOOK_SECONDS = 10  # how often connections with something unacknowledged are looked at

DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)  # where there is none (Windows), the whole socket doesn't wait

log = logging.getLogger("chat.room")

Place = tuple[int, int]  # a place in the history: the file's number, the offset in it


class NameTaken(Exception):
    """Somebody has the name, or one that looks the same."""


class Full(Exception):
    """The member has not taken the direct records that wait for it already."""


class Closed(Exception):
    """The room is closed: nothing more is written."""


class NotStored(Exception):
    """It could not be written to the history, and so it is not so; the message says why."""


@dataclass(slots=True)
class _Direct:
    """Direct records on their way to a member, from `place` in the history."""

    place: Place
    data: bytes
    draft_bytes: int = 0


class Member:
    """Somebody in the room. The room's lock guards its name, the cursor is the broadcaster's."""

    __slots__ = (
        "address",
        "admin",
        "away",
        "connection",
        "correspondent",
        "direct_bytes",
        "directs",
        "ended",
        "ending",
        "file",
        "gone",
        "joined",
        "kicked",
        "last_place",
        "muted",
        "name",
        "offset",
        "passed_over",
        "stalled",
        "token",
    )

    def __init__(
        self, connection: socket.socket, address: str, name: str, token: str, ending: threading.Event
    ) -> None:
        self.connection = connection
        self.address = address
        self.name = name
        self.token = token  # of the session, where one was asked for
        self.joined = ""  # the time of its join record
        self.away: str | None = None
        self.correspondent: tuple[str, Member | None] = ("", None)  # who sent the last private message
        self.admin = False
        self.muted = False
        self.ended = ""  # why the server ends the connection, once it does
        self.ending = ending  # and then this is set: its handler is not to sleep any more
        self.kicked = False  # nothing more that it sent is to be heard
        self.gone = threading.Event()  # set when its leaving is in the file and nobody sends to it any more

        self.file: HistoryFile  # the cursor: the next byte of history to send
        self.offset = 0
        self.passed_over = False  # the cursor jumped over what is no record
        self.directs: collections.deque[_Direct] = collections.deque()  # in the order of their places
        self.direct_bytes = 0  # drafts of those that wait; guarded by the room's lock
        self.last_place: Place | None = None  # where it has all that it is to get
        self.stalled = False  # its socket is full, and the selector watches it


@dataclass(slots=True)
class _Said:
    """Records for the history. A failure is told to the author."""

    author: Member | None
    drafts: bytes


@dataclass(slots=True)
class _Told:
    """Direct records for one member."""

    member: Member
    drafts: bytes


@dataclass(slots=True)
class _Awaited(_Said):
    """Something that is so only if it is in the history: the author's handler waits to hear that."""

    author: Member
    done: threading.Event = field(default_factory=threading.Event)
    why_not: str = ""


@dataclass(slots=True)
class _Joined(_Awaited):
    """The author is in the room."""


@dataclass(slots=True)
class _Renamed(_Awaited):
    """The author has another name, which it holds beside its old one until then."""

    name: str = ""


@dataclass(slots=True)
class _Left(_Said):
    """The author is out: after the last record, or at once if it can't or won't hear it."""

    author: Member
    at_once: bool


@dataclass(slots=True)
class _Listening:
    """Somebody hears from now on without being in the room."""

    member: Member


@dataclass(slots=True)
class _Cleared:
    """The history begins anew."""

    author: Member | None


@dataclass(slots=True)
class _Mark:
    """Somebody waits until all that was pending before this is done."""

    reached: threading.Event


_Entry = _Said | _Told | _Listening | _Cleared | _Mark


class Room:
    """The members, and what is on its way to them. `run` is the broadcaster."""

    def __init__(self, history: History) -> None:
        self.history = history
        # The lock guards the members, their names and sessions, and what is pending. No work is done on a
        # file or a client's socket while it is held.
        self._lock = threading.Lock()
        self._relief = threading.Condition(self._lock)  # there is less pending than there was
        self._members: dict[str, Member] = {}  # by record.name_key
        self._sessions: dict[str, Member] = {}  # by token
        self._pending: list[_Entry] = []
        self._pending_bytes = 0
        self._asleep = False  # the broadcaster waits to be woken
        self._closed = False

        # The broadcaster's own.
        self._owed = b""  # what could not be written and nobody would say again: who left, a start
        self._failure = ""  # why nothing can be written
        self._receivers: set[Member] = set()  # the members, and those who have left but not yet heard it all
        self._due: set[Member] = set()  # those who may have something to get, and whose sockets aren't full
        self._selector = selectors.DefaultSelector()  # sockets that are full
        self._bell, self._bell_rope = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._look_at = float("inf")  # when to look whether the receivers are still there

    # ------------------------------------------------------------------------------------------ members

    def join(self, member: Member, file: HistoryFile, offset: int, first: bytes = b"") -> None:
        """Let the member in, to hear the direct records `first` and then what is in the file from offset on.

        Raises NameTaken, NotStored, Closed.
        """
        member.file, member.offset = file, offset
        if first:
            member.directs.append(_Direct((file.number, offset), first))
        key = record.name_key(member.name)
        with self._lock:
            self._check_name(key, None)
            self._members[key] = member
            if member.token:
                self._sessions[member.token] = member
            joined = _Joined(member, record.draft(member.address, member.name, "join"))
            self._post(joined)
        self._await(joined)

    def listen(self, listener: Member) -> None:
        """Let somebody hear what happens from now on, without being a member: the host."""
        listener.file, listener.offset = self.history.file, self.history.file.end
        with self._lock:
            self._post(_Listening(listener))

    def rename(self, member: Member, name: str) -> None:
        """Give the member another name. Raises NameTaken, NotStored, Closed."""
        key = record.name_key(name)
        with self._lock:
            self._check_name(key, member)
            self._members[key] = member
            renamed = _Renamed(member, record.draft(member.address, member.name, "rename", name), name=name)
            self._post(renamed)
        self._await(renamed)

    @staticmethod
    def _await(entry: _Awaited) -> None:
        entry.done.wait()
        if entry.why_not:
            raise NotStored(entry.why_not)

    def leave(self, member: Member, why: str, *, at_once: bool = False) -> None:
        """Take the member out, and return when its connection may be closed.

        It still gets everything up to its own leaving, however long it takes, unless `at_once`.
        """
        with self._lock:
            del self._members[record.name_key(member.name)]
            self._sessions.pop(member.token, None)
            if not self._closed:
                self._post(_Left(member, record.draft(member.address, member.name, "leave", why), at_once))
        member.gone.wait()

    def find(self, name: str) -> Member | None:
        """Who has this name, in whatever case."""
        with self._lock:
            return self._members.get(record.name_key(name))

    def members(self) -> list[Member]:
        """Who is here, in the order of coming."""
        with self._lock:
            here = dict.fromkeys(member for member in self._members.values() if member.joined)
        return sorted(here, key=lambda member: member.joined)

    def end_session(self, token: str) -> bool:
        """End the connection that the session has now, if it has one: what it sent is in the file then.

        Whether the token was known. Raises TimeoutError, Closed.
        """
        with self._lock:
            member = self._sessions.get(token)
            if member:
                self._end(member, "reconnecting")
        if member is None:
            self.settle()  # the connection may have ended a moment ago, with its last lines still pending
            return False
        if not member.gone.wait(TAKEOVER_SECONDS):
            raise TimeoutError
        return True

    def kick(self, member: Member, why: str) -> None:
        """End the member's connection; nothing more that it sent is heard."""
        with self._lock:
            member.kicked = True
            self._end(member, why)

    def _end(self, member: Member, why: str) -> None:
        """Let the member's handler come to its end. Requires holding the lock."""
        member.ended = member.ended or why
        member.ending.set()
        self._relief.notify_all()
        with contextlib.suppress(OSError):  # it has ended by itself
            member.connection.shutdown(socket.SHUT_RD)

    def _check_name(self, key: str, member: Member | None) -> None:
        """Requires holding the lock."""
        if self._closed:
            raise Closed
        if self._members.get(key, member) is not member or key in record.RESERVED_NAMES:
            raise NameTaken

    # ----------------------------------------------------------------------------------------- speaking

    def say(self, author: Member | None, drafts: bytes) -> None:
        """Append records to the history, and so send them to everybody. Waits while too much is pending.

        Also while the author has not taken what it was told before: that the history can't be written, for
        instance. Raises Closed.
        """
        with self._lock:
            while not self._closed and (
                self._pending_bytes > PENDING_BYTES or (author and self._is_deaf(author))
            ):
                self._relief.wait()
            if self._closed:
                raise Closed
            self._post(_Said(author, drafts))

    def answer(self, member: Member, drafts: bytes) -> None:
        """Send direct records to the member itself, in its handler: waits for it to take earlier ones.

        Raises Closed.
        """
        with self._lock:
            while self._is_deaf(member) and not self._closed:
                self._relief.wait()
            self._tell(member, drafts)

    def tell(self, member: Member, drafts: bytes) -> None:
        """Send direct records to somebody else. Raises Full, Closed."""
        with self._lock:
            if member.direct_bytes > DIRECT_BYTES:
                raise Full
            self._tell(member, drafts)

    def clear(self, author: Member | None) -> None:
        """Begin a new history. A failure is told to the author."""
        with self._lock:
            self._post(_Cleared(author))

    def settle(self) -> None:
        """Return when all that was said before is in the history. Raises Closed."""
        mark = _Mark(threading.Event())
        with self._lock:
            if self._closed:
                raise Closed
            self._post(mark)
        mark.reached.wait()

    @staticmethod
    def _is_deaf(member: Member) -> bool:
        """Whether its handler is to wait for it to take direct records. Requires holding the lock."""
        return member.direct_bytes > DIRECT_BYTES and not member.ending.is_set()

    def _tell(self, member: Member, drafts: bytes) -> None:
        """Requires holding the lock."""
        if self._closed:
            raise Closed
        member.direct_bytes += len(drafts)
        self._post(_Told(member, drafts))

    def _post(self, entry: _Entry) -> None:
        """Leave something to the broadcaster. Requires holding the lock."""
        self._pending.append(entry)
        if isinstance(entry, _Said | _Told):
            self._pending_bytes += len(entry.drafts)
        if self._asleep:
            self._asleep = False
            self._bell_rope.send(b"!")

    # ------------------------------------------------------------------------------------- broadcasting

    def run(self) -> None:
        """The broadcaster thread: write and send until `stop`."""
        try:
            while not self._closed:
                self._round()
            self._finish()
        finally:
            self._close()

    def stop(self, notice: str) -> None:
        """Say so, write a `stop` record, and let the broadcaster end when everybody has it."""
        farewell = record.draft(record.NOBODY, "server", "notice", notice)
        with self._lock:
            if not self._closed:
                self._post(_Said(None, farewell + record.draft(record.NOBODY, "server", "stop")))
                self._closed = True
                self._relief.notify_all()

    def _round(self) -> None:
        self._wait()
        with self._lock:
            batch, self._pending = self._pending, []
            self._pending_bytes = 0
            self._relief.notify_all()
        if self._write(batch):
            self._due = {receiver for receiver in self._receivers if not receiver.stalled}
        self._deliver()
        if time.monotonic() >= self._look_at:
            self._look_for_the_lost()

    def _wait(self) -> None:
        """Sleep until something is pending, a full socket takes bytes again, or it is time to look around."""
        with self._lock:
            idle = not (self._pending or self._due or self._closed)
            self._asleep = idle
        if idle:
            timeout = None if self._look_at == float("inf") else max(0, self._look_at - time.monotonic())
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

    def _write(self, batch: list[_Entry]) -> bool:
        """Do what is pending, in order. Whether the history has grown by it."""
        before = self._place()
        said: list[_Said] = []
        for entry in batch:
            if isinstance(entry, _Said):
                said.append(entry)
                continue
            self._append(said)
            said = []
            if isinstance(entry, _Told):
                self._put(entry.member, entry.drafts, len(entry.drafts))
            elif isinstance(entry, _Cleared):
                self._clear(entry.author)
            elif isinstance(entry, _Listening):
                self._receivers.add(entry.member)
            else:
                entry.reached.set()
        self._append(said)
        return self._place() != before

    def _append(self, said: list[_Said]) -> None:
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
            if isinstance(entry, _Awaited):
                self._take_effect(entry, now, why_not)
            elif why_not and (entry.author is None or isinstance(entry, _Left)):
                self._owed += entry.drafts
            elif why_not:
                self._refuse(entry.author, why_not, entry.drafts.count(b"\n"))
            if not why_not:
                end += record.stamped_size(entry.drafts)
            if isinstance(entry, _Left):
                self._let_go(entry, (file, end))

    def _take_effect(self, entry: _Awaited, now: str, why_not: str) -> None:
        """Let what is in the history now be so, or not; its handler goes on."""
        member = entry.author
        with self._lock:
            if isinstance(entry, _Renamed):
                old, new = record.name_key(member.name), record.name_key(entry.name)
                if old != new:
                    del self._members[new if why_not else old]
                if not why_not:
                    member.name = entry.name
            elif why_not:
                del self._members[record.name_key(member.name)]
                self._sessions.pop(member.token, None)
        if isinstance(entry, _Joined):
            if why_not:
                member.gone.set()
            else:
                member.joined = now
                self._receivers.add(member)
                self._due.add(member)
        entry.why_not = why_not
        entry.done.set()

    def _failure_is(self, why_not: str) -> str:
        """Tell the host when writing begins to fail and when it works again, not each time between."""
        if why_not != self._failure:
            log.error("history: %s", why_not or "writing works again.")
            self._failure = why_not
        return why_not

    def _let_go(self, left: _Left, place: Place) -> None:
        """Send the author what there is up to its own leaving, and then nothing more."""
        member = left.author
        member.last_place = place
        if left.at_once or member not in self._receivers:
            self._drop(member)
        elif not member.stalled:
            self._due.add(member)

    def _clear(self, author: Member | None) -> None:
        try:
            if author:
                self.history.clear(author.address, author.name)
            else:
                self.history.clear(record.NOBODY, "host")
        except OSError as error:
            log.error("history: can't clear: %s", error.strerror)
            self._refuse(author, f"The history can't be cleared: {error.strerror}.", 1)

    def _refuse(self, author: Member | None, why: str, times: int) -> None:
        """Tell the author of so many records that they are not in the history: each line has its answer."""
        if author:
            errors = record.draft(record.NOBODY, "server", "/error", why) * times
            with self._lock:
                author.direct_bytes += len(errors)
            self._put(author, errors, len(errors))

    def _put(self, member: Member, drafts: bytes, draft_bytes: int = 0) -> None:
        """Queue direct records, to go out when the member has all of the history until now."""
        member.directs.append(_Direct(self._place(), record.stamp(self.history.now(), drafts), draft_bytes))
        if not member.stalled and member in self._receivers:
            self._due.add(member)

    def _place(self) -> Place:
        return self.history.file.number, self.history.file.end

    # ----- sending

    def _deliver(self) -> None:
        """One send to each member that is due."""
        pieces: dict[
            Place, tuple[int, bytes | memoryview]
        ] = {}  # members at the same place share the same bytes
        due, self._due = self._due, set()
        for member in due:
            try:
                self._send(member, pieces)
            except BlockingIOError:
                self._stall(member)
            except OSError:
                self._drop(member, lost=True)
        if due and self._look_at == float("inf"):
            self._look_at = time.monotonic() + LOOK_SECONDS

    def _send(self, member: Member, pieces: dict[Place, tuple[int, bytes | memoryview]]) -> None:
        """Give the member one piece of what it has not got yet.

        Raises BlockingIOError where its socket is full, OSError where it is gone.
        """
        place = (member.file.number, member.offset)
        if member.directs and member.directs[0].place <= place:
            self._send_direct(member)
            return
        if member.last_place and member.last_place <= place:
            self._drop(member)
            return
        if place not in pieces:
            pieces[place] = member.file.records(member.offset, PIECE_BYTES)
        start, piece = pieces[place]
        if start > member.offset:
            member.offset = start
            member.passed_over = True
        if not piece:
            self._go_on(member)
        elif member.passed_over:
            self._announce(member)
        else:
            self._send_history(member, piece)

    def _send_history(self, member: Member, piece: bytes | memoryview) -> None:
        """Send records up to where a direct one goes in between, or to the last that the member is to get."""
        for place in (member.directs[0].place if member.directs else None, member.last_place):
            if place and place[0] == member.file.number:
                piece = piece[: place[1] - member.offset]
        sent = member.connection.send(piece, DONT_WAIT)
        member.offset += sent
        if sent < len(piece):
            self._stall(member)
        elif member.directs or member.last_place or self._place() != (member.file.number, member.offset):
            self._due.add(member)

    def _send_direct(self, member: Member) -> None:
        """Send the direct records whose place the member has reached."""
        direct = member.directs[0]
        sent = member.connection.send(direct.data, DONT_WAIT)
        if sent < len(direct.data):
            direct.data = direct.data[sent:]
            self._stall(member)
            return
        member.directs.popleft()
        self._due.add(member)
        if direct.draft_bytes:
            with self._lock:
                member.direct_bytes -= direct.draft_bytes
                self._relief.notify_all()

    def _go_on(self, member: Member) -> None:
        """The member has all of its file: it goes on to the next one, or waits."""
        if member.offset < member.file.end:
            self._due.add(member)  # something was passed over, and there is more
        elif member.file.next:
            member.file = member.file.next
            member.passed_over = member.file.goes_on_at is not None
            member.offset = member.file.goes_on_at or 0
            self._due.add(member)

    def _announce(self, member: Member) -> None:
        """Say where the next record comes from: something was not sent, and an offset would go wrong."""
        member.passed_over = False
        self._due.add(member)
        if member.token:
            place = (member.file.number, member.offset)
            session = session_record(member.token, member.offset, member.file.end)
            member.directs.appendleft(_Direct(place, record.stamp(self.history.now(), session)))

    def _stall(self, member: Member) -> None:
        member.stalled = True
        self._selector.register(member.connection, selectors.EVENT_WRITE, member)

    def _drop(self, member: Member, *, lost: bool = False) -> None:
        """Send nothing more to the member. If its connection is lost, its handler is to hear of it."""
        self._receivers.discard(member)
        self._due.discard(member)
        if member.stalled:
            member.stalled = False
            self._selector.unregister(member.connection)
        if lost:
            with self._lock:
                self._end(member, "connection lost")
        with contextlib.suppress(OSError):  # it has ended by itself
            member.connection.shutdown(socket.SHUT_WR)
        if member.last_place:
            member.gone.set()

    def _look_for_the_lost(self) -> None:
        """End connections whose other end is out of reach; look again while anything is unacknowledged."""
        self._look_at = float("inf")
        for member in list(self._receivers):
            try:
                waiting, lost = liveness.state(member.connection)
            except OSError:
                waiting, lost = False, True
            if lost:
                self._drop(member, lost=True)
            elif waiting or member.stalled:
                self._look_at = time.monotonic() + LOOK_SECONDS

    # ----- the end

    def _finish(self) -> None:
        """Send what is still to be sent, as long as somebody takes it and the time for it has not run out."""
        deadline = time.monotonic() + STOP_SECONDS
        self._round()
        while time.monotonic() < deadline and any(self._is_behind(member) for member in self._receivers):
            self._round()
            self._selector.select(0.01 if not self._due else 0)

    def _is_behind(self, member: Member) -> bool:
        return bool(member.directs) or (member.file.number, member.offset) != self._place()

    def _close(self) -> None:
        """Let everybody go who waits for the broadcaster."""
        with self._lock:
            self._closed = True
            self._relief.notify_all()
            everybody = self._receivers.union(self._members.values())
            unheard, self._pending = self._pending, []
        for entry in unheard:  # only where the broadcaster has failed
            if isinstance(entry, _Awaited):
                entry.why_not = "The server has failed."
                entry.done.set()
            elif isinstance(entry, _Mark):
                entry.reached.set()
        for member in everybody:
            member.last_place = (0, 0)
            self._drop(member)
        self._selector.close()
        self._bell.close()
        self._bell_rope.close()


def session_record(token: str, start: int, end: int) -> bytes:
    """The draft that says where in the file the next record comes from, and where the history ends now."""
    return record.draft(record.NOBODY, "server", "/session", f"{token} {start} {end}")
