"""The room: who is here, and what can be done in it. It has a log and a broadcaster."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chat import record
from chat.log import entries
from chat.log.entries import Append, Change, Direct, Entry, Join, Leave, Presence, Rename, TakeOver
from chat.log.file import HistoryFile
from chat.log.log import NAME_TAKEN, Log, Result
from chat.room.broadcaster import Broadcaster, Closed, Refused
from chat.room.delivery import Listener, session_record
from chat.room.ending import RECONNECTING, Ending, ending_of

TAKEOVER_SECONDS = 10  # for the earlier connection of a resumed session to end, which takes milliseconds


class NameTaken(Exception):
    """Somebody has the name, or one that looks the same."""


class Member(Listener):
    """Somebody in the room, at this server. The log decides on the name: `presence` is its view of them."""

    __slots__ = ("account", "admin", "correspondent", "handed_over", "muted", "presence", "secret")

    def __init__(
        self,
        presence: Presence,
        connection: socket.socket,
        token: str = "",
        *,
        tcp: socket.socket | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(connection, token, tcp=tcp, interrupt=interrupt)
        self.presence = presence
        # Who sent the last private message: their name at the time, their presence (None for the host), and
        # the token of their session. Not the member: with it, all that it holds would outlive its connection.
        self.correspondent: tuple[str, Presence | None, str] = ("", None, "")
        self.admin = False
        self.muted = False
        self.account: object = None  # of the name, if they have proved ownership
        self.secret = ""  # what they said to prove the next name
        self.handed_over = False  # they were sent what was kept for them, and have not answered yet

    @property
    def name(self) -> str:
        """The current name, as in records."""
        return self.presence.name

    @property
    def address(self) -> str:
        """As in records."""
        return self.presence.address

    @property
    def since(self) -> str:
        """The time of the join record."""
        return self.presence.since


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a session was cut off: after the record that ends at `offset` and has this time."""

    token: str
    offset: int
    time: str


@dataclass(frozen=True, slots=True)
class Start:
    """Where a member starts to listen; `exact` if nothing is missed or repeated."""

    file: HistoryFile
    offset: int
    exact: bool = True


