"""The relay: one thread that moves the bytes of all TLS connections, both ways.

    client ==TCP, encrypted== relay ==socket pair, plain== handler (reads), broadcaster (writes)

So everything behind it has a plain socket to deal with, and whatever happens to a connection (a kick, a
takeover, the server's stop), what reaches the client goes through the encryption, or not at all.

It is one thread for all, not the handler of each: with 100 listeners every message would wake 100 threads,
which then wait for one another's turn in Python. Measured, a delivery took 36 to 60 microseconds of a
processor that way, and 7 to 9 this way (a plain one: 6).

Nothing is queued without a bound: of a connection whose client does not read, one piece is held, and no more
is taken from the pair, so that it fills, and the broadcaster passes the listener over, as it does for any
full socket. The same holds the other way round.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

from chat.room import liveness

PIECE_BYTES = 64 * 1024  # what is taken from either side at once
TURN_PIECES = 4  # from one connection, before the others have their turn
# That may wait for a client to read it: a piece, and what TLS itself has to answer. A client that asks for
# new keys without end, and reads nothing, would get beyond.
UNSENT_BYTES = 4 * PIECE_BYTES
LINGER_SECONDS = 30  # for a client to read the last of what was sent, once its handler is done with it
FAREWELL_SECONDS = 2  # and then for it to close its side
CHECK_SECONDS = 10.0  # between looks at whether the clients are still there
STOP_SECONDS = 5  # for everybody to get the last bytes when the server stops

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

log = logging.getLogger("chat.front.relay")


class Tls:
    """One side of a TLS connection over a socket that somebody else owns. It writes nothing in plain text."""

    def __init__(self, tcp: socket.socket, context: ssl.SSLContext, received: bytes = b"") -> None:
        self.tcp = tcp
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(received)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self, until: float) -> None:
        """Agree on keys, until this time.monotonic(). Waits for the client.

        Raises TimeoutError, OSError: ssl.SSLError where it speaks no TLS, or none that is good enough.
        """
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush(until)
                received = self.tcp.recv(PIECE_BYTES)
                if not received:
                    raise ConnectionResetError("it closed in the middle of the handshake") from None
                self._incoming.write(received)
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the alert that says why
                    self._flush(until)
                raise
        self._flush(until)

    def _flush(self, until: float) -> None:
        """Send what is to be sent, and set the time for what comes next."""
        remaining = until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self.tcp.settimeout(remaining)
        self.tcp.sendall(self._outgoing.read())

    def encrypt(self, data: bytes) -> bytes:
        """What is to be sent for these bytes. Raises ssl.SSLError."""
        written = self._tls.write(data)
        while written < len(data):  # a record takes 16 KiB
            written += self._tls.write(memoryview(data)[written:])
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> tuple[bytes, bool]:
        """What the client says with these bytes, and whether that is all it says. Raises ssl.SSLError."""
        self._incoming.write(received)
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(PIECE_BYTES)
            except ssl.SSLWantReadError:
                return b"".join(pieces), False
            if not piece:  # it has sent a close_notify
                return b"".join(pieces), True
            pieces.append(piece)

    def due(self) -> bytes:
        """What TLS itself has to send: an answer to new keys, an alert."""
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """What tells the client that nothing more comes, so that nobody can cut it short unnoticed."""
        with contextlib.suppress(ssl.SSLError):  # it wants to read the client's own, which need not come
            self._tls.unwrap()
        return self._outgoing.read()


class _Carried:
    """A connection on the relay. Everything but `gone` is the relay thread's own."""

    __slots__ = (
        "close_at",
        "deaf",
        "gone",
        "heard_all",
        "pair",
        "sent_all",
        "tls",
        "to_client",
        "to_room",
        "watched",
    )

    def __init__(self, tls: Tls, pair: socket.socket) -> None:
        self.tls = tls
        self.pair = pair  # the relay's end of it
        self.to_client = b""  # encrypted
        self.to_room = b""  # decrypted
        self.heard_all = False  # the client sends nothing more
        self.sent_all = (
            False  # nothing more comes for the client: the last of `to_client` is the close_notify
        )
        self.deaf = False  # nobody wants to hear the client any more
        self.close_at = 0.0  # time.monotonic() when it is closed, whatever the client does; 0: not yet known
        self.watched = {tls.tcp: 0, pair: 0}  # for which events the selector watches each socket
        self.gone = threading.Event()  # the relay touches its sockets no more


