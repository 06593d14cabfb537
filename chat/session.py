"""One client's conversation: the login, then lines in and records out.

A session runs in its client's handler thread. It reads; until the login is done it also writes, after that
the room's broadcaster does. What the lines mean is in docs/protocol.md.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import select
import socket
import threading
import time
from dataclasses import dataclass

from chat import commands, moderation, record
from chat.bans import Ban
from chat.broadcaster import Closed, NotStored
from chat.delivery import DONT_WAIT, session_record
from chat.history import HistoryFile
from chat.house import CommandError, Expelled, House, Leave
from chat.record import BadName
from chat.room import Member, NameTaken

# For a person to think of a name, and too short to hold many connections open with nothing.
LOGIN_SECONDS = 30
LINE_BYTES = record.TEXT_BYTES + 128  # a full text, behind a command and a name
# What is received at once: little from somebody who types, so that Python's own allocator has room for it and
# not the C library's, whose heaps fragment; much where that was all filled. More than this is no faster.
FEW_BYTES = 448
MANY_BYTES = 16 * 1024
BURST = 50  # lines that may come at once before the rate holds: a paste
HANG_UP_SECONDS = 2  # for a client to take the last words before the connection is closed

log = logging.getLogger("chat.session")


class LineTooLong(Exception):
    """A line was longer than LINE_BYTES; it is skipped."""


class Lines:
    """Received bytes as lines. What is held of an unfinished line is at most LINE_BYTES."""

    def __init__(self) -> None:
        self._buffer = b""
        self._taken = 0  # how much of the buffer has been handed out
        self._skipping = False  # what comes up to the next LF is the rest of a line that is too long

    def feed(self, received: bytes) -> None:
        """Add what came."""
        if self._skipping:
            _, end, received = received.partition(b"\n")
            self._skipping = not end
        self._buffer = self._buffer[self._taken :] + received
        self._taken = 0

    def plain_messages(self) -> bytes:
        """Take all the lines in front that are messages and clean already; each ends in LF."""
        run = record.PLAIN_MESSAGES.match(self._buffer, self._taken)
        if run is None:
            return b""
        self._taken = run.end()
        return run.group()

    def next(self) -> bytes | None:
        """Take the next line, without its LF; None until more has come. Raises LineTooLong, once a line."""
        end = self._buffer.find(b"\n", self._taken)
        finished = end >= 0
        start, stop = self._taken, end if finished else len(self._buffer)
        if stop - start > LINE_BYTES:
            self._taken, self._skipping = stop + finished, not finished
            raise LineTooLong
        if not finished:
            return None
        self._taken = end + 1
        return self._buffer[start:end]


class Pace:
    """A token bucket: `rate` lines a second after a burst of BURST; a rate of 0 never waits."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._tokens = float(BURST)
        self._counted = time.monotonic()

    def wait(self, ending: threading.Event) -> None:
        """Take a token; sleep until there is one, or the connection is ending."""
        if not self.rate:
            return
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._counted) * self.rate) - 1
        self._counted = now
        if self._tokens < 0:
            ending.wait(-self._tokens / self.rate)


@dataclass(frozen=True)
class Resume:
    """Where a session was cut off: behind the record that ends at `offset` and has this time."""

    token: str
    offset: int
    time: str


@dataclass(frozen=True)
class Guest:
    """A member as one who gives commands."""

    house: House
    member: Member
    slash = "/"

    @property
    def listener(self) -> Member:
        return self.member

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def address(self) -> str:
        return self.member.address

    @property
    def admin(self) -> bool:
        return self.member.admin

    def answer(self, drafts: bytes) -> None:
        self.house.room.answer(self.member, drafts)


