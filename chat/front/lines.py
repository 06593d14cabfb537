"""The driver of a line connection: reads, feeds the login and the session, and performs their requests.

It runs in the client's handler thread. During the login it also writes; after that the room's broadcaster
does.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import sys
import threading
import time
from collections.abc import Callable

from chat import record
from chat.front.login import LOGIN_SECONDS, Login
from chat.front.session import Lines, Session
from chat.log.entries import Presence
from chat.room.broadcaster import Closed
from chat.room.delivery import DONT_WAIT
from chat.room.ending import CLOSED, EXIT, LOST, SERVER_STOPPED, Ending
from chat.room.room import Member
from chat.service import admission, commands, ownership
from chat.service.budget import JOIN_WORK
from chat.service.policy import CommandError, Disconnect, MemberCaller, answer, error
from chat.service.requests import Join, LoginRequest, Password, Quit, Refuse, TurnAway
from chat.service.service import Service

# Received at once: little from somebody who types, so that Python's own allocator serves it and not the C
# library's, whose heaps fragment; much if that was filled. More than this is no faster.
FEW_BYTES = 448
MANY_BYTES = 16 * 1024
HANG_UP_BYTES = (
    1024 * 1024
)  # of input to discard meanwhile; a client that sends more is not waiting for an answer
LOOK_UP_SECONDS = 0.2  # on Windows, where ending the reading of a socket does not end a wait for it
ARRIVAL_SECONDS = 0.02  # between two looks whether the last of it has arrived
HANG_UP_SECONDS = 2  # for a client to read the last records before the connection is closed

LET_IN_LATER = "Nobody can be let in at the moment; wait, and you will be as soon as that is possible."
NEVER_ENDED = threading.Event()  # nobody ends a connection that is not in the room yet

log = logging.getLogger("chat.front.lines")


class LineConnection:
    """One connection, from the greeting to its end. `run` is all of it.

    The login must end at the time.monotonic() `login_until`. `first` has been read already. `tcp` is the
    client's socket, if `connection` only stands for it.
    """

    def __init__(
        self,
        connection: socket.socket,
        address: str,
        service: Service,
        login_until: float,
        first: bytes = b"",
        tcp: socket.socket | None = None,
    ) -> None:
        self._connection = connection
        self._tcp = tcp or connection
        self._address = address
        self._service = service
        self._room = service.room
        self._lines = Lines()
        self._lines.feed(first)
        self._first = first
        self._account = service.budget.open(address)
        self._account.charge(received=len(first))
        self._receive_bytes = FEW_BYTES
        self._login_until = login_until
        # In one end of a socket pair, Linux wakes whoever waits in recv each time when the other end takes
        # what was sent: with TLS that is each delivery. Whoever waits in poll is woken by what arrives.
        self._poll: Callable[[], object] | None = None
        if sys.platform != "win32" and connection.family == socket.AF_UNIX:
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            self._poll = poll.poll

    def run(self) -> None:
        """Serve the client until it leaves or is lost. After that the connection may be closed."""
        member = None
        try:
            member = self._run()
        finally:
            self._account.close()
        if hang_up(self._connection) and member:
            self._confirm(member)

    def _run(self) -> Member | None:
        """Returns the member that has left, if it has heard everything."""
        member = None
        with contextlib.suppress(OSError, Closed, Disconnect):  # it left before it had joined
            member = self._log_in()
        if member:
            ending = LOST
            try:
                ending = self._converse(member)
            finally:
                self._room.leave(member, ending)
                ending = member.ending or ending
                log.info("%s (%s) left: %s", member.name, member.address, ending.reason)
            if ending.hears_rest:
                return member
        return None

    def _confirm(self, member: Member) -> None:
        """The client has closed: it has what was handed over, once that has arrived."""
        until = time.monotonic() + HANG_UP_SECONDS
        while member.handed_over and time.monotonic() < until:
            ownership.heard_from(self._service, member)
            if member.handed_over:
                NEVER_ENDED.wait(ARRIVAL_SECONDS)

    # ------------------------------------------------------------------------------------------ login

    def _log_in(self) -> Member | None:
        """Log the client in. Returns the member; None if it gave up or was refused.

        Raises OSError if the connection is lost, Closed if the room is closed.
        """
        login = Login(self._lines, admitted=not self._service.policy.password)
        self._send("/hello", login.greeting(self._room.history_path.name, self._first))
        while True:
            try:
                if member := self._perform_login(login, self._next_login_request(login)):
                    return member
            except CommandError as failure:
                self._send("/error", str(failure))
            except Disconnect as disconnect:
                if disconnect.sentence:
                    self._send("/error", disconnect.sentence)
                return None
            except TimeoutError:
                why = f"No name came within {LOGIN_SECONDS} seconds; connect again when you have one."
                self._send("/error", why)
                return None

    def _next_login_request(self, login: Login) -> LoginRequest:
        """Raises OSError, and TimeoutError once the time for the login is over."""
        while True:
            if request := login.next():
                self._account.charge(lines=1, work=JOIN_WORK * isinstance(request, Join))
            remaining = self._login_until - time.monotonic()
            if remaining <= 0 or not self._account.wait(NEVER_ENDED, remaining):
                raise TimeoutError
            if request:
                return request
            received = self._receive_within(max(0.001, self._login_until - time.monotonic()))
            if not received:
                return Quit()
            self._account.charge(received=len(received))
            login.feed(received)

    def _perform_login(self, login: Login, request: LoginRequest) -> Member | None:
        """The member, once the client has joined. Raises CommandError, Disconnect, Closed."""
        if isinstance(request, Quit):
            raise Disconnect(EXIT)
        if isinstance(request, TurnAway):
            raise Disconnect(EXIT, request.sentence)
        if isinstance(request, Refuse):  # R18
            raise CommandError(request.sentence)
        if isinstance(request, Password):
            admission.check_password(self._service, self._address, request.secret, NEVER_ENDED)
            login.admitted = True
        elif isinstance(request, Join):
            if not DONT_WAIT:
                self._connection.settimeout(0)
            return admission.admit(
                self._service, request, self._address, self._account, self._member, self._tell_that_it_waits
            )
        return None

    def _tell_that_it_waits(self) -> None:
        """R47. In the broadcaster's thread, while the handler waits and nobody else sends."""
        with contextlib.suppress(OSError):  # it has gone, or reads nothing
            self._send("/note", LET_IN_LATER)

    def _member(self, presence: Presence, token: str) -> Member:
        return Member(presence, self._connection, token, tcp=self._tcp)

    def _receive_within(self, seconds: float) -> bytes:
        """Receive within the time; empty at the end of the stream. Raises TimeoutError, OSError."""
        if DONT_WAIT:  # a program has sent its login by now, and in a crowd each system call counts
            with contextlib.suppress(BlockingIOError):
                return self._connection.recv(MANY_BYTES, DONT_WAIT)
        self._connection.settimeout(seconds)
        try:
            return self._connection.recv(MANY_BYTES)
        finally:
            if DONT_WAIT:  # a socket with a timeout waits in Python, whatever the flags of a call say
                self._connection.settimeout(None)

    def _send(self, kind: str, text: str) -> None:
        """Send a direct record during the login; after it the broadcaster sends.

        Raises OSError, also if the client has not read the little that a login can send.
        """
        direct = record.stamp(self._room.now(), answer(kind, text))
        if self._connection.send(direct, DONT_WAIT) < len(direct):
            raise BlockingIOError  # it has half a record: nothing more may follow

    # ----------------------------------------------------------------------------------- conversation

    def _converse(self, member: Member) -> Ending:
        """Perform what the client sends until it leaves; how it ends."""
        caller = MemberCaller(member, self._account)
        try:
            self._take_requests(caller)
        except Disconnect as disconnect:
            if disconnect.sentence:
                with contextlib.suppress(Closed):
                    self._room.answer(member, error(disconnect.sentence))
            return disconnect.ending
        except Closed:
            return SERVER_STOPPED
        except OSError:
            return LOST
        return CLOSED

    def _take_requests(self, caller: MemberCaller) -> None:
        """Perform requests up to the end of the stream, or for as long as they count.

        Raises Disconnect, Closed, OSError.
        """
        member = caller.member
        session = Session(self._lines)
        while True:
            request = session.next(many=not self._account.limited)
            if request:
                self._account.charge(lines=1, work=commands.work_of(request))
            if not self._account.wait(member.ended):  # R33
                return
            if request is None:
                received = self._receive(member)
                ownership.heard_from(self._service, member)
                if not received:
                    return
                self._account.charge(received=len(received))
                session.feed(received)
                continue
            self._room.wait_not_full(member)
            if member.ending and not member.ending.input_counts:
                return
            for drafts in commands.perform(self._service, caller, request):
                self._room.answer(member, drafts)
                self._room.wait_not_full(member)
                if member.ending:
                    break  # nobody is waiting for the rest of the answer

    def _receive(self, member: Member) -> bytes:
        """Wait and receive; empty at the end of the stream. Raises OSError."""
        if not DONT_WAIT:  # the socket itself is non-blocking then, for the broadcaster
            while not select.select([self._connection], [], [], LOOK_UP_SECONDS)[0]:
                if member.ended.is_set():
                    return b""
        if self._poll:
            self._poll()
        received = self._connection.recv(self._receive_bytes)
        self._receive_bytes = MANY_BYTES if len(received) == self._receive_bytes else FEW_BYTES
        return received


def turn_away(connection: socket.socket, now: str, sentence: str) -> None:
    """Say why, and hang up."""
    with contextlib.suppress(OSError):  # it has gone already
        connection.send(record.stamp(now, error(sentence)), DONT_WAIT)
    hang_up(connection)


def hang_up(connection: socket.socket) -> bool:
    """Wait a moment for the peer to close: closing with unread input would cut off the last records.

    Returns whether it has closed in order.
    """
    try:
        connection.shutdown(socket.SHUT_WR)
        until, bytes_left = time.monotonic() + HANG_UP_SECONDS, HANG_UP_BYTES
        while (remaining := until - time.monotonic()) > 0 and bytes_left > 0:
            connection.settimeout(remaining)
            received = connection.recv(MANY_BYTES)
            if not received:
                return True
            bytes_left -= len(received)
    except OSError:
        pass  # it has closed already
    return False