class Relay:
    """The thread, and the connections that it carries. It runs from `start` to `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._reader, self._waker = socket.socketpair()
        self._reader.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._reader, _READ)
        self._orders: collections.deque[tuple[Callable[[_Carried], None], _Carried]] = collections.deque()
        self._carried: set[_Carried] = set()
        self._closing: set[_Carried] = set()  # those that have a time to be closed at
        self._check_at = 0.0  # time.monotonic() when to look for clients that are out of reach
        self._stop_at = 0.0  # time.monotonic() when the thread ends in any case; 0: it goes on
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    # ----- for the others

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def stop(self) -> None:
        """Let everybody have the rest, close in order, and end the thread."""
        self._stop_at = time.monotonic() + STOP_SECONDS
        self._wake()
        self._thread.join()

    @contextlib.contextmanager
    def carry(self, tls: Tls) -> Iterator[socket.socket]:
        """The plain socket that stands for a connection, whose handshake is done.

        After the with statement the client has what was sent, or has had the time for it: its own socket is
        to be closed then.
        """
        inside, pair = socket.socketpair()
        pair.setblocking(False)
        tls.tcp.setblocking(False)
        carried = _Carried(tls, pair)
        self._order(self._begin, carried)
        try:
            yield inside
        finally:
            inside.close()
            if not carried.gone.wait(LINGER_SECONDS):
                self._order(self._drop, carried)
                carried.gone.wait()

    def _order(self, order: Callable[[_Carried], None], carried: _Carried) -> None:
        self._orders.append((order, carried))
        self._wake()
        if self._ended:
            carried.gone.set()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is about to wake already, or has ended
            self._waker.send(b"!")

    # ----- the thread

    def _run(self) -> None:
        """Ends when `stop` was called and everybody has the rest, or the time for that is over."""
        while not self._stop_at:
            if self._carried:
                self._turn(FAREWELL_SECONDS if self._closing else CHECK_SECONDS)
            else:
                self._turn(None)
        while self._carried and time.monotonic() < self._stop_at:
            for carried in list(self._carried):
                self._guarded(self._finish, carried)
            self._turn(0.05)
        self._ended = True
        for _, carried in self._orders:
            carried.gone.set()
        for carried in list(self._carried):
            self._drop(carried)
        self._selector.close()
        self._reader.close()
        self._waker.close()

    def _turn(self, seconds: float | None) -> None:
        """Move what can be moved; wait so long where nothing can."""
        for key, events in self._selector.select(seconds):
            carried: _Carried | None = key.data
            if carried is None:
                self._reader.recv(4096)
                continue
            inside = key.fileobj is carried.pair
            if events & (_READ if inside else _WRITE):
                self._guarded(self._to_client, carried)
            if events & (_WRITE if inside else _READ) and not carried.gone.is_set():
                self._guarded(self._to_room, carried)
        while self._orders:
            order, carried = self._orders.popleft()
            self._guarded(order, carried)
        now = time.monotonic()
        for carried in [each for each in self._closing if each.close_at <= now]:
            self._drop(carried)
        if now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            for carried in list(self._carried):
                self._guarded(self._check, carried)

    def _guarded(self, step: Callable[[_Carried], None], carried: _Carried) -> None:
        """Do a step. What goes wrong with one connection ends that one, and no other."""
        try:
            step(carried)
        except OSError as error:
            log.debug("a TLS connection ended: %s", error)
            with contextlib.suppress(OSError):
                carried.tls.tcp.send(carried.tls.due())
            self._drop(carried)
        except Exception:
            log.exception("a TLS connection failed")
            self._drop(carried)

    # ----- one connection

    def _begin(self, carried: _Carried) -> None:
        self._carried.add(carried)
        carried.to_room, carried.heard_all = carried.tls.decrypt(b"")  # what came with the handshake
        self._to_room(carried)

    def _to_client(self, carried: _Carried) -> None:
        tls = carried.tls
        for _ in range(TURN_PIECES):
            if not (carried.to_client or carried.sent_all or self._encrypt(carried)):
                break
            try:
                sent = tls.tcp.send(carried.to_client)
            except BlockingIOError:
                break
            carried.to_client = carried.to_client[sent:]
            if carried.sent_all and not carried.to_client:
                tls.tcp.shutdown(socket.SHUT_WR)
                self._close_within(carried, FAREWELL_SECONDS)
                break
        self._watch(carried)

    def _encrypt(self, carried: _Carried) -> bool:
        """Take a piece from the room, and encrypt it. Whether there was one, or its end."""
        try:
            piece = carried.pair.recv(PIECE_BYTES)
        except BlockingIOError:
            return False
        carried.to_client = carried.tls.encrypt(piece) if piece else self._farewell(carried)
        return True

    def _farewell(self, carried: _Carried) -> bytes:
        carried.sent_all = carried.deaf = True
        carried.to_room = b""
        return carried.tls.close_notify()

    def _to_room(self, carried: _Carried) -> None:
        for _ in range(TURN_PIECES):
            if carried.to_room and not self._pass_on(carried):
                break
            if carried.heard_all:
                self._end_of_input(carried)
                break
            try:
                received = carried.tls.tcp.recv(PIECE_BYTES)
            except BlockingIOError:
                break
            if not received:
                carried.heard_all = True
            elif not carried.deaf:
                self._decrypt(carried, received)
        self._watch(carried)

    def _pass_on(self, carried: _Carried) -> bool:
        """Let the handler have what was decrypted. Whether all is gone."""
        try:
            sent = carried.pair.send(carried.to_room)
        except BlockingIOError:
            return False
        except OSError:  # the handler reads nothing more
            carried.deaf = True
            sent = len(carried.to_room)
        carried.to_room = carried.to_room[sent:]
        return not carried.to_room

    def _decrypt(self, carried: _Carried, received: bytes) -> None:
        carried.to_room, carried.heard_all = carried.tls.decrypt(received)
        carried.to_client += carried.tls.due()
        if len(carried.to_client) > UNSENT_BYTES:
            raise ConnectionAbortedError("it asks for more than it reads")

    def _end_of_input(self, carried: _Carried) -> None:
        if carried.sent_all and not carried.to_client:
            self._drop(carried)
        else:
            with contextlib.suppress(OSError):  # the handler has closed its end
                carried.pair.shutdown(socket.SHUT_WR)

    def _finish(self, carried: _Carried) -> None:
        """The server stops: what is in the pair is the last of it."""
        if not (carried.to_client or carried.sent_all or self._encrypt(carried)):
            carried.to_client = self._farewell(carried)
        self._to_client(carried)
        if carried.sent_all and not carried.to_client:
            self._drop(carried)

    def _check(self, carried: _Carried) -> None:
        _, lost = liveness.state(carried.tls.tcp)
        if lost:
            self._drop(carried)

    def _close_within(self, carried: _Carried, seconds: float) -> None:
        carried.close_at = time.monotonic() + seconds
        self._closing.add(carried)
        if carried.heard_all:
            self._drop(carried)

    def _watch(self, carried: _Carried) -> None:
        """Have the selector say when there is something to do for it."""
        if carried.gone.is_set():
            return
        hears = _READ if not (carried.heard_all or carried.to_room) else 0
        self._want(carried, carried.tls.tcp, hears | (_WRITE if carried.to_client else 0))
        takes = _READ if not (carried.to_client or carried.sent_all) else 0
        self._want(carried, carried.pair, takes | (_WRITE if carried.to_room else 0))

    def _want(self, carried: _Carried, connection: socket.socket, events: int) -> None:
        watched = carried.watched[connection]
        if events == watched:
            return
        carried.watched[connection] = events
        if not watched:
            self._selector.register(connection, events, carried)
        elif events:
            self._selector.modify(connection, events, carried)
        else:
            self._selector.unregister(connection)

    def _drop(self, carried: _Carried) -> None:
        """Let go of it: its sockets are its handler's business now."""
        if carried.gone.is_set():
            return
        for connection in (carried.tls.tcp, carried.pair):
            self._want(carried, connection, 0)
        carried.pair.close()
        self._carried.discard(carried)
        self._closing.discard(carried)
        carried.gone.set()
