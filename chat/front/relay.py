"""The relay: one thread that forwards the bytes of all TLS connections, in both directions.

    client ==TCP, encrypted== relay ==socket pair, plain== handler (reads), broadcaster (writes)

So everything behind it deals with a plain socket, and whatever happens to a connection (a kick, a takeover,
the server's stop), nothing reaches the client unencrypted.

It is one thread for all, not each connection's handler: with 100 listeners every message would wake 100
threads, which then wait for each other in Python. Measured, a delivery took 36 to 60 microseconds of
processor time that way, and takes 7 to 9 this way (in plain text: 6).

Queues are bounded: for a client that does not read, one piece is held, and no more is taken from the pair,
which fills up, so that the broadcaster skips the listener as it does with any full socket. The same applies
in the other direction.
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

PIECE_BYTES = 64 * 1024  # read at once from either side
TURN_PIECES = 4  # from one connection, before the others have their turn
# May wait for a client to read it: a piece, and what TLS itself has to send. Only a client that keeps asking
# for new keys without reading exceeds it.
UNSENT_BYTES = 4 * PIECE_BYTES
LINGER_SECONDS = 30  # for a client to read the rest, once its handler is done
FAREWELL_SECONDS = 2  # and then to close its side
CHECK_SECONDS = 10.0  # between checks whether the clients are still there
STOP_SECONDS = 5  # to send everybody the last bytes when the server stops

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

log = logging.getLogger("chat.front.relay")


class Tls:
    """One side of a TLS connection over a socket that belongs to the caller. It never writes plain text."""

    def __init__(self, tcp: socket.socket, context: ssl.SSLContext, received: bytes = b"") -> None:
        self.tcp = tcp
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(received)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self, until: float) -> None:
        """Agree on keys, until this time.monotonic(). Waits for the client.

        Raises TimeoutError, OSError: ssl.SSLError if it doesn't speak TLS, or no version that is allowed.
        """
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush(until)
                received = self.tcp.recv(PIECE_BYTES)
                if not received:
                    raise ConnectionResetError("the client closed during the handshake") from None
                self._incoming.write(received)
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the alert that says why
                    self._flush(until)
                raise
        self._flush(until)

    def _flush(self, until: float) -> None:
        """Send pending output, and set the timeout for the next step."""
        remaining = until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self.tcp.settimeout(remaining)
        self.tcp.sendall(self._outgoing.read())

    def encrypt(self, data: bytes) -> bytes:
        """The encrypted bytes to send. Raises ssl.SSLError."""
        written = self._tls.write(data)
        while written < len(data):  # a record takes 16 KiB
            written += self._tls.write(memoryview(data)[written:])
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> tuple[bytes, bool]:
        """The decrypted bytes, and whether the client has ended its output. Raises ssl.SSLError."""
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
        """Output of TLS itself: a response to new keys, an alert."""
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The bytes that tell the client that nothing more follows, so that a truncation would be noticed."""
        with contextlib.suppress(ssl.SSLError):  # it would also read the client's, which need not come
            self._tls.unwrap()
        return self._outgoing.read()