@dataclass(slots=True, eq=False)
class _Claim:
    """The lock of those who want to take over one session; the one that is joining holds it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class Room:
    """The members, and the broadcaster of what they say. Thread-safe."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._broadcaster = Broadcaster(log, self._take_foreign)
        self._lock = threading.Lock()  # guards the next three
        self._members: dict[str, Member] = {}  # by the id of their presence
        self._sessions: dict[str, Member] = {}  # by token
        self._claims: dict[str, _Claim] = {}  # by token
        self._servers = log.servers  # as announced to the members
        self.foreign: Callable[[Entry], None] = lambda entry: None  # acts on what other servers share
        # The broadcaster's operations are available as the room's.
        self.run = self._broadcaster.run
        self.answer = self._broadcaster.answer
        self.send_direct = self._broadcaster.send_direct
        self.wait_not_full = self._broadcaster.wait_not_full
        self.subscribe = self._broadcaster.subscribe
        self.flush = self._broadcaster.flush
        self.end = self._broadcaster.end
        self.stop = self._broadcaster.stop

    def now(self) -> str:
        """The time that a record written now would get."""
        return self.log.now()

    @property
    def history_path(self) -> Path:
        """The history file."""
        return self.log.history.path

    # ----- coming and going

    def presence(self, name: str, address: str, token: str = "") -> Presence:
        """A presence that may join under this name."""
        return Presence(secrets.token_urlsafe(9), name, address, session=_session(token))

    def start(self, resume: Resume | None, replay: Callable[[HistoryFile], int]) -> Start:
        """R41: where to start: exactly where the session was cut off, or as `replay` says."""
        file = self.log.history.file
        if resume and _was_at(file, resume):
            return Start(file, resume.offset)
        return Start(file, replay(file), exact=resume is None)

    def join(
        self, member: Member, start: Start, first: bytes = b"", waits: Callable[[], None] | None = None
    ) -> None:
        """R22: let the member in. It gets the direct records `first`, then the file from `start` on.

        `waits` is called, as in `commit`, if the log lets nobody in for a while.

        Raises NameTaken, Refused, Closed.
        """
        if member.token:
            session = session_record(member.token, start.offset, start.file.end)
            first = record.stamp(self.now(), session + self._servers_record()) + first
        member.seek(start.file, start.offset, first)
        with self._lock:
            self._members[member.presence.id] = member
            if member.token:
                self._sessions[member.token] = member
        try:
            self._commit(entries.join(member.presence), member, waits)
        except (NameTaken, Refused, Closed):
            self._forget(member)
            raise

    def rename(self, member: Member, name: str) -> None:
        """Give the member another name. Raises NameTaken, Refused, Closed."""
        self._commit(entries.rename(member.presence, name), member)

    def leave(self, member: Member, ending: Ending) -> None:
        """Take the member out, and return when its connection may be closed.

        If it hears the rest, it first gets everything up to its own leave, however long that takes.
        """
        try:
            self.begin_leave(member, ending)
        except Closed:
            self._broadcaster.wait_finished()
            return
        member.gone.wait()

    def begin_leave(self, member: Member, ending: Ending) -> None:
        """`leave`, without waiting: its connection may be closed once `member.gone` is set. Raises Closed."""
        reason = self._broadcaster.decide_ending(member, ending).reason
        if member.detach_at is None:  # else another server has proposed it
            self._broadcaster.propose(entries.leave(member.presence, reason), member)
        self._forget(member)

    @contextlib.contextmanager
    def claimed(self, token: str) -> Iterator[None]:
        """One connection at a time takes over a session and joins under its token. Raises TimeoutError."""
        with self._lock:
            claim = self._claims.setdefault(token, _Claim())
            claim.users += 1
        try:
            if not claim.lock.acquire(timeout=TAKEOVER_SECONDS):
                raise TimeoutError
            try:
                yield
            finally:
                claim.lock.release()
        finally:
            with self._lock:
                claim.users -= 1
                if not claim.users:
                    del self._claims[token]

    def take_over(self, token: str, waits: Callable[[], None] | None = None) -> bool:
        """R40: end the session's earlier connection; what it sent is then committed, or dropped for good.

        Returns whether the token was known, be it from before a restart. Raises TimeoutError, Closed.
        """
        with self._lock:
            member = self._sessions.get(token)
        if self.log.servers:  # R46: it may be at another of them
            self._broadcaster.commit(TakeOver(b"", _session(token)), waits=waits)
        elif member is None:
            self.flush()  # the connection may have ended just now, with its last lines still pending
        if member is None:
            return bool(self.log.sessions and self.log.sessions.remembers(_session(token)))
        self.end(member, RECONNECTING)
        if not member.gone.wait(TAKEOVER_SECONDS):
            raise TimeoutError
        return True

    def seconds_held(self, name: str, token: str) -> int:
        """R16: for how long the name is still held for another session than the token's; 0 if it isn't."""
        return self.log.sessions.held(name, _session(token)) if self.log.sessions else 0

    def say(self, author: Listener | None, drafts: bytes) -> None:
        """Commit records and so send them to everybody. Waits while too much is pending. Raises Closed."""
        self._broadcaster.say(author, drafts, author.presence.id if isinstance(author, Member) else "")

    def say_and_wait(self, drafts: bytes) -> str:
        """Commit records of somebody who is not in the room, wait for it, and return their time.

        Raises Refused, Closed.
        """
        return self._broadcaster.commit(Append(drafts))

    # ----- who is here

    def find(self, name: str) -> Member | None:
        """The member with this name, whatever the case."""
        presence = self.log.roster.find(name)
        with self._lock:
            return self._members.get(presence.id) if presence else None

    def members(self) -> list[Member]:
        """Who is here, in the order of joining."""
        here = self.log.roster.all()
        with self._lock:
            return [self._members[presence.id] for presence in here if presence.id in self._members]

    # ----- the history

    def clear(self, address: str, name: str, author: Listener | None) -> None:
        """Start a new history on behalf of the author, who gets a `/error` if that fails. Raises Closed."""
        self._broadcaster.propose(entries.clear(address, name), author)

    def elsewhere(self, name: str) -> Presence | None:
        """Whoever has this name at another server, whatever the case."""
        presence = self.log.roster.find(name)
        with self._lock:
            return presence if presence and presence.id not in self._members else None

    def send_elsewhere(self, presence: Presence, drafts: bytes) -> None:
        """Send direct records to somebody at another server. Raises Refused, Closed."""
        self._broadcaster.commit(Direct(drafts, presence.id))

    def expel(self, presence: Presence, ending: Ending) -> None:
        """Have somebody leave another server. Raises Closed."""
        self._broadcaster.propose(entries.leave(presence, ending.reason))

    def change(self, table: str, key: str, value: str) -> None:
        """Share a value with all servers; "" takes it back. Raises Closed."""
        self._broadcaster.propose(Change(b"", table, key, value))

    # ----- what other servers have proposed; in the broadcaster's thread

    def _take_foreign(self, result: Result) -> None:
        """Act on a result that was proposed by another server."""
        entry = result.entry
        if isinstance(entry, Leave):
            with self._lock:
                member = self._members.get(entry.presence.id)
            if member:
                self._broadcaster.release(member, ending_of(entry.reason), result.end)
        elif isinstance(entry, Change | Join | Rename) and not result.why_not:
            self.foreign(entry)
        elif isinstance(entry, Direct) and not result.why_not:
            self._take_direct(entry)
        if self.log.servers != self._servers:
            self._servers = self.log.servers
            with self._lock:
                told = [member for member in self._members.values() if member.token and self._servers]
            for member in told:
                self._broadcaster.queue_direct(member, self._servers_record())

    def _take_direct(self, entry: Direct) -> None:
        with self._lock:
            member = self._members.get(entry.recipient)
        if member:
            self._broadcaster.queue_direct(member, entry.drafts)
            self.foreign(entry)

    def _servers_record(self) -> bytes:
        """The draft of the `/servers` record (R45); empty if this server has no others."""
        servers = " ".join(self.log.servers)
        return record.draft(record.NOBODY, "server", "/servers", servers) if servers else b""

    # ----- parts

    def _commit(self, entry: entries.Entry, member: Member, waits: Callable[[], None] | None = None) -> None:
        try:
            self._broadcaster.commit(entry, member, waits)
        except Refused as refused:
            if str(refused) == NAME_TAKEN:
                raise NameTaken from None
            raise

    def _forget(self, member: Member) -> None:
        with self._lock:
            self._members.pop(member.presence.id, None)
            if self._sessions.get(member.token) is member:
                del self._sessions[member.token]


def _session(token: str) -> str:
    """The name of a session in the log, which must not reveal its token."""
    return hashlib.sha256(token.encode()).hexdigest()[:32] if token else ""


def _was_at(file: HistoryFile, resume: Resume) -> bool:
    """R41: whether the client really was there: the record that ends at its offset has its time."""
    last_seen = file.record_before(resume.offset)
    return last_seen is not None and last_seen.time == resume.time