class Session:
    """One connection, from the greeting to its end. `run` is all of it."""

    def __init__(self, connection: socket.socket, address: str, house: House) -> None:
        self._connection = connection
        self._address = address
        self._house = house
        self._room = house.room
        self._lines = Lines()
        self._pace = Pace(house.rules.rate)
        self._receive_bytes = FEW_BYTES
        self._login_until = 0.0
        self._ending = threading.Event()  # of the connection: the server wants it to end
        self._admitted = not house.rules.password
        self._replay: int | None = commands.HISTORY_RECORDS  # how many records to show, None = all
        self._wants_session = False
        self._resume: Resume | None = None

    def run(self) -> None:
        """Talk with the client until it leaves or is lost. The connection may be closed then."""
        member = None
        with contextlib.suppress(OSError, Closed, Leave):  # it has gone before it was in
            member = self._log_in()
        if member:
            why, at_once = "connection lost", True
            try:
                why, at_once = self._converse(member)
            finally:
                self._room.leave(member, why, at_once=at_once)
                log.info("%s (%s) left: %s", member.name, member.address, why)
        hang_up(self._connection)

    # ------------------------------------------------------------------------------------------ login

    def _log_in(self) -> Member | None:
        """The member that the client has become; None where it gave up or was turned away.

        Raises OSError where the connection is lost, Leave where the client leaves, Closed when the room does.
        """
        self._login_until = time.monotonic() + LOGIN_SECONDS
        self._send("/hello", self._greeting())
        while True:
            try:
                line = self._login_line()
                if line is None:
                    return None
                text = record.clean(line)
                if not text.startswith("/"):
                    return self._join(text)
                self._login_option(text)
            except LineTooLong:
                self._send("/error", "That line is too long for a name; send a name.")
            except CommandError as failure:
                self._send("/error", str(failure))
            except Expelled as expelled:
                self._send("/error", str(expelled))
                return None
            except TimeoutError:
                self._send(
                    "/error", f"No name came within {LOGIN_SECONDS} seconds; connect again when you have one."
                )
                return None

    def _greeting(self) -> str:
        password = "" if self._admitted else "This room has a password: send /password SECRET first. "
        return (
            f"Welcome. {password}Send your name, then every line is a message; "
            "/help lists the commands, exit leaves. "
            f"What is said is kept in {self._room.history.path.name} on the host's computer."
        )

    def _login_line(self) -> bytes | None:
        """The next line; None at the end of the stream. Raises TimeoutError, LineTooLong, OSError."""
        while True:
            remaining = self._login_until - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            line = self._lines.next()
            if line is not None:
                self._pace.wait(self._ending)
                return line
            received = self._receive_within(remaining)
            if not received:
                return None
            self._lines.feed(received)

    def _receive_within(self, seconds: float) -> bytes:
        """What has come, and else what comes within the time. Raises TimeoutError, OSError."""
        if DONT_WAIT:  # a program has sent its login by now, and with a crowd each system call counts
            with contextlib.suppress(BlockingIOError):
                return self._connection.recv(MANY_BYTES, DONT_WAIT)
        self._connection.settimeout(seconds)
        try:
            return self._connection.recv(MANY_BYTES)
        finally:
            if DONT_WAIT:  # with a timeout Python waits so long, whatever the call says
                self._connection.settimeout(None)

    def _login_option(self, text: str) -> None:
        """A slash line before the name. Raises CommandError."""
        word, _, argument = text.partition(" ")
        argument = argument.strip(" ")
        if word == "/password":
            self._check_password(argument)
        elif word == "/replay":
            self._replay = _replay_count(argument)
        elif word == "/session":
            self._wants_session = True
            self._resume = _resume(argument) if argument else None
        elif word in ("/exit", "/quit"):
            raise Leave
        else:
            raise CommandError(
                "Before your name only /password, /replay and /session are understood; send a name to join."
            )

    def _check_password(self, password: str) -> None:
        if self._house.rules.password:
            self._house.wrong_tries.check(self._address, password, self._house.rules.password, self._ending)
        self._admitted = True

    def _join(self, text: str) -> Member:
        """Join under the name. Raises CommandError, Leave, Closed."""
        if text.strip(" ") == "exit":
            raise Leave
        if text.strip(" ") in commands.BARE_WORDS:
            raise CommandError("That is a command, and you are not in the room yet; send a name to join.")
        try:
            name = record.clean_name(text)
        except BadName as bad:
            raise CommandError(str(bad)) from None
        if not self._admitted:
            raise CommandError("This room has a password: send /password SECRET, then your name.")
        if ban := self._ban(name):
            raise CommandError(moderation.refusal(ban))
        member = Member(self._connection, self._address, name, self._session_token(), self._ending)
        member.muted = not self._house.muted.isdisjoint((record.name_key(name), member.token))
        file, offset, first = self._beginning(member.token)
        if not DONT_WAIT:
            self._connection.settimeout(0)
        try:
            self._room.join(member, file, offset, first)
        except NameTaken:
            raise CommandError(f"The name {name} is taken; send another.") from None
        except NotStored as failure:
            raise CommandError(str(failure)) from None
        if self._ban(name):  # one that came while the login went on
            self._room.kick(member, moderation.BANNED)
        log.info("%s (%s) joined", name, self._address)
        return member

    def _ban(self, name: str) -> Ban | None:
        """The ban that keeps this client out, if there is one."""
        return self._house.bans.of_address(self._address) or self._house.bans.of_name(name)

    def _session_token(self) -> str:
        """A token where a session was asked for; what its earlier connection sent is in the history then."""
        if self._resume:
            try:
                if self._room.end_session(self._resume.token):
                    return self._resume.token
            except TimeoutError:
                raise CommandError(
                    "Your earlier connection has not ended yet; send your name again."
                ) from None
        return secrets.token_urlsafe(16) if self._wants_session else ""

    def _beginning(self, token: str) -> tuple[HistoryFile, int, bytes]:
        """Where in the history the client begins to hear, and the direct records that come before that."""
        file = self._room.history.file
        first = b""
        if self._resume and _is_there(file, self._resume):
            offset = self._resume.offset
        else:
            offset = 0 if self._replay is None else file.start_of_last(self._replay)
            if self._resume:
                first = error(
                    "Where you left off is not in the history now (cleared or changed); this is its end."
                )
        if token:
            first = session_record(token, offset, file.end) + first
        return file, offset, record.stamp(self._room.history.now(), first) if first else b""

    def _send(self, kind: str, text: str) -> None:
        """Send a direct record before the login is done; after it the broadcaster sends.

        Raises OSError; also for a client that has not read what a login can bring, which is little.
        """
        direct = record.stamp(self._room.history.now(), record.draft(record.NOBODY, "server", kind, text))
        if self._connection.send(direct, DONT_WAIT) < len(direct):
            raise BlockingIOError  # it has half a record: nothing more may come

    # ----------------------------------------------------------------------------------- conversation

    def _converse(self, member: Member) -> tuple[str, bool]:
        """Take lines until the client leaves: (why it left, whether nobody hears the last records)."""
        guest = Guest(self._house, member)
        try:
            while True:
                self._take_lines(guest)
                received = self._receive()
                if not received:
                    break
                self._lines.feed(received)
        except Leave:
            return "exit", False
        except Expelled as expelled:
            with contextlib.suppress(Closed):
                guest.answer(error(str(expelled)))
            return "expelled", False
        except Closed:
            return "the server stopped", False
        except OSError:
            return "connection lost", True
        return member.ended or "connection closed", bool(member.ended) and not member.kicked

    def _receive(self) -> bytes:
        """What has come; empty at the end of the stream. Waits. Raises OSError."""
        if not DONT_WAIT:  # the socket itself doesn't wait then, for the broadcaster's sake
            select.select([self._connection], [], [])
        received = self._connection.recv(self._receive_bytes)
        self._receive_bytes = MANY_BYTES if len(received) == self._receive_bytes else FEW_BYTES
        return received

    def _take_lines(self, guest: Guest) -> None:
        """Handle the lines that have come, in order. Raises Leave, Expelled, Closed."""
        member = guest.member
        while True:
            if member.kicked:
                return
            if member.ended:
                self._pace.rate = 0  # somebody may wait for the last lines of this connection
            if not self._pace.rate and not member.muted and (plain := self._lines.plain_messages()):
                self._room.say(member, record.draft_messages(member.address, member.name, plain))
            try:
                line = self._lines.next()
                if line is None:
                    return
                self._pace.wait(self._ending)
                if member.kicked:
                    return
                self._take_line(guest, record.clean(line))
            except LineTooLong:
                self._pace.wait(self._ending)
                guest.answer(
                    error(f"Not sent: a text has {record.TEXT_BYTES} bytes at the most; send it in parts.")
                )
            except CommandError as failure:
                guest.answer(error(str(failure)))

    def _take_line(self, guest: Guest, text: str) -> None:
        """Raises CommandError, Leave, Expelled, Closed."""
        if not text:
            return
        name, argument = commands.understand(text)
        commands.run(self._house, guest, name, argument)