class _Carried:
    """A connection on the relay. Everything but `gone` is the relay thread's own."""

    __slots__ = (
        "close_at",
        "gone",
        "input_discarded",
        "input_ended",
        "output_ended",
        "pair",
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
        self.input_ended = False  # the client sends nothing more
        self.output_ended = (
            False  # nothing more comes for the client: the last of `to_client` is the close_notify
        )
        self.input_discarded = False  # the client's input is discarded from now on
        self.close_at = 0.0  # time.monotonic() when it is closed, whatever the client does; 0: open
        self.watched = {tls.tcp: 0, pair: 0}  # the events for which the selector watches each socket
        self.gone = threading.Event()  # the relay no longer touches its sockets


class Relay:
    """The thread and its connections. It runs from `start` to `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._reader, self._waker = socket.socketpair()
        self._reader.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._reader, _READ)
        self._orders: collections.deque[tuple[Callable[[_Carried], None], _Carried]] = collections.deque()
        self._carried: set[_Carried] = set()
        self._closing: set[_Carried] = set()  # those with a time at which they are closed
        self._check_at = 0.0  # time.monotonic() when to check for clients that are out of reach
        self._stop_at = 0.0  # time.monotonic() when the thread ends at the latest; 0: not stopping
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    # ----- for other threads

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Send everybody the rest, close in order, and end the thread."""
        self._stop_at = time.monotonic() + STOP_SECONDS
        self._wake()
        self._thread.join()

    @contextlib.contextmanager
    def carry(self, tls: Tls) -> Iterator[socket.socket]:
        """The plain socket that stands for a connection after its handshake.

        After the with statement the client has received everything, or has had the time to; then its own
        socket must be closed.
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
            pair.close()  # the relay has done it, unless it ended before it began

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
        """The thread. Ends after `stop`, once everybody has the rest or the time for that is over."""
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
        """Forward what can be forwarded; wait for up to `seconds` if nothing can."""
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
        """Do a step. An error in one connection ends that one, and no other."""
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
        carried.to_room, carried.input_ended = carried.tls.decrypt(b"")  # what arrived with the handshake
        self._to_room(carried)

    def _to_client(self, carried: _Carried) -> None:
        for _ in range(TURN_PIECES):
            size = PIECE_BYTES
            if not (carried.to_client or carried.output_ended):
                size = self._encrypt(carried)
            if not carried.to_client:
                break
            try:
                sent = carried.tls.tcp.send(carried.to_client)
            except BlockingIOError:
                break
            carried.to_client = carried.to_client[sent:]
            if carried.to_client:
                break
            if carried.output_ended:
                carried.tls.tcp.shutdown(socket.SHUT_WR)
                self._close_within(carried, FAREWELL_SECONDS)
            if size < PIECE_BYTES:
                break  # that was all; if not, the selector reports more
        self._watch(carried)

    def _encrypt(self, carried: _Carried) -> int:
        """Read a piece from the room and encrypt it, or the farewell at the end; the size of the piece."""
        try:
            piece = carried.pair.recv(PIECE_BYTES)
        except BlockingIOError:
            return 0
        carried.to_client = carried.tls.encrypt(piece) if piece else self._farewell(carried)
        return len(piece)

    def _farewell(self, carried: _Carried) -> bytes:
        carried.output_ended = carried.input_discarded = True
        carried.to_room = b""
        return carried.tls.close_notify()

    def _to_room(self, carried: _Carried) -> None:
        for _ in range(TURN_PIECES):
            if carried.to_room and not self._pass_on(carried):
                break
            if carried.input_ended:
                self._end_of_input(carried)
                break
            try:
                received = carried.tls.tcp.recv(PIECE_BYTES)
            except BlockingIOError:
                break
            if not received:
                carried.input_ended = True
            elif not carried.input_discarded:
                self._decrypt(carried, received)
        self._watch(carried)

    def _pass_on(self, carried: _Carried) -> bool:
        """Pass on to the handler what was decrypted; whether all of it."""
        try:
            sent = carried.pair.send(carried.to_room)
        except BlockingIOError:
            return False
        except OSError:  # the handler no longer reads
            carried.input_discarded = True
            sent = len(carried.to_room)
        carried.to_room = carried.to_room[sent:]
        return not carried.to_room

    def _decrypt(self, carried: _Carried, received: bytes) -> None:
        carried.to_room, carried.input_ended = carried.tls.decrypt(received)
        carried.to_client += carried.tls.due()
        if len(carried.to_client) > UNSENT_BYTES:
            raise ConnectionAbortedError("the client requests more than it reads")

    def _end_of_input(self, carried: _Carried) -> None:
        if carried.output_ended and not carried.to_client:
            self._drop(carried)
        else:
            with contextlib.suppress(OSError):  # the handler has closed its end
                carried.pair.shutdown(socket.SHUT_WR)

    def _finish(self, carried: _Carried) -> None:
        """The server is stopping: send what is left in the pair."""
        if not (carried.to_client or carried.output_ended):
            self._encrypt(carried)
            carried.to_client = carried.to_client or self._farewell(carried)
        self._to_client(carried)
        if carried.output_ended and not carried.to_client:
            self._drop(carried)

    def _check(self, carried: _Carried) -> None:
        _, lost = liveness.state(carried.tls.tcp)
        if lost:
            self._drop(carried)

    def _close_within(self, carried: _Carried, seconds: float) -> None:
        carried.close_at = time.monotonic() + seconds
        self._closing.add(carried)
        if carried.input_ended:
            self._drop(carried)

    def _watch(self, carried: _Carried) -> None:
        """Have the selector report when there is something to do for the connection."""
        if carried not in self._carried:
            return
        input_ = _READ if not (carried.input_ended or carried.to_room) else 0
        self._want(carried, carried.tls.tcp, input_ | (_WRITE if carried.to_client else 0))
        output = _READ if not (carried.to_client or carried.output_ended) else 0
        self._want(carried, carried.pair, output | (_WRITE if carried.to_room else 0))

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
        """Release the connection: its sockets are left to its handler."""
        if carried.gone.is_set():
            return
        for connection in (carried.tls.tcp, carried.pair):
            self._want(carried, connection, 0)
        carried.pair.close()
        self._carried.discard(carried)
        self._closing.discard(carried)
        carried.gone.set()
