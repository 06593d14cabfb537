"""The room: who is here. What they say goes through the broadcaster, which the room is."""

from __future__ import annotations

import socket
import threading

from chat import record
from chat.broadcaster import Awaited, Broadcaster, Cleared, Closed, Joined, Left, NotStored
from chat.delivery import Listener
from chat.history import History, HistoryFile

TAKEOVER_SECONDS = 10  # for the earlier connection of a resumed session to end; it takes milliseconds


class NameTaken(Exception):
    """Somebody has the name, or one that looks the same."""


class Member(Listener):
    """Somebody in the room. `Room._naming` guards the name."""

    __slots__ = ("address", "admin", "away", "correspondent", "joined", "kicked", "muted", "name")

    def __init__(
        self, connection: socket.socket, address: str, name: str, token: str, ending: threading.Event
    ) -> None:
        super().__init__(connection, token, ending)
        self.address = address
        self.name = name
        self.joined = ""  # the time of its join record
        self.away: str | None = None
        # Who sent the last private message: the name then, and the member, None for the host.
        self.correspondent: tuple[str, Member | None] = ("", None)
        self.admin = False
        self.muted = False
        self.kicked = False  # nothing more that it sent is to be heard


class Room(Broadcaster):
    """The members, and the broadcaster of what they say.

    A join and a rename are in the history before they are so, for everybody.
    """

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._naming = threading.Lock()  # guards the next two
        self._members: dict[str, Member] = {}  # by record.name_key; while it is renamed a member has two
        self._sessions: dict[str, Member] = {}  # by token

    def join(self, member: Member, file: HistoryFile, offset: int, first: bytes = b"") -> None:
        """Let the member in, to hear the direct records `first` and then what is in the file from offset on.

        Raises NameTaken, NotStored, Closed.
        """
        member.hear_from(file, offset, first)
        self._claim(member.name, member)
        if member.token:
            with self._naming:
                self._sessions[member.token] = member
        joined = record.draft(member.address, member.name, "join")
        try:
            member.joined = self._await(Joined(member, joined, member))
        except (NotStored, Closed):
            self._forget(member)
            raise

    def rename(self, member: Member, name: str) -> None:
        """Give the member another name. Raises NameTaken, NotStored, Closed."""
        self._claim(name, member)
        old, surplus = member.name, name
        try:
            self._await(Awaited(member, record.draft(member.address, old, "rename", name)))
            surplus = old
        finally:
            with self._naming:
                member.name = name if surplus is old else old
                if record.name_key(surplus) != record.name_key(member.name):
                    del self._members[record.name_key(surplus)]

    def leave(self, member: Member, why: str, *, at_once: bool = False) -> None:
        """Take the member out, and return when its connection may be closed.

        It still gets everything up to its own leaving, however long it takes, unless `at_once`.
        """
        left = record.draft(member.address, member.name, "leave", why)
        try:
            self._do(Left(member, left, member, at_once))
        except Closed:
            self._ended.wait()
            return
        self._forget(member)
        member.gone.wait()

    def find(self, name: str) -> Member | None:
        """Who has this name, in whatever case."""
        with self._naming:
            return self._members.get(record.name_key(name))

    def members(self) -> list[Member]:
        """Who is here, in the order of coming."""
        with self._naming:
            here = dict.fromkeys(member for member in self._members.values() if member.joined)
        return sorted(here, key=lambda member: member.joined)

    def end_session(self, token: str) -> bool:
        """End the connection that the session has now, if it has one: what it sent is in the file then.

        Whether the token was known. Raises TimeoutError, Closed.
        """
        with self._naming:
            member = self._sessions.get(token)
        if member is None:
            self.settle()  # the connection may have ended a moment ago, with its last lines still pending
            return False
        self._end(member, "reconnecting")
        if not member.gone.wait(TAKEOVER_SECONDS):
            raise TimeoutError
        return True

    def kick(self, member: Member, why: str) -> None:
        """End the member's connection; nothing more that it sent is heard."""
        member.kicked = True
        self._end(member, why)

    def clear(self, address: str, name: str, author: Listener | None) -> None:
        """Begin a new history, at the word of somebody with this address and name.

        A failure is told to the author. Raises Closed.
        """
        self._do(Cleared(author, address, name))

    def _claim(self, name: str, member: Member) -> None:
        """Let the member have the name. Raises NameTaken."""
        key = record.name_key(name)
        with self._naming:
            holder = self._members.get(key, member)
            if key in record.RESERVED_NAMES or not (holder is member or holder.gone.is_set()):
                raise NameTaken
            self._members[key] = member

    def _forget(self, member: Member) -> None:
        key = record.name_key(member.name)
        with self._naming:
            if self._members.get(key) is member:  # else somebody has the name already
                del self._members[key]
            if self._sessions.get(member.token) is member:
                del self._sessions[member.token]