def hang_up(connection: socket.socket) -> None:
    """Wait a moment for the other end to close: closing with something unread cuts off the last words."""
    try:
        connection.shutdown(socket.SHUT_WR)
        until = time.monotonic() + HANG_UP_SECONDS
        while (remaining := until - time.monotonic()) > 0:
            connection.settimeout(remaining)
            if not connection.recv(MANY_BYTES):
                break
    except OSError:
        pass  # it has closed already


def error(why: str) -> bytes:
    """The draft of a `/error`."""
    return record.draft(record.NOBODY, "server", "/error", record.shorten(why))


def _replay_count(argument: str) -> int | None:
    if argument == "all":
        return None
    if argument.isascii() and argument.isdigit():
        return int(argument)
    raise CommandError("/replay takes a number of records, or all; send it again, or your name.")


def _resume(argument: str) -> Resume:
    fields = argument.split()
    if len(fields) == 3 and fields[1].isascii() and fields[1].isdigit():
        return Resume(fields[0], int(fields[1]), fields[2])
    raise CommandError("A session is resumed with /session TOKEN OFFSET TIME; send it again, or your name.")


def _is_there(file: HistoryFile, resume: Resume) -> bool:
    """Whether the client really was there: the record that ends at its offset has its time."""
    last_seen = file.record_before(resume.offset)
    return last_seen is not None and last_seen.time == resume.time
